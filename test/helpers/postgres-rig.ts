/** Sinks over a real PostgreSQL, and what is in their tables by the names of clients. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { ColumnSpec, ValueType } from '../../src/model/column.ts';
import type { Logger } from '../../src/model/logger.ts';
import { type DdlResult, WriteError, type WriteFailure } from '../../src/model/sink.ts';
import type { TableId } from '../../src/model/table.ts';
import { columnIdentifier, qualified, quote } from '../../src/sink/postgres/names.ts';
import { openPostgres, type PostgresOptions, type PostgresSink } from '../../src/sink/postgres/open.ts';
import { createSystemClock } from '../../src/util/clock.ts';
import { createTestSource, type TestPoint, type TestValue } from './points.ts';
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

/** A tag column. */
export const tag = (name: string): ColumnSpec => ({ name, kind: 'tag', type: 'string' });
/** A field column. */
export const field = (name: string, type: ValueType = 'float64'): ColumnSpec => ({
  name,
  kind: 'field',
  type,
});
/** A table of the database `public`. */
export const idOf = (table: string): TableId => ({ database: 'public', table });
/** The columns of `point`. */
export const COLUMNS: readonly ColumnSpec[] = [tag('host'), field('value')];

/** A point of one series. */
export const point = (table: string, timeNs: bigint, value: TestValue = ['float64', 1]): TestPoint => ({
  table,
  timeNs,
  tags: { host: 'a' },
  fields: [['value', value]],
});

/** Why a write failed, or undefined. */
export async function failureOf(writing: Promise<void>): Promise<WriteFailure | undefined> {
  try {
    await writing;
    return undefined;
  } catch (error) {
    assert.ok(error instanceof WriteError, `a WriteError, not ${String(error)}`);
    return error.failure;
  }
}

/** The names of the tables that a failure concerns. */
export function tablesOf(failure: WriteFailure | undefined): readonly string[] | undefined {
  return failure?.tables?.map(({ table }) => table);
}

/** A new database of the server with the table `m`, a sink on it, and short ways to use it. */
export async function openWithTable(t: TestContext, postgres: Postgres, more: Partial<PostgresOptions> = {}) {
  const { signal } = new AbortController();
  const database = await postgres.createDatabase();
  await postgres.sql(database, 'CREATE SCHEMA public; GRANT ALL ON SCHEMA public TO public');
  const sink = await openTestPostgres(t, postgresOptions(postgres, database, more));
  const source = createTestSource('public');
  const create = (table: string, columns = COLUMNS): Promise<DdlResult> =>
    sink.ddl.createTable({ id: idOf(table), source: 'influx', columns }, signal);
  assert.deepEqual(await create('m'), { kind: 'done' });
  return {
    postgres,
    database,
    sink,
    create,
    sql: (text: string) => postgres.sql(database, text),
    read: (table: string, columns: readonly string[]) => readTable(postgres, database, idOf(table), columns),
    write: (...points: readonly TestPoint[]) => failureOf(sink.writer.write([source.batch(points)], signal)),
    session: () => postgres.session(t, database),
  };
}
