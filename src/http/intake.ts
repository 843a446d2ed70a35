/**
 * The way of one write request: its body is read, its turn on the connection comes, a batch is lent for it, the
 * protocol's own work parses, submits and makes the answer, and everything is handed back. An error becomes an
 * answer here, so that every request is counted. The routes of all protocols use it.
 *
 * A client that goes away changes nothing: a body that was received whole is stored, for the sender may be one
 * that never waits for answers. Nothing of a body that was cut off is stored.
 */
import type { FastifyRequest } from 'fastify';
import { GatewayError } from '../errors.ts';
import type { Principal } from '../model/access.ts';
import type { Clock } from '../model/clock.ts';
import type { Ingest, IngestResult } from '../model/ingest.ts';
import type { ParsedPoints } from '../model/parse-result.ts';
import type { PointBatch } from '../model/point-batch.ts';
import type { TableSource } from '../model/table.ts';
import { withChildAbort } from '../util/abort.ts';
import type { Auth } from './auth.ts';
import type { BodyReader } from './body-reader.ts';
import type { ConnectionOrder } from './connection-order.ts';
import type { ErrorReplies, ProblemShape } from './error-handler.ts';
import type { HttpMetrics, WriteRoute } from './http-metrics.ts';
import { DeferredError } from './problem.ts';
import type { HttpReply } from './reply.ts';
import { createTurnEnd } from './turn-end.ts';

/** How a protocol's requests are handled. */
export interface IntakeRoute {
  readonly route: WriteRoute;
  readonly source: TableSource;
  readonly shape: ProblemShape;
  /** Turns a body in another charset into UTF-8; undefined: bodies are taken as they are. */
  readonly toUtf8: ((body: Buffer, contentType: string | undefined) => Buffer) | undefined;
}

/** A request under way, as the protocol's work sees it. */
export interface Exchange {
  /** Its body is the request's. */
  readonly batch: PointBatch;
  /**
   * Hands the good points to ingest and counts all of them; undefined when there was nothing to hand over.
   * @throws {DeferredError} when rows were held back
   */
  submit(parsed: ParsedPoints, options?: SubmitOptions): Promise<IngestResult | undefined>;
}

/** What a sender may ask for. */
export interface SubmitOptions {
  /** Storage's own acknowledgement; see IngestContext. */
  readonly sync?: boolean;
  /** Ends the wait early. */
  readonly signal?: AbortSignal;
  /** One bad point keeps all from being stored: one that is malformed, or one that is refused for `any` reason. */
  readonly allOrNothing?: 'malformed' | 'any' | undefined;
}

/** Handles write requests. */
export interface Intake {
  /** Never rejects: what fails becomes an answer in the route's shape. */
  handle(
    route: IntakeRoute,
    request: FastifyRequest,
    database: string,
    work: (exchange: Exchange) => Promise<HttpReply>,
  ): Promise<HttpReply>;
  /** Counts a request that is answered without a look at its body. */
  refuse(route: IntakeRoute, reply: HttpReply): HttpReply;
}

/** The parts that an intake joins. */
export interface IntakeDeps {
  readonly auth: Auth;
  readonly ingest: Ingest;
  readonly bodies: BodyReader;
  readonly order: ConnectionOrder;
  readonly errors: ErrorReplies;
  readonly metrics: HttpMetrics;
  readonly clock: Pick<Clock, 'now'>;
  /** False while the gateway is over a mark: nothing is taken. */
  readonly dataPlaneOk: () => boolean;
  /** Aborts when the gateway stops and the time to finish is over. */
  readonly closing: AbortSignal;
}

/** Makes the intake that all write routes share. */
export function createIntake(deps: IntakeDeps): Intake {
  const { auth, ingest, bodies, order, errors, metrics, clock } = deps;
  const turnEnd = createTurnEnd();

  async function withBatch(
    body: Buffer,
    database: string,
    work: (batch: PointBatch) => Promise<HttpReply>,
  ): Promise<HttpReply> {
    const batch = ingest.acquire(body, database);
    try {
      return await work(batch);
    } finally {
      ingest.release(batch);
    }
  }

  return {
    async handle(route, request, database, work) {
      const startMs = clock.now();
      const { raw } = request;
      let reply: HttpReply;
      try {
        if (!deps.dataPlaneOk()) throw new GatewayError('overload', 'the gateway is over a mark');
        const asked = auth.authorize(raw, 'write', database);
        const principal = asked instanceof Promise ? await asked : asked;
        reply = await order.run(raw.socket, (turn) =>
          bodies.use(raw, async (received) => {
            if (turn !== undefined) await turn;
            const body = route.toUtf8?.(received, raw.headers['content-type']) ?? received;
            const peer = raw.socket.remoteAddress ?? 'unknown';
            const sender = { peer, principal, mayCreate: principal.may('create', database) };
            return await withBatch(body, database, (batch) =>
              work(createExchange(deps, route, batch, sender)),
            );
          }),
        );
      } catch (error) {
        reply = errors.of(stopped(error, deps.closing), raw.headers['user-agent'], route.shape);
      }
      await turnEnd();
      metrics.answered(route.route, reply.status, clock.now() - startMs);
      return reply;
    },
    refuse(route, reply) {
      metrics.answered(route.route, reply.status, 0);
      return reply;
    },
  };
}

interface Sender {
  readonly peer: string;
  readonly principal: Principal;
  readonly mayCreate: boolean;
}

function createExchange(deps: IntakeDeps, route: IntakeRoute, batch: PointBatch, sender: Sender): Exchange {
  const { metrics, closing } = deps;
  return {
    batch,
    async submit(parsed, options) {
      if (parsed.failed > 0) metrics.points(route.route, 'malformed', parsed.failed);
      if (parsed.good === 0) return undefined;
      if (options?.allOrNothing !== undefined && parsed.failed > 0) {
        metrics.points(route.route, 'rejected', parsed.good);
        return undefined;
      }
      const context = {
        source: route.source,
        askedBy: `${route.source} ${sender.peer}`,
        tenant: sender.principal.tenant,
        mayCreate: sender.mayCreate,
        sync: options?.sync === true,
        allOrNothing: options?.allOrNothing === 'any',
      };
      const submit = (signal: AbortSignal): Promise<IngestResult> =>
        deps.ingest.submit(batch, { ...context, signal });
      const result = await withinBoth(closing, options?.signal, submit);
      if (result.stored > 0) metrics.points(route.route, 'stored', result.stored);
      if (result.parked > 0) metrics.points(route.route, 'parked', result.parked);
      if (result.rejected > 0) metrics.points(route.route, 'rejected', result.rejected);
      if (result.deferred === 0) return result;
      metrics.points(route.route, 'deferred', result.deferred);
      throw new DeferredError(result);
    },
  };
}

/** Runs with a signal that aborts with either; nothing stays attached to `closing`, which outlives all requests. */
function withinBoth<T>(
  closing: AbortSignal,
  own: AbortSignal | undefined,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (own === undefined) return run(closing);
  return withChildAbort(closing, (child) => {
    const follow = (): void => child.abort(own.reason);
    if (own.aborted) follow();
    else own.addEventListener('abort', follow);
    return run(child.signal);
  });
}

/** Work that ended because the gateway stops is not a fault. */
function stopped(error: unknown, closing: AbortSignal): unknown {
  if (!closing.aborted || error instanceof GatewayError) return error;
  return new GatewayError('closed', 'the gateway is stopping', { cause: error });
}
