/**
 * Composition root: opens the parts in order, joins them, and closes them in reverse. May import everything; no part
 * imports another. `buildApp` opens, `listen` serves, `close` stops gracefully.
 */
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { createHealthRoutes, type Health } from '../routes/health.ts';
import { createInfluxRoutes, type InfluxMount, ROOT_MOUNT } from '../routes/influx.ts';
import { createMetricsRoutes } from '../routes/metrics.ts';
import { createSqlRoutes } from '../routes/sql.ts';
import { type OpenedAccess, openAccess } from './app-access.ts';
import { registerAdmin, registerOpenApi } from './app-admin.ts';
import type { Base, Core } from './app-base.ts';
import { type Openers, openCore } from './app-core.ts';
import { openFront } from './app-front.ts';
import { healthOf } from './app-health.ts';
import { registerOpenTsdb } from './app-opentsdb.ts';
import { ackOf, pointLimits } from './app-options.ts';
import type { OpenedTelnet } from './app-telnet.ts';
import { type OpenedTls, openTls } from './app-tls.ts';
import type { Config } from './config.ts';
import type { Auth } from './http/auth.ts';
import type { BodyReader } from './http/body-reader.ts';
import { createConnectionOrder } from './http/connection-order.ts';
import type { ErrorReplies } from './http/error-handler.ts';
import { createIntake } from './http/intake.ts';
import { createMetrics } from './metrics.ts';
import { createBatchPool } from './model/batch-pool.ts';
import type { Logger } from './model/logger.ts';
import { createLineParser } from './protocol/line-protocol.ts';
import { SeriesDictionary } from './protocol/series-dictionary.ts';
import { createAbortController } from './util/abort.ts';
import { systemRandom } from './util/backoff.ts';
import { createSystemClock } from './util/clock.ts';
import { createCloseStack } from './util/close-stack.ts';
import { createLogSampler } from './util/log-sampler.ts';
import { packageVersion } from './version.ts';

/** Requests that one connection may have waiting: senders that never wait for answers send several at once. */
const MAX_PIPELINED = 64;
/** After the time for stopping is over, how long each part still has to let go. */
const CLOSE_PART_MS = 5_000;

/** While stopping: how often connections that have become idle are closed. */
const IDLE_SWEEP_MS = 20;

/** A gateway that is ready to serve. */
export interface App {
  /** Begins to serve; answers the address in use, as a URL. */
  listen(): Promise<string>;
  /** Reads again what may change while running, on SIGHUP. Never throws. */
  reload(): void;
  /** Stops: no new requests, what is in flight is finished within the configured time, then the parts are closed. */
  close(): Promise<{ readonly failed: readonly string[] }>;
}

/**
 * Opens all parts; on failure closes those that were opened.
 * @throws {GatewayError} config_invalid when the database or the spool can't be used as configured, or a file for etcd.
 */
export async function buildApp(config: Config, logger: Logger, openers: Openers = {}): Promise<App> {
  const clock = createSystemClock();
  const base: Base = {
    config,
    clock,
    logger,
    sampler: createLogSampler(config.log.sampleMs, clock),
    metrics: createMetrics(packageVersion()),
    batches: createBatchPool(),
    dictionary: new SeriesDictionary(config.dictionary, Math.floor(systemRandom() * 2 ** 32)),
    stack: createCloseStack(logger),
  };
  try {
    const doors = { access: openAccess(base), tls: openTls(base) };
    return createApp(base, await openCore(base, openers), doors);
  } catch (error) {
    await base.stack.close(CLOSE_PART_MS);
    throw error;
  }
}

interface Doors {
  readonly access: OpenedAccess;
  readonly tls: OpenedTls;
}

/** The server and its routes, and how to stop. */
function createApp(base: Base, core: Core, { access, tls }: Doors): App {
  const { config, clock, logger, sampler, metrics, stack } = base;
  const closing = createAbortController();
  const state = { ready: false };
  const ack = ackOf(config);
  const health = (): Health => healthOf(core, { ready: state.ready, ack });
  const signal = closing.signal;
  const front = openFront(base, { core, access: access.access, tls: tls.layer, health, closing: signal });
  const { server, telnet, bodies, errors, auth } = front;
  registerOpenApi(server);
  registerAdmin(server, base, { core, access: access.access, auth, errors, bodies, closing: signal });
  registerWrites(server, base, { core, bodies, errors, auth, health, closing: signal });
  void server.register(
    createHealthRoutes({ health, ready: () => state.ready, version: packageVersion(), clock }),
  );
  const mayScrape = async (request: IncomingMessage): Promise<void> => {
    if (!config.access.openMetrics) await auth.authorize(request, 'read', undefined);
  };
  void server.register(createMetricsRoutes(() => metrics.render(), mayScrape));
  if (core.sql !== undefined) {
    const options = { ...config.sql, database: config.opentsdb.database };
    const drained = core.keeping?.log.drained.bind(core.keeping.log);
    const deps = { reader: core.sql, auth, drained, bodies, errors, clock, logger, sampler, closing: signal };
    void server.register(createSqlRoutes(options, deps));
  }
  return {
    reload() {
      access.reload();
      tls.reload();
    },
    async listen() {
      const { host, port } = config.listen;
      const url = await server.listen({ host, port });
      state.ready = true;
      return tls.layer === undefined ? url : url.replace('http:', 'https:');
    },
    async close() {
      state.ready = false;
      await stopServing({ server, telnet, closing }, config.shutdown.timeoutMs, logger);
      return { failed: await stack.close(CLOSE_PART_MS) };
    },
  };
}

function registerWrites(
  server: FastifyInstance,
  base: Base,
  parts: {
    core: Core;
    bodies: BodyReader;
    errors: ErrorReplies;
    auth: Auth;
    health: () => Health;
    closing: AbortSignal;
  },
): void {
  const { config, clock, metrics, dictionary } = base;
  const { core, bodies, errors, auth, closing } = parts;
  const order = createConnectionOrder(MAX_PIPELINED);
  const intake = createIntake({
    auth,
    ingest: core.ingest,
    bodies,
    order,
    errors,
    metrics: metrics.http,
    clock,
    dataPlaneOk: () => core.watermarks.dataPlaneOk,
    closing,
  });
  metrics.gauge('sluice_dictionary_series', 'Spelled series remembered.', () => dictionary.stats().series);
  metrics.gauge(
    'sluice_dictionary_bytes',
    'Estimated bytes of the dictionary.',
    () => dictionary.stats().bytes,
  );
  metrics.counter(
    'sluice_dictionary_rotations_total',
    'Times the older half was dropped.',
    () => dictionary.stats().rotations,
  );
  const parser = createLineParser(dictionary, { limits: pointLimits(config) });
  const influxDeps = { intake, parser, errors, clock, auth, bodies, databases: core.databases };
  const influx = (mounts: readonly InfluxMount[]): ReturnType<typeof createInfluxRoutes> =>
    createInfluxRoutes({ ...config.influx, mounts }, influxDeps);
  void server.register(influx([ROOT_MOUNT]));
  registerOpenTsdb(server, base, { ...parts, intake, influx });
}

/** Lets requests finish within the time, then ends what is left. */
async function stopServing(
  {
    server,
    telnet,
    closing,
  }: {
    readonly server: FastifyInstance;
    readonly telnet: OpenedTelnet | undefined;
    readonly closing: AbortController;
  },
  timeoutMs: number,
  logger: Logger,
): Promise<void> {
  const timer = setTimeout(() => {
    logger.warn({ timeoutMs }, 'requests did not finish in time');
    closing.abort(new Error('the gateway is stopping'));
    server.server.closeAllConnections();
    telnet?.abort();
  }, timeoutMs);
  // Node closes the connections that are idle now; one that becomes idle later would stay until its keep-alive ends.
  const sweep = setInterval(() => server.server.closeIdleConnections(), IDLE_SWEEP_MS);
  try {
    await Promise.all([server.close(), telnet?.close()]);
  } finally {
    clearInterval(sweep);
    clearTimeout(timer);
  }
}
