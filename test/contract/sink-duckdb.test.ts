import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { stat, truncate } from 'node:fs/promises';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';
import { GatewayError } from '../../src/errors.ts';
import type { ValueType } from '../../src/model/column.ts';
import type { TableId } from '../../src/model/table.ts';
import { literal, quote } from '../../src/sink/duckdb/names.ts';
import type { DuckDbSink } from '../../src/sink/duckdb/open.ts';
import { databasePath, openTestDuckDb, query } from '../helpers/duckdb.ts';
import { createTestSource } from '../helpers/points.ts';
import { type ReadValue, type StoringSink, sinkSuite, storageSuite } from './sink-suite.ts';
import { randomSuite } from './sink-suite-random.ts';
import { wideSuite } from './sink-suite-wide.ts';

const { signal } = new AbortController();
const M: TableId = { database: 'public', table: 'm' };

sinkSuite('duckdb', async (t) => ({ sink: await openTestDuckDb(t) }));
storageSuite('duckdb', openStoring);
wideSuite('duckdb', openStoring);
randomSuite('duckdb', openStoring);

async function openStoring(t: TestContext): Promise<StoringSink> {
  const sink = await openTestDuckDb(t);
  return { sink, read: (id, columns) => readTable(sink, id, columns) };
}

/** Reads by the names that the catalog tables say; integers as text, for JSON.parse would round them. */
async function readTable(sink: DuckDbSink, id: TableId, columns: readonly string[]): Promise<ReadValue[][]> {
  const { database, table } = id;
  const names = await query(
    sink.sql,
    `SELECT t.view_name, c.name, c.type, c.column_name FROM _sluice.tables t JOIN _sluice.columns c ON c.table_id = t.id
     WHERE t.database = ${literal(database)} AND t.name = ${literal(table)}`,
    { database },
  );
  const rows = JSON.parse(names.rowsJson) as [view: string, name: string, type: ValueType, column: string][];
  const byName = new Map(
    rows.map(([, name, type, column]) => [name, { column, isInt: type.endsWith('int64') }]),
  );
  const wanted = columns.map((name) => byName.get(name) ?? assert.fail(`no column ${name}`));
  const list = wanted.map(({ column, isInt }) => `${quote(column)}${isInt ? '::VARCHAR' : ''}`);
  const select = `SELECT ${['epoch_ns(time)::VARCHAR', ...list].join(', ')} FROM ${quote(rows[0]?.[0] ?? '')} ORDER BY time`;
  const answer = JSON.parse((await query(sink.sql, select, { database })).rowsJson) as (
    | string
    | number
    | null
  )[][];
  return answer.map(([time, ...values]) => [
    BigInt(time as string),
    ...values.map((value, i) => (value !== null && wanted[i]?.isInt ? BigInt(value) : value)),
  ]);
}

async function createM(sink: DuckDbSink): Promise<void> {
  await sink.ddl.createDatabase('public', signal);
  const columns = [
    { name: 'host', kind: 'tag', type: 'string' },
    { name: 'value', kind: 'field', type: 'float64' },
  ] as const;
  assert.deepEqual(await sink.ddl.createTable({ id: M, source: 'influx', columns }, signal), {
    kind: 'done',
  });
}

function batchOf(count: number, source = createTestSource('public')) {
  return source.batch(
    Array.from({ length: count }, (_, i) => ({
      table: 'm',
      tags: { host: `h${i % 10}` },
      timeNs: BigInt(i),
      fields: [['value', ['float64', i]]] as const,
    })),
  );
}

async function refusal(promise: Promise<unknown>): Promise<GatewayError> {
  const error = await promise.then(
    () => undefined,
    (e: unknown) => e,
  );
  assert.ok(error instanceof GatewayError, `a GatewayError, not ${String(error)}`);
  return error;
}

async function startChild(t: TestContext, path: string) {
  const script = fileURLToPath(new URL('../helpers/duckdb-child.js', import.meta.url));
  const child = spawn(process.execPath, [script, path], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child;
}

describe('duckdb file', () => {
  it('is found again as it was left, series and names included', async (t) => {
    const path = await databasePath();
    const first = await openTestDuckDb(t, { path });
    await createM(first);
    await first.writer.write([batchOf(25)], signal);
    await first.close();

    const second = await openTestDuckDb(t, { path });
    assert.deepEqual(second.stats(), { tables: 1, series: 10, operations: 0, queries: 0 });
    await second.writer.write([batchOf(30)], signal);
    assert.equal(second.stats().series, 10);
    await second.ddl.createTable(
      { id: { database: 'public', table: 'M' }, source: 'influx', columns: [] },
      signal,
    );
    const answer = await query(
      second.sql,
      'SELECT count(*), count(DISTINCT host), sum(value)::BIGINT FROM m',
    );
    assert.equal(answer.rowsJson, '[[30,10,435]]');
    const views = await query(second.sql, 'SELECT name, view_name FROM _sluice.tables ORDER BY id');
    assert.equal(views.rowsJson, '[["m","m"],["M","M~1"]]');
  });

  it('keeps what was acknowledged when the process is killed, and belongs to one process', async (t) => {
    const path = await databasePath();
    const child = await startChild(t, path);
    const error = await refusal(openTestDuckDb(t, { path }));
    assert.equal(error.code, 'config_invalid');
    assert.match(error.message, /another process has it open/);

    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    const sink = await openTestDuckDb(t, { path });
    assert.equal((await query(sink.sql, 'SELECT * FROM m')).rowsJson, '[[5,1.25]]');
  });

  it('has its log merged at close, so that it can be read with any DuckDB', async (t) => {
    const path = await databasePath();
    const sink = await openTestDuckDb(t, { path });
    await createM(sink);
    await sink.writer.write([batchOf(3)], signal);
    await sink.close();
    await assert.rejects(stat(`${path}.wal`), { code: 'ENOENT' });
    const instance = await DuckDBInstance.create(path);
    const connection = await instance.connect();
    t.after(() => instance.closeSync());
    t.after(() => connection.closeSync());
    const rows = await connection.runAndReadAll('SELECT host, value FROM public.m ORDER BY time');
    assert.deepEqual(rows.getRows(), [
      ['h0', 0],
      ['h1', 1],
      ['h2', 2],
    ]);
  });

  it('is refused with the reason when parts of it are missing', async (t) => {
    const path = await databasePath();
    const sink = await openTestDuckDb(t, { path });
    await createM(sink);
    await sink.writer.write([batchOf(5_000)], signal);
    await sink.close();
    await truncate(path, 300_000);
    const error = await refusal(openTestDuckDb(t, { path }));
    assert.equal(error.code, 'config_invalid');
    assert.match(error.message, /test\.duckdb can't be used: IO Error/);
  });

  it('is refused with another time column, or when something else made it', async (t) => {
    const path = await databasePath();
    await (await openTestDuckDb(t, { path })).close();
    const renamed = await refusal(openTestDuckDb(t, { path, timeColumn: 'ts' }));
    assert.match(renamed.message, /time column is 'time', but 'ts' is configured/);

    const foreign = `${path}.foreign`;
    const instance = await DuckDBInstance.create(foreign);
    const connection = await instance.connect();
    await connection.run('CREATE SCHEMA theirs');
    connection.closeSync();
    instance.closeSync();
    assert.match((await refusal(openTestDuckDb(t, { path: foreign }))).message, /made by something else/);
    assert.match((await refusal(openTestDuckDb(t, { path: '/dev/null/x' }))).message, /dev\/null/);
  });

  it('names the time column as configured, and moves a tag of that name aside', async (t) => {
    const sink = await openTestDuckDb(t, { timeColumn: 'Ts' });
    await sink.ddl.createDatabase('public', signal);
    const columns = [{ name: 'ts', kind: 'tag', type: 'string' } as const];
    await sink.ddl.createTable({ id: M, source: 'influx', columns }, signal);
    const answer = await query(sink.sql, 'SELECT * FROM m');
    assert.deepEqual(
      answer.columns.map((column) => column.name),
      ['Ts', 'ts~0'],
    );
  });
});

describe('duckdb names', () => {
  it('take 64 KiB, which their case variants do not meet either', async (t) => {
    const sink = await openTestDuckDb(t, { path: await databasePath() });
    await sink.ddl.createDatabase('public', signal);
    const name = 'n'.repeat(65_535);
    const tables = [`${name}x`, `${name}X`];
    for (const table of tables) {
      const columns = [{ name: table, kind: 'field', type: 'float64' } as const];
      const result = await sink.ddl.createTable(
        { id: { database: 'public', table }, source: 'influx', columns },
        signal,
      );
      assert.equal(result.kind, 'done');
    }
    const points = tables.map((table, i) => ({ table, fields: [[table, ['float64', i]]] as const }));
    await sink.writer.write([createTestSource('public').batch(points)], signal);
    const lengths = await query(
      sink.sql,
      'SELECT length(name), length(view_name) FROM _sluice.tables ORDER BY id',
    );
    assert.equal(lengths.rowsJson, '[[65536,65536],[65536,65538]]');
  });

  it('that nothing can hold are refused with the reason, by the rules and by the database', async (t) => {
    const sink = await openTestDuckDb(t);
    await sink.ddl.createDatabase('public', signal);
    for (const name of ['', 'a\u0000b', 'a\ud800b']) {
      const id = { database: 'public', table: name };
      assert.match(sink.names.checkDatabase(name) ?? '', /name/);
      assert.match(sink.names.checkTable(id) ?? '', /name/);
      assert.match(sink.names.checkColumn({ name, kind: 'tag', type: 'string' }) ?? '', /name/);
    }
    for (const table of ['', 'a\u0000b']) {
      const spec = { id: { database: 'public', table }, source: 'influx', columns: [] } as const;
      assert.equal((await sink.ddl.createTable(spec, signal)).kind, 'invalid');
    }
    assert.deepEqual(await sink.ddl.inventory(signal), [{ database: 'public', tables: 0 }]);
  });
});

describe('duckdb concurrency', () => {
  it('writes, creates and reads at once, over checkpoints', async (t) => {
    const sink = await openTestDuckDb(t, { path: await databasePath(), checkpointBytes: 1 });
    await createM(sink);
    const source = createTestSource('public');
    const writes = (async () => {
      for (let i = 0; i < 20; i++) await sink.writer.write([batchOf(500, source)], signal);
    })();
    const creates = Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        sink.ddl.createTable(
          { id: { database: 'public', table: `n${i}` }, source: 'influx', columns: [] },
          signal,
        ),
      ),
    );
    const reads = (async () => {
      for (let i = 0; i < 20; i++) await query(sink.sql, 'SELECT count(*), max(value) FROM m');
    })();
    const results = await creates;
    await Promise.all([writes, reads]);
    assert.ok(results.every((result) => result.kind === 'done'));
    assert.equal((await query(sink.sql, 'SELECT count(*), max(value) FROM m')).rowsJson, '[[500,499]]');
    assert.equal(sink.stats().tables, 21);
  });

  it('goes on writing, and loses nothing, while queries take all the memory there is', async (t) => {
    const path = await databasePath();
    const sink = await openTestDuckDb(t, { path, memoryLimitBytes: 64 * 1024 * 1024 });
    await createM(sink);
    const source = createTestSource('public');
    const written = new AbortController();
    const refusals: string[] = [];
    const greedy = async (): Promise<void> => {
      const hoard = 'SELECT list(range) FROM range(1000000000)';
      while (!written.signal.aborted) refusals.push((await refusal(query(sink.sql, hoard))).code);
    };
    const queries = [greedy(), greedy()];
    for (let i = 1; i <= 20; i++) await sink.writer.write([batchOf(i * 1_000, source)], signal);
    written.abort();
    await Promise.all(queries);
    assert.ok(refusals.length > 0);
    assert.ok(
      refusals.every((code) => code === 'sql_invalid' || code === 'overload'),
      String(refusals),
    );
    const count = 'SELECT count(*), count(value), sum(value)::BIGINT FROM m';
    assert.equal((await query(sink.sql, count)).rowsJson, '[[20000,20000,199990000]]');
    await sink.close();
    await assert.rejects(stat(`${path}.wal`), { code: 'ENOENT' });
    const again = await openTestDuckDb(t, { path });
    assert.equal((await query(again.sql, count)).rowsJson, '[[20000,20000,199990000]]');
  });

  it('waits at close for the write that runs, and stops the query that runs', async (t) => {
    const path = await databasePath();
    const sink = await openTestDuckDb(t, { path });
    await createM(sink);
    const endless = refusal(query(sink.sql, 'SELECT count(*) FROM range(1000000000000)'));
    const write = sink.writer.write([batchOf(5_000)], signal);
    await sink.close();
    await write;
    assert.equal((await endless).code, 'closed');
    assert.equal((await refusal(query(sink.sql, 'SELECT 1'))).code, 'closed');
    const again = await openTestDuckDb(t, { path });
    assert.equal((await query(again.sql, 'SELECT count(*) FROM m')).rowsJson, '[[5000]]');
  });
});
