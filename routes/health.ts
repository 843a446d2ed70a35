/**
 * `/health` and `/ready` in InfluxDB's shape, for clients, load balancers and people alike. They ask nothing of
 * other services: the answers come from what the parts know of themselves.
 */
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Clock } from '../src/model/clock.ts';

/** One part's state. */
export interface HealthCheck {
  readonly name: string;
  readonly status: 'pass' | 'fail';
  readonly message: string;
}

/** The gateway's state: `ok` false answers 503. */
export interface Health {
  readonly ok: boolean;
  readonly message: string;
  readonly checks: readonly HealthCheck[];
}

/** What the health routes need. */
export interface HealthRouteDeps {
  health(): Health;
  /** True once points can be taken; false while starting and stopping. */
  ready(): boolean;
  readonly version: string;
  readonly clock: Pick<Clock, 'wallNow'>;
}

/** A Fastify plugin; the time of the call counts as the start. */
export function createHealthRoutes(deps: HealthRouteDeps): (app: FastifyInstance) => Promise<void> {
  const startedMs = deps.clock.wallNow();
  const started = new Date(startedMs).toISOString();
  return async (app) => {
    app.get('/health', (_request, reply) => healthReply(reply, deps.health(), deps.version));
    app.get('/ready', (_request, reply) => {
      const up = formatUptime(deps.clock.wallNow() - startedMs);
      if (deps.ready()) return reply.send({ status: 'ready', started, up });
      return reply.code(503).send({ status: 'starting', started, up });
    });
  };
}

/** Tells the gateway's state in InfluxDB's shape. */
export function healthReply(reply: FastifyReply, health: Health, version: string): FastifyReply {
  const { ok, message, checks } = health;
  const status = ok ? 'pass' : 'fail';
  return reply.code(ok ? 200 : 503).send({ name: 'sluice', message, status, checks, version });
}

/** `1h2m3s`, as Go prints durations, in whole seconds. */
export function formatUptime(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  const hours = Math.floor(seconds / 3_600);
  const minutes = Math.floor(seconds / 60) % 60;
  const parts = [
    hours > 0 ? `${hours}h` : '',
    hours > 0 || minutes > 0 ? `${minutes}m` : '',
    `${seconds % 60}s`,
  ];
  return parts.join('');
}
