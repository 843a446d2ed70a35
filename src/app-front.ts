/** Opens what meets clients first: the port's server, telnet beside it, bodies, answers to errors, credentials. See app.ts. */
import type { FastifyInstance } from 'fastify';
import type { Health } from '../routes/health.ts';
import type { Base, Core } from './app-base.ts';
import { buildInfo } from './app-opentsdb.ts';
import { gatewayId } from './app-options.ts';
import { inflightMark } from './app-protect.ts';
import { type OpenedTelnet, openTelnet } from './app-telnet.ts';
import { type Auth, createAuth } from './http/auth.ts';
import { type BodyReader, createBodyReader } from './http/body-reader.ts';
import { createConnectionLimit } from './http/connection-limit.ts';
import { createErrorReplies, type ErrorReplies } from './http/error-handler.ts';
import { statsText } from './http/opentsdb-endpoints.ts';
import { createServer } from './http/server.ts';
import type { TlsLayer } from './http/tls-layer.ts';
import type { Access } from './model/access.ts';
import { systemRandom } from './util/backoff.ts';

/** What the front needs of the rest. */
export interface FrontParts {
  readonly core: Core;
  readonly access: Access;
  readonly tls: TlsLayer | undefined;
  readonly health: () => Health;
  readonly closing: AbortSignal;
}

/** What routes are registered on, and with. */
export interface Front {
  readonly server: FastifyInstance;
  /** Undefined: it is switched off. */
  readonly telnet: OpenedTelnet | undefined;
  readonly bodies: BodyReader;
  readonly errors: ErrorReplies;
  readonly auth: Auth;
}

/** Opens it; the server does not listen yet. */
export function openFront(base: Base, { core, access, tls, health, closing }: FrontParts): Front {
  const { config, clock, logger, sampler, metrics } = base;
  const { noRetryAfterAgents } = config.influx;
  const errors = createErrorReplies({ logger, sampler, random: systemRandom, noRetryAfterAgents });
  const { bodyBytes, inflatedBytes, inflightBytes } = config.limits;
  const bodies = createBodyReader(
    { maxBodyBytes: bodyBytes, maxInflatedBytes: inflatedBytes, maxTotalBytes: inflightBytes },
    metrics.http,
  );
  const limit = createConnectionLimit(config.listen.maxConnectionsPerAddress);
  registerGauges(base, bodies, limit);
  core.watermarks.add(inflightMark(config, () => bodies.stats().bodyBytes));
  core.watermarks.start();
  const host = gatewayId(config);
  const telnet = openTelnet(base, {
    core,
    access,
    bodies,
    build: buildInfo(),
    status: () => (health().ok ? 'ok' : 'error'),
    stats: () => statsText({ clock, host, samples: (names) => metrics.samples(names) }),
    closing,
  });
  const sniffing = telnet === undefined ? {} : { sniff: telnet.sniff };
  const server = createServer(config.listen, { errors, limit, tls, metrics: metrics.http, ...sniffing });
  return { server, telnet, bodies, errors, auth: createAuth(access, metrics.http) };
}

function registerGauges(
  { metrics }: Base,
  bodies: BodyReader,
  limit: ReturnType<typeof createConnectionLimit>,
): void {
  const held = 'Bytes of request bodies held.';
  metrics.gauge('sluice_inflight_body_bytes', held, () => bodies.stats().bodyBytes);
  metrics.gauge('sluice_connections_open', 'Open connections.', () => limit.stats().open);
  metrics.gauge('sluice_connection_addresses', 'Addresses that have some.', () => limit.stats().addresses);
}
