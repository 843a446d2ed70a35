/**
 * A bounded pool of connections. Each has server-side limits for locks and statements, so nothing of ours runs on for
 * long after its connection was given up; every wait here ends with its signal or a time limit. After a failed
 * connect the server is left alone for a growing while, and everybody is told why at once: a server that is full or
 * starting is not helped by a gateway that keeps knocking.
 */
import { type ClientBase, type Connection, Pool, type PoolClient } from 'pg';
import type { Clock } from '../../model/clock.ts';
import type { Logger } from '../../model/logger.ts';
import { unlessAborted } from '../../util/abort.ts';
import { exponentialMs, jitterMs, type Random } from '../../util/backoff.ts';
import { isSessionUsable, wordsOf } from './errors.ts';
import { connectConfig, type PostgresConnectOptions, sessionSetup } from './session.ts';

/** Connections to one server. */
export interface Connections {
  /** A connection, to be released. Rejects within the connect timeout, or with the reason of the signal. */
  take(signal: AbortSignal): Promise<PoolClient>;
  /** Runs `work` on a connection; a failure of the connection, or an abort, ends it. */
  run<T>(signal: AbortSignal, work: (client: PoolClient) => Promise<T>): Promise<T>;
  stats(): { readonly open: number; readonly idle: number; readonly waiting: number };
  /** Ends all connections, also those in use. Idempotent. */
  close(): Promise<void>;
}

/** What the pool works with. */
export interface ConnectionsDeps {
  readonly clock: Pick<Clock, 'now'>;
  readonly logger: Logger;
  readonly random: Random;
}

const MIN_PAUSE_MS = 100;
const MAX_PAUSE_MS = 2_000;
const IDLE_MS = 60_000;

/** Creates the pool; it connects when it is used. */
export function createConnections(options: PostgresConnectOptions, deps: ConnectionsDeps): Connections {
  const { clock, logger, random } = deps;
  const clients = new Set<ClientBase>();
  const pool = createPool(options, logger, clients);
  let failures = 0;
  let pause: { readonly untilMs: number; readonly error: unknown } | undefined;
  let closed: Promise<void> | undefined;

  function failed(error: unknown): void {
    const pauseMs = jitterMs(exponentialMs(MIN_PAUSE_MS, MAX_PAUSE_MS, ++failures), 0.2, random);
    pause = { untilMs: clock.now() + pauseMs, error };
    if (failures === 1) logger.warn({ ...wordsOf(error), pauseMs }, 'no connection to the database');
  }

  async function take(signal: AbortSignal): Promise<PoolClient> {
    signal.throwIfAborted();
    if (pause !== undefined && pool.idleCount === 0 && clock.now() < pause.untilMs) throw pause.error;
    const isFull = pool.totalCount >= options.poolSize && pool.idleCount === 0;
    const connecting = pool.connect();
    try {
      const client = await unlessAborted(connecting, signal);
      if (failures > 0) logger.info({ failures }, 'connected to the database again');
      failures = 0;
      pause = undefined;
      return client;
    } catch (error) {
      if (signal.aborted) connecting.then((client) => client.release()).catch(() => undefined);
      // A wait for others of ours says nothing about the server.
      else if (closed === undefined && !isFull) failed(error);
      throw error;
    }
  }

  async function close(): Promise<void> {
    const ended = pool.end();
    // Those in use would be waited for, and a peer that is gone answers no goodbye.
    for (const client of clients) socketOf(client).destroy();
    await ended;
  }

  return {
    take,
    async run(signal, work) {
      const client = await take(signal);
      let usable = false;
      try {
        const result = await unlessAborted(work(client), signal);
        usable = true;
        return result;
      } catch (error) {
        usable = !signal.aborted && isSessionUsable(error);
        throw error;
      } finally {
        client.release(!usable);
      }
    },
    stats: () => ({ open: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }),
    close: () => (closed ??= close()),
  };
}

/** `clients`: those that are connected or connecting. */
function createPool(options: PostgresConnectOptions, logger: Logger, clients: Set<ClientBase>): Pool {
  const pool = new Pool({
    ...connectConfig(options),
    max: options.poolSize,
    idleTimeoutMillis: IDLE_MS,
    verify: (client, done) => void setUp(client, options, done),
  });
  // Without listeners an error of an idle connection would end the process; those who wait on it are told anyway.
  pool.on('error', (error) => logger.debug({ err: error }, 'an idle connection to the database ended'));
  pool.on('connect', (client) => {
    clients.add(client);
    client.on('error', () => undefined);
    client.on('end', () => clients.delete(client));
  });
  return pool;
}

async function setUp(
  client: ClientBase,
  options: PostgresConnectOptions,
  done: (error?: Error) => void,
): Promise<void> {
  let failure: unknown;
  try {
    await client.query(sessionSetup(options));
  } catch (error) {
    failure = error;
  }
  done(failure as Error | undefined);
}

/** The socket, which the driver's types do not show. */
export function socketOf(client: ClientBase): { destroy(): void } {
  return (client as unknown as { connection: Connection }).connection.stream;
}
