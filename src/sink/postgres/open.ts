/**
 * Opens a PostgreSQL database, 13 or later. What a human has to put right (a refused user, a database that is not
 * there, a version that is too old) fails here with a message that says which; a server that does not answer does
 * not: the gateway starts, says so, and writes as soon as the server is there.
 */
import type pg from 'pg';
import { GatewayError } from '../../errors.ts';
import type { Clock } from '../../model/clock.ts';
import type { Logger } from '../../model/logger.ts';
import type { Sink } from '../../model/sink.ts';
import type { Random } from '../../util/backoff.ts';
import { type Connections, createConnections } from './connections.ts';
import { createDdl } from './ddl.ts';
import { sqlState, wordsOf } from './errors.ts';
import { nameRules } from './names.ts';
import type { PostgresConnectOptions } from './session.ts';
import type { HypertableOptions } from './timescale.ts';
import { valueRules } from './value-rules.ts';
import { createWriter } from './writer.ts';

/** How to use the database. */
export interface PostgresOptions extends PostgresConnectOptions {
  readonly hypertables: HypertableOptions;
}

/** What the sink needs. */
export interface PostgresDeps {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
}

/** Numbers for gauges. */
export interface PostgresStats {
  readonly connections: number;
  readonly idleConnections: number;
  /** Calls that wait for a connection. */
  readonly waiting: number;
  /** Prepared statements of the writer. */
  readonly statements: number;
  /** Tables that nothing is sent to for a while, because of a failure of their own. */
  readonly heldTables: number;
}

/** The database. */
export interface PostgresSink extends Sink {
  stats(): PostgresStats;
}

const OLDEST_VERSION = 13;

/** Opens the database. @throws {GatewayError} config_invalid when it can't be used as configured. */
export async function openPostgres(options: PostgresOptions, deps: PostgresDeps): Promise<PostgresSink> {
  const connections = createConnections(options, deps);
  try {
    await check(options, connections, deps.logger);
  } catch (error) {
    await connections.close();
    throw error;
  }
  const writer = createWriter({
    connections,
    clock: deps.clock,
    lockTimeoutMs: options.lockTimeoutMs * 2,
  });
  let closed: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    await writer.close();
    await connections.close();
  };
  return {
    names: nameRules,
    values: valueRules,
    ddl: createDdl({ connections, hypertables: options.hypertables, clock: deps.clock }),
    writer,
    stats: () => {
      const { open, idle, waiting } = connections.stats();
      return { connections: open, idleConnections: idle, waiting, ...writer.stats() };
    },
    close: () => (closed ??= close()),
  };
}

interface Server {
  readonly version: number;
  readonly encoding: string;
  readonly timescale: string | null;
}

async function check(options: PostgresOptions, connections: Connections, logger: Logger): Promise<void> {
  const { host, port, database } = options;
  let server: Server;
  try {
    server = await connections.run(new AbortController().signal, readServer);
  } catch (error) {
    const mistake = mistakeOf(error, options);
    if (mistake !== undefined) throw unusable(options, mistake, error);
    const { code, message } = wordsOf(error);
    logger.error(
      { host, port, code, reason: message },
      'PostgreSQL does not answer; writes fail until it does',
    );
    return;
  }
  if (server.version < OLDEST_VERSION * 10_000) {
    const version = Math.floor(server.version / 10_000);
    throw unusable(options, `it is version ${version}; ${OLDEST_VERSION} or later is needed`);
  }
  if (server.encoding !== 'UTF8') {
    throw unusable(options, `its encoding is ${server.encoding}; create a database with ENCODING 'UTF8'`);
  }
  logger.info({ host, port, database, ...server }, 'database opened');
}

async function readServer(client: pg.ClientBase): Promise<Server> {
  const { rows } = await client.query<Server>(
    `SELECT current_setting('server_version_num')::int AS version, current_setting('server_encoding') AS encoding,
      (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb') AS timescale`,
  );
  return rows[0] as Server;
}

/** What is wrong with the configuration, and what to do; undefined: nothing, the server is only not there. */
function mistakeOf(error: unknown, options: PostgresOptions): string | undefined {
  const state = sqlState(error);
  const { message } = wordsOf(error);
  if (state !== undefined) return REFUSALS.get(state)?.(options, message);
  const { host, port, user, tls } = options;
  if (/SASL|password must be a string/i.test(message))
    return `it asks for a password of user ${user} and none that works is configured: check postgres.password`;
  if (/SSL|certificate|self.signed|altnames/i.test(message))
    return `no encrypted connection (postgres.tls is ${tls}): ${message}`;
  if (message.includes('ENOTFOUND')) return `there is no such host: check postgres.host (${host})`;
  if (/received|invalid|unknown message/i.test(message) && !message.includes('terminated'))
    return `what answers on port ${port} is not PostgreSQL (${message}): check postgres.host and postgres.port`;
  return undefined;
}

/** What the server says, by SQLSTATE. */
const REFUSALS = new Map<string, (options: PostgresOptions, message: string) => string>([
  [
    '28P01',
    ({ user }) => `it refuses the password of user ${user}: check postgres.user and postgres.password`,
  ],
  [
    '28000',
    ({ user }, message) =>
      `it refuses user ${user} (${message}): check postgres.user, postgres.tls and the server's pg_hba.conf`,
  ],
  ['3D000', ({ database }) => `there is no database ${database}: check postgres.database, or create it`],
  [
    '42501',
    ({ user, database }, message) =>
      `user ${user} may not use database ${database} (${message}): GRANT CONNECT to it`,
  ],
]);

function unusable({ host, port }: PostgresOptions, reason: string, cause?: unknown): GatewayError {
  return new GatewayError('config_invalid', `PostgreSQL at ${host}:${port} can't be used: ${reason}`, {
    cause,
  });
}
