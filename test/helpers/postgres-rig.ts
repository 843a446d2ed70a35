/** Sinks over a real PostgreSQL, and what is in their tables by the names of clients. */
import type { TestContext } from 'node:test';
import type { Logger } from '../../src/model/logger.ts';
import type { TableId } from '../../src/model/table.ts';
import { columnIdentifier, qualified, quote } from '../../src/sink/postgres/names.ts';
import { openPostgres, type PostgresOptions, type PostgresSink } from '../../src/sink/postgres/open.ts';
import { createSystemClock } from '../../src/util/clock.ts';
import { type Postgres, SUPERUSER } from './postgres.ts';

/** A logger that says nothing. */
export const SILENT: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** Options for a database of the server. */
export function postgresOptions(
  { port }: Pick<Postgres, 'port'>,
  database: string,
  more: Partial<PostgresOptions> = {},
): PostgresOptions {
  return {
    host: '127.0.0.1',
    port,
    user: SUPERUSER,
    password: '',
    database,
    tls: 'off',
    caFile: '',
    poolSize: 4,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 20_000,
    lockTimeoutMs: 200,
    hypertables: { chunkMs: 604_800_000, retentionMs: 0 },
    ...more,
  };
}

/** Opens a sink that the test's end closes. */
export async function openTestPostgres(
  t: TestContext,
  options: PostgresOptions,
  logger = SILENT,
): Promise<PostgresSink> {
  const deps = { logger, clock: createSystemClock(), random: () => 0.5 };
  const sink = await openPostgres(options, deps);
  t.after(() => sink.close());
  return sink;
}

/** A value as the contract's suite reads it. */
export type ReadValue = number | bigint | boolean | string | null;

/** The rows of a table by time: nanoseconds, and the columns by their clients' names. */
export async function readTable(
  postgres: Postgres,
  database: string,
  id: TableId,
  columns: readonly string[],
): Promise<ReadValue[][]> {
  const list = columns.map((name) => `t.${quote(columnIdentifier(name))}`);
  const types = await postgres.sql(
    database,
    `SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = '${qualified(id).replaceAll("'", "''")}'::regclass`,
  );
  const integers = new Set(
    types.flatMap(([name, type]) => (type === 'bigint' || type === 'numeric(20,0)' ? [name] : [])),
  );
  const rows = await postgres.sql(
    database,
    `SELECT ${['(extract(epoch FROM t.time) * 1000000)::bigint', 't.time_ns', ...list].join(', ')}
     FROM ${qualified(id)} t ORDER BY t.time, t.time_ns`,
  );
  return rows.map(([micros, nanos, ...values]) => [
    BigInt(micros as string) * 1_000n + BigInt(nanos as number),
    ...values.map((value, i) =>
      value !== null && integers.has(columnIdentifier(columns[i] as string))
        ? BigInt(value as string)
        : (value as ReadValue),
    ),
  ]);
}
