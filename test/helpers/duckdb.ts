/** Opens embedded databases for tests. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext } from 'node:test';
import type { Logger } from '../../src/model/logger.ts';
import type { SqlAnswer, SqlLimits, SqlReader } from '../../src/model/sql.ts';
import { type DuckDbOptions, type DuckDbSink, openDuckDb } from '../../src/sink/duckdb/open.ts';

/** Options of a small database in memory. */
export const DUCKDB_OPTIONS: DuckDbOptions = {
  path: ':memory:',
  timeColumn: 'time',
  memoryLimitBytes: 256 * 1024 * 1024,
  threads: 1,
  checkpointBytes: 16 * 1024 * 1024,
  sql: { maxRunning: 2, maxWaiting: 2, maxAnswerBytes: 8 * 1024 * 1024 },
};

/** A logger that says nothing. */
export const SILENT: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** Opens a database that the test's end closes. */
export async function openTestDuckDb(
  t: TestContext,
  options: Partial<DuckDbOptions> = {},
): Promise<DuckDbSink> {
  const sink = await openDuckDb({ ...DUCKDB_OPTIONS, ...options }, { logger: SILENT });
  t.after(() => sink.close());
  return sink;
}

const folders: string[] = [];
after(async () => {
  for (const folder of folders) await rm(folder, { recursive: true });
});

/** The path of a database file in a folder that is removed when the tests of the file have ended. */
export async function databasePath(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-duckdb-'));
  folders.push(folder);
  return join(folder, 'data', 'test.duckdb');
}

/** Runs a query with limits that a test need not name. */
export function query(sql: SqlReader, text: string, limits: Partial<SqlLimits> = {}): Promise<SqlAnswer> {
  const { signal } = new AbortController();
  return sql.query(text, { database: 'public', maxRows: 10_000, timeoutMs: 30_000, signal, ...limits });
}
