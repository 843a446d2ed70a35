/**
 * How to connect, and what every session is set to: limits that hold on the server, whatever becomes of the gateway;
 * UTF-8 and literals as the gateway writes them; a commit that is durable when it is acknowledged.
 */
import { readFileSync } from 'node:fs';
import type pg from 'pg';
import { GatewayError } from '../../errors.ts';

/** Where the database is and how it is used. */
export interface PostgresConnectOptions {
  /** Name, address, or the folder of a Unix socket. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Empty: none. */
  readonly password: string;
  readonly database: string;
  /** `require`: encrypted, the server's certificate is not looked at; `verify`: it must be valid for `host`. */
  readonly tls: 'off' | 'require' | 'verify';
  /** File of the authorities to trust, for `verify`; empty: the usual ones. */
  readonly caFile: string;
  /** Connections, at least 2: one writes, the others do all else. */
  readonly poolSize: number;
  /** For a new connection, and for a free one of the pool. */
  readonly connectTimeoutMs: number;
  /** After it the server ends a statement. */
  readonly statementTimeoutMs: number;
  /** So long a DDL statement waits for its lock, which holds up writers to the table; writes wait twice as long. */
  readonly lockTimeoutMs: number;
}

const KEEP_ALIVE_MS = 30_000;

/** The driver's configuration. Nothing is left for it to read from the environment. */
export function connectConfig(options: PostgresConnectOptions): pg.ClientConfig {
  const { host, port, user, password, database, connectTimeoutMs } = options;
  return {
    host,
    port,
    user,
    database,
    // As a function, for the driver would look for an empty one in the environment and in ~/.pgpass.
    password: () => password,
    ssl: tlsConfig(options),
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    application_name: 'sluice',
  };
}

function tlsConfig({ tls, caFile }: PostgresConnectOptions): pg.ClientConfig['ssl'] {
  if (tls === 'off') return false;
  if (tls === 'require') return { rejectUnauthorized: false };
  if (caFile === '') return { rejectUnauthorized: true };
  try {
    return { rejectUnauthorized: true, ca: readFileSync(caFile, 'utf8') };
  } catch (cause) {
    throw new GatewayError('config_invalid', `postgres.caFile ${caFile} can't be read`, { cause });
  }
}

/** The statement that sets up a session. A server that knows a setting not is not asked for it. */
export function sessionSetup({ statementTimeoutMs, lockTimeoutMs }: PostgresConnectOptions): string {
  const settings: readonly (readonly [name: string, value: string])[] = [
    ['statement_timeout', `${statementTimeoutMs}`],
    ['lock_timeout', `${lockTimeoutMs}`],
    ['idle_in_transaction_session_timeout', `${statementTimeoutMs}`],
    // Ends what a gateway that has vanished began (the second is known since 14).
    ['tcp_keepalives_idle', '30'],
    ['client_connection_check_interval', '5000'],
    ['client_min_messages', 'warning'],
    ['standard_conforming_strings', 'on'],
    ['datestyle', 'ISO'],
    ['plan_cache_mode', 'force_generic_plan'],
    ['jit', 'off'],
  ];
  const names = settings.map(([name]) => `'${name}'`).join(', ');
  const values = settings.map(([name, value]) => `('${name}', '${value}')`).join(', ');
  return `SELECT set_config(s.name, s.value, false) FROM (VALUES ${values}) AS s (name, value)
    WHERE s.name IN (SELECT name FROM pg_settings WHERE name IN (${names}));
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`;
}
