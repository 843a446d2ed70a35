/** A listening HTTP server with the real parsers and a fake ingest, and clients that speak to it. */
import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import type { FastifyInstance } from 'fastify';
import { createInfluxRoutes, ROOT_MOUNT } from '../../routes/influx.ts';
import { createOpenTsdbRoutes } from '../../routes/opentsdb.ts';
import { type Auth, createAuth } from '../../src/http/auth.ts';
import { type BodyReader, createBodyReader } from '../../src/http/body-reader.ts';
import { createConnectionLimit } from '../../src/http/connection-limit.ts';
import { createConnectionOrder } from '../../src/http/connection-order.ts';
import { createErrorReplies, type ErrorReplies } from '../../src/http/error-handler.ts';
import { createIntake } from '../../src/http/intake.ts';
import { createServer } from '../../src/http/server.ts';
import { type Access, OPEN_ACCESS } from '../../src/model/access.ts';
import type { Logger } from '../../src/model/logger.ts';
import { createLineParser } from '../../src/protocol/line-protocol.ts';
import { createNameIndex } from '../../src/protocol/name-index.ts';
import { createOpenTsdbParser } from '../../src/protocol/opentsdb-json.ts';
import { createRollupParser } from '../../src/protocol/opentsdb-rollup.ts';
import { SeriesDictionary } from '../../src/protocol/series-dictionary.ts';
import { createLogSampler, type LogSampler } from '../../src/util/log-sampler.ts';
import { FakeClock } from './fake-clock.ts';
import { createFakeIngest, type FakeIngest } from './fake-ingest.ts';
import { DEFAULT_LIMITS, DEFAULT_RULES } from './parsers.ts';

/** Largest body, received or inflated, of the server under test. */
export const MAX_BODY_BYTES = 65_536;
/** Largest sum of bodies. */
export const MAX_TOTAL_BYTES = 4 * MAX_BODY_BYTES;
/** Waiting requests of a connection. */
export const MAX_WAITING = 4;

/** What a test sees of the server. */
export interface TestServer {
  readonly app: FastifyInstance;
  readonly auth: Auth;
  readonly port: number;
  readonly url: string;
  readonly ingest: FakeIngest;
  readonly bodies: BodyReader;
  readonly errors: ErrorReplies;
  readonly clock: FakeClock;
  readonly logger: Logger;
  readonly sampler: LogSampler;
  readonly closing: AbortController;
  /** Lines logged, as `level message`. */
  readonly logs: readonly string[];
  /** `route status` per answer, then `route outcome count` per count of points, `body reason` per refused body. */
  readonly metrics: readonly string[];
}

/** Options of `startServer`. */
export interface TestServerOptions {
  readonly strictBatches?: boolean;
  /** Connections of one address; undefined: any number. */
  readonly maxPerAddress?: number;
  /** Points of one request; undefined: many. */
  readonly pointsPerRequest?: number;
  /** Who may do what; undefined: everybody everything. */
  readonly access?: Access;
  /** What `/query` is told of databases; undefined: that they are not known. */
  readonly databases?: readonly string[];
  /** Registers further routes. */
  readonly routes?: (server: Omit<TestServer, 'port' | 'url'>) => void;
}

/** Starts a server that is closed when the test ends. */
export async function startServer(t: TestContext, options: TestServerOptions = {}): Promise<TestServer> {
  const logs: string[] = [];
  const metrics: string[] = [];
  const clock = new FakeClock();
  const closing = new AbortController();
  const ingest = createFakeIngest();
  const log = (level: string) => (_fields: object, message: string) => void logs.push(`${level} ${message}`);
  const logger = { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') };
  const sampler = createLogSampler(10_000, clock);
  const errors = createErrorReplies({
    logger,
    sampler,
    random: () => 0.5,
    noRetryAfterAgents: ['InfluxDB-client-js'],
  });
  const counters = {
    answered: (route: string, status: number) => void metrics.push(`${route} ${status}`),
    points: (route: string, outcome: string, count: number) =>
      void metrics.push(`${route} ${outcome} ${count}`),
    bodyRefused: (reason: string) => void metrics.push(`body ${reason}`),
    connectionRefused: (reason: string) => void metrics.push(`connection ${reason}`),
    accessRefused: (reason: string) => void metrics.push(`access ${reason}`),
  };
  const limits = {
    maxBodyBytes: MAX_BODY_BYTES,
    maxInflatedBytes: MAX_BODY_BYTES,
    maxTotalBytes: MAX_TOTAL_BYTES,
  };
  const bodies = createBodyReader(limits, counters);
  const order = createConnectionOrder(MAX_WAITING);
  const auth = createAuth(options.access ?? OPEN_ACCESS, counters);
  const databases = async (): Promise<readonly string[] | undefined> => options.databases;
  const intake = createIntake({
    auth,
    ingest,
    bodies,
    order,
    errors,
    metrics: counters,
    clock,
    dataPlaneOk: () => true,
    closing: closing.signal,
  });
  const { pointsPerRequest = DEFAULT_LIMITS.pointsPerRequest } = options;
  const pointLimits = { ...DEFAULT_LIMITS, pointsPerRequest };
  const dictionary = new SeriesDictionary({ maxSeries: 1_000, maxBytes: 1_000_000 }, 7);
  const app = createServer(
    { keepAliveMs: 75_000, requestTimeoutMs: 60_000, headersTimeoutMs: 20_000, maxConnections: 1_000 },
    { errors, metrics: counters, limit: createConnectionLimit(options.maxPerAddress ?? 0), tls: undefined },
  );
  const server = { app, auth, ingest, bodies, errors, clock, logger, sampler, closing, logs, metrics };
  const build = {
    version: '1.2.3',
    shortRevision: 'abc',
    fullRevision: 'abcdef',
    builtAtS: 1_700_000_000,
    user: 'u',
    host: 'h',
    repository: '/r',
    branch: 'main',
  };
  const parser = createOpenTsdbParser(dictionary, { ...DEFAULT_RULES, limits: pointLimits });
  app.register(
    createOpenTsdbRoutes(
      { database: 'public' },
      {
        intake,
        parser,
        rollups: createRollupParser({ ...DEFAULT_RULES, limits: pointLimits }),
        errors,
        build,
        auth,
        bodies,
        clock,
        names: createNameIndex(dictionary),
        settings: {},
        host: 'test',
        samples: async () => [],
        status: () => 'ok',
      },
    ),
  );
  app.register(
    createInfluxRoutes(
      { reportedVersion: '1.8.10', strictBatches: options.strictBatches ?? false, mounts: [ROOT_MOUNT] },
      {
        intake,
        parser: createLineParser(dictionary, { limits: pointLimits }),
        errors,
        clock,
        auth,
        bodies,
        databases,
      },
    ),
  );
  options.routes?.(server);
  await app.listen({ port: 0, host: '127.0.0.1' });
  t.after(() => app.close());
  const { port } = app.server.address() as AddressInfo;
  return { ...server, port, url: `http://127.0.0.1:${port}` };
}

/** A raw connection; everything that came in is in `received()`. */
export interface RawClient {
  readonly socket: Socket;
  received(): string;
  /** Resolves once the text has come in; rejects when the connection closes without it. */
  waitFor(text: string): Promise<void>;
}

/** Opens a raw connection that is destroyed when the test ends. */
export async function openRaw(t: TestContext, port: number): Promise<RawClient> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  t.after(() => socket.destroy());
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
  });
  socket.on('error', () => socket.destroy());
  await once(socket, 'connect');
  return {
    socket,
    received: () => text,
    waitFor: (wanted) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (!text.includes(wanted)) return;
          socket.off('data', look);
          resolve();
        };
        socket.on('data', look);
        socket.once('close', () => reject(new Error(`closed after ${JSON.stringify(text)}`)));
        look();
      }),
  };
}

/** The bytes of a POST with a length. */
export function post(path: string, body: string | Buffer, headers: Record<string, string> = {}): Buffer {
  const bytes = Buffer.from(body);
  const lines = Object.entries({ Host: 'x', 'Content-Length': String(bytes.length), ...headers });
  const head = `POST ${path} HTTP/1.1\r\n${lines.map(([k, v]) => `${k}: ${v}\r\n`).join('')}\r\n`;
  return Buffer.concat([Buffer.from(head, 'latin1'), bytes]);
}
