import assert from 'node:assert/strict';
import { readdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { describe, it } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import { type ErrorCode, GatewayError } from '../../src/errors.ts';
import { FUNCTIONS } from '../../src/sink/duckdb/sql-functions.ts';
import { databasePath, openTestDuckDb, query } from '../helpers/duckdb.ts';
import { createTestSource } from '../helpers/points.ts';

const { signal } = new AbortController();

async function refusal(promise: Promise<unknown>): Promise<ErrorCode> {
  const error = await promise.then(
    (answer) => assert.fail(`answered ${JSON.stringify(answer)}`),
    (e: unknown) => e,
  );
  if (!(error instanceof GatewayError)) throw error;
  return error.code;
}

const times = <T>(count: number, make: (i: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i));

/** Small statements that DuckDB would expand to 2^24 of something, deaf to interrupts. */
const BOMBS = [
  `WITH a0 AS NOT MATERIALIZED (SELECT 1 AS x)${times(24, (i) => `, a${i + 1} AS NOT MATERIALIZED (SELECT l.x FROM a${i} l, a${i} r)`).join('')} FROM a24`,
  `SELECT count(*) FROM ${'(SELECT *, * FROM '.repeat(24)}m${')'.repeat(24)}`,
  `SELECT count(*) FROM ${'(SELECT COLUMNS(*), * FROM '.repeat(24)}m${')'.repeat(24)}`,
  `SELECT 1 AS a0${times(24, (i) => `, a${i}+A${i} AS a${i + 1}`).join('')}`,
  `SELECT {x: 1} AS a0${times(24, (i) => `, a${i}.x + a${i}.x AS a${i + 1}`).join('')}`,
  `SELECT ${'nullif('.repeat(30)}1${', 2)'.repeat(30)}`,
  `SELECT 1${' UNION ALL SELECT 1'.repeat(33)}`,
  `FROM m${', m'.repeat(16)}`,
  'SELECT NULL::INTEGER[100000][100000]',
  "SELECT repeat('x', 1000000000)",
  'SELECT range(1000000000)',
  'SELECT * FROM unnest(generate_series(1, 1000000000))',
  "SELECT lpad('x', 1000000000, 'x')",
  "SELECT format('{:1000000000}', 1)",
];

const FORBIDDEN = [
  ...BOMBS,
  "SELECT current_setting('temp_directory')",
  "SELECT getvariable('x')",
  "SELECT value FROM m ORDER BY (SELECT current_setting('secret_directory'))",
  'FROM pg_settings',
  'FROM PG_CATALOG.pg_settings',
  'FROM system.pg_catalog."PG_Settings"',
  'FROM duckdb_databases',
  'FROM duckdb_databases()',
  'FROM pragma_database_list',
  'FROM duckdb_logs',
  'SELECT pg_sleep(100)',
  'SELECT system.main.sleep_ms(100000)',
  "SELECT list_transform([1], x -> getenv('HOME'))",
  "SELECT sum(1) FILTER (nextval('s') > 0) OVER (ORDER BY sleep_ms(1))",
  'FROM range(sleep_ms(100)::INTEGER)',
  'VALUES (sleep_ms(100))',
  "FROM query_table('m')",
  "FROM sniff_csv('/etc/passwd')",
  "FROM read_duckdb('/etc/x')",
  'INSERT INTO m VALUES (1)',
  'UPDATE _sluice.cells_float64 SET value = 0',
  'DELETE FROM _sluice.cells_float64',
  'TRUNCATE _sluice.cells_float64',
  'MERGE INTO m USING m AS n ON true WHEN MATCHED THEN DELETE',
  'WITH gone AS (DELETE FROM _sluice.series RETURNING *) SELECT * FROM gone',
  'WITH one AS (SELECT 1) INSERT INTO _sluice.meta SELECT 1, 2',
  'CREATE TABLE x AS SELECT 1',
  'CREATE TEMP TABLE x AS SELECT 1',
  'CREATE MACRO f(x) AS x',
  'CREATE SEQUENCE s',
  'DROP VIEW m',
  'ALTER TABLE _sluice.series ADD COLUMN x INTEGER',
  'EXPLAIN ANALYZE DELETE FROM _sluice.series',
  'PREPARE p AS SELECT 1',
  'EXECUTE p',
  'BEGIN',
  'COMMIT',
  'CHECKPOINT',
  'VACUUM',
  'ANALYZE',
  'USE memory',
  'SET threads = 8',
  'SET GLOBAL enable_external_access = true',
  'RESET lock_configuration',
  'SET VARIABLE x = 1',
  'PRAGMA enable_profiling',
  'PRAGMA database_size',
  'CALL force_checkpoint()',
  'CALL enable_logging()',
  'SELECT * FROM checkpoint()',
  'SELECT * FROM FORCE_CHECKPOINT()',
  'SELECT 1 FROM enable_profiling()',
  'SELECT (SELECT count(*) FROM enable_logging())',
  'WITH a AS (FROM enable_peg_parser()) FROM a',
  'SELECT * FROM range(3) r, LATERAL (FROM truncate_duckdb_logs())',
  "SELECT * FROM query('SELECT * FROM checkpoint()')",
  "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
  'SELECT * FROM duckdb_settings()',
  'SELECT * FROM duckdb_secrets()',
  "SELECT * FROM which_secret('s3://x', 's3')",
  "SELECT write_log('x')",
  'SELECT sleep_ms(100000)',
  "SELECT nextval('s')",
  "SELECT getenv('HOME')",
  "SELECT * FROM read_csv('/etc/passwd')",
  "SELECT * FROM read_text('/etc/passwd')",
  "SELECT * FROM read_blob('/etc/passwd')",
  "SELECT * FROM glob('/etc/*')",
  "SELECT * FROM '/etc/passwd'",
  "SELECT * FROM '/etc/x.csv'",
  "SELECT * FROM 'https://example.org/x.parquet'",
  "DESCRIBE SELECT * FROM read_csv('/etc/passwd')",
  "SUMMARIZE FROM read_csv('/etc/passwd')",
  "COPY m TO '/tmp/sluice-copy.csv'",
  "COPY (SELECT 1) TO '/tmp/sluice-copy.csv'",
  "COPY _sluice.meta FROM '/etc/passwd'",
  "EXPORT DATABASE '/tmp/sluice-export'",
  "IMPORT DATABASE '/tmp/sluice-export'",
  "ATTACH '/tmp/sluice-attach.duckdb' AS x",
  'DETACH memory',
  'INSTALL httpfs',
  'LOAD httpfs',
  'SELECT 1; SELECT 2',
  'SELECT 1; DROP VIEW m',
  '',
  ';',
  '-- nothing',
  'SELECT',
  'SELECT nothing FROM nowhere',
  'SELECT 1 \u0000',
  `SELECT ${'1,'.repeat(80_000)}1`,
  `SELECT ${'('.repeat(20_000)}1${')'.repeat(20_000)}`,
];

describe('SQL reader: what it refuses', () => {
  it('refuses whatever writes, attaches, reads files, reaches the network or changes settings', async (t) => {
    const path = await databasePath();
    const sink = await openTestDuckDb(t, { path });
    await sink.ddl.createDatabase('public', signal);
    const columns = [{ name: 'value', kind: 'field', type: 'float64' } as const];
    await sink.ddl.createTable({ id: { database: 'public', table: 'm' }, source: 'influx', columns }, signal);
    const beside = `${dirname(path)}/beside.csv`;
    await writeFile(beside, 'a,b\n1,2\n');
    const own = [
      `SELECT * FROM read_blob('${path}')`,
      `SELECT * FROM '${path}'`,
      `SELECT * FROM '${beside}'`,
    ];
    for (const sql of [...FORBIDDEN, ...own]) {
      assert.equal(await refusal(query(sink.sql, sql)), 'sql_invalid', sql.slice(0, 80));
    }
    assert.deepEqual((await readdir(dirname(path))).sort(), ['beside.csv', 'test.duckdb', 'test.duckdb.wal']);
    assert.equal((await query(sink.sql, 'SELECT count(*) FROM _sluice.meta')).rowsJson, '[[3]]');
    await sink.writer.write(
      [createTestSource('public').batch([{ table: 'm', fields: [['value', ['float64', 1]]] }])],
      signal,
    );
    assert.equal((await query(sink.sql, 'SELECT * FROM m')).rowsJson, '[[0,1]]');
  });

  it('shows neither the path of the file nor settings in any view of DuckDB', async (t) => {
    const path = await databasePath();
    const sink = await openTestDuckDb(t, { path });
    await sink.ddl.createDatabase('public', signal);
    const views = await query(sink.sql, 'SELECT schema_name, view_name FROM duckdb_views() WHERE internal');
    const names = JSON.parse(views.rowsJson) as [schema: string, view: string][];
    assert.ok(names.length > 40);
    let shown = 0;
    for (const [schema, view] of names) {
      const answer = await query(sink.sql, `FROM ${schema}."${view}"`).catch((error: unknown) =>
        String(error),
      );
      const text = typeof answer === 'string' ? answer : answer.rowsJson;
      assert.doesNotMatch(text, /sluice-duckdb-|memory_limit|stored_secrets/, view);
      if (typeof answer !== 'string') shown++;
    }
    assert.ok(shown > 40);
  });

  it('allows no function with effects on anything, and no macro, which would copy its arguments', async (t) => {
    const instance = await DuckDBInstance.create(':memory:');
    const connection = await instance.connect();
    t.after(() => instance.closeSync());
    t.after(() => connection.closeSync());
    const reader = await connection.runAndReadAll(
      'SELECT DISTINCT function_name, function_type, coalesce(has_side_effects, false) FROM duckdb_functions()',
    );
    const known = reader.getRows() as [name: string, type: string, effects: boolean][];
    const bad = known.filter(([, type, effects]) => type === 'macro' || effects).map(([name]) => name);
    assert.ok(bad.includes('nullif') && bad.includes('nextval'));
    assert.deepEqual(
      bad.filter((name) => FUNCTIONS.has(name)),
      [],
    );
  });

  it('refuses a database that does not exist', async (t) => {
    const sink = await openTestDuckDb(t);
    assert.equal(await refusal(query(sink.sql, 'SELECT 1', { database: 'none"; --' })), 'sql_invalid');
  });

  it('stops at the time limit and when its caller goes away', async (t) => {
    const sink = await openTestDuckDb(t);
    await sink.ddl.createDatabase('public', signal);
    const endless = 'SELECT count(*) FROM range(1000000000000)';
    assert.equal(await refusal(query(sink.sql, endless, { timeoutMs: 20 })), 'sql_timeout');
    const caller = new AbortController();
    const gone = new Error('gone');
    const abandoned = assert.rejects(query(sink.sql, endless, { signal: caller.signal }), gone);
    caller.abort(gone);
    await abandoned;
    await assert.rejects(query(sink.sql, 'SELECT 1', { signal: caller.signal }), gone);
    assert.equal((await query(sink.sql, 'SELECT 1')).rowsJson, '[[1]]');
    assert.equal(sink.stats().queries, 0);
  });

  it('runs and queues a bounded number of queries', async (t) => {
    const sink = await openTestDuckDb(t, { sql: { maxRunning: 1, maxWaiting: 1, maxAnswerBytes: 1_000 } });
    await sink.ddl.createDatabase('public', signal);
    const caller = new AbortController();
    const gone = new Error('gone');
    const endless = 'SELECT count(*) FROM range(1000000000000)';
    const running = assert.rejects(query(sink.sql, endless, { signal: caller.signal }), gone);
    const waiting = query(sink.sql, 'SELECT 1');
    assert.equal(await refusal(query(sink.sql, 'SELECT 2')), 'overload');
    caller.abort(gone);
    await running;
    assert.equal((await waiting).rowsJson, '[[1]]');
  });
});

describe('SQL reader: what it answers', () => {
  it('allows every kind of statement that reads', async (t) => {
    const sink = await openTestDuckDb(t);
    await sink.ddl.createDatabase('public', signal);
    const columns = [{ name: 'value', kind: 'field', type: 'float64' } as const];
    await sink.ddl.createTable({ id: { database: 'public', table: 'm' }, source: 'influx', columns }, signal);
    const allowed = [
      'SELECT 1;',
      'FROM m',
      'TABLE m',
      'VALUES (1), (2)',
      'WITH a AS (SELECT 1 AS x) SELECT x FROM a UNION ALL SELECT 2',
      'WITH RECURSIVE a AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM a WHERE n < 3) SELECT * FROM a',
      'SHOW TABLES',
      'DESCRIBE m',
      'SUMMARIZE m',
      'SELECT * FROM information_schema.tables',
      'SELECT table_name FROM duckdb_tables()',
      'SELECT * FROM public.m, range(3), unnest([1, 2])',
      `SELECT ${times(20, (i) => `max(value) AS value${i}`).join(', ')}, min(value) AS value FROM m`,
      "SELECT value AS v, v * 2 AS w, date_part('year', time), extract(hour FROM time), value::INTEGER FROM m",
      'SELECT count(*) FILTER (value > 1), row_number() OVER (ORDER BY time) FROM m GROUP BY time, value',
      "SELECT * FROM m WHERE 'a' LIKE 'b' ESCAPE '!' AND 'x' SIMILAR TO 'y' AND time > now()::TIMESTAMP - INTERVAL 1 hour",
      'SELECT quantile_cont(value, 0.9), percentile_cont(0.5) WITHIN GROUP (ORDER BY value) FROM m',
      "SELECT time_bucket(INTERVAL 1 minute, time), avg(value) FROM m WHERE time > '2024-01-01' GROUP BY 1",
    ];
    for (const sql of allowed) assert.equal((await query(sink.sql, sql)).truncated, false, sql);
  });

  it('writes values as JSON without losing anything, and names types as GreptimeDB does', async (t) => {
    const sink = await openTestDuckDb(t);
    await sink.ddl.createDatabase('public', signal);
    const cases = [
      ['9223372036854775807::BIGINT', 'Int64', '9223372036854775807'],
      ['(-9223372036854775808)::BIGINT', 'Int64', '-9223372036854775808'],
      ['18446744073709551615::UBIGINT', 'UInt64', '18446744073709551615'],
      ['sum(9223372036854775807::BIGINT)', 'Int128', '9223372036854775807'],
      ['7::INTEGER', 'Int32', '7'],
      ['0.1::DOUBLE', 'Float64', '0.1'],
      ["'-0'::DOUBLE", 'Float64', '-0'],
      ["'nan'::DOUBLE", 'Float64', 'null'],
      ["'-inf'::DOUBLE", 'Float64', 'null'],
      ['1.50::DECIMAL(5,2)', 'Decimal128', '1.50'],
      ['true', 'Boolean', 'true'],
      ['NULL::VARCHAR', 'String', 'null'],
      [`'a"b' || chr(10) || '☃'`, 'String', String.raw`"a\"b\n☃"`],
      ['make_timestamp_ns(1700000000123456789)', 'TimestampNanosecond', '1700000000123456789'],
      ["TIMESTAMP '1970-01-01 00:00:01.5'", 'TimestampNanosecond', '1500000000'],
      ["TIMESTAMP_S '1970-01-01 00:00:02'", 'TimestampNanosecond', '2000000000'],
      ["TIMESTAMP_MS '1969-12-31 23:59:59.999'", 'TimestampNanosecond', '-1000000'],
      ["DATE '2024-02-29'", 'Date', '"2024-02-29"'],
      ['[1, 2]', 'String', '"[1, 2]"'],
    ] as const;
    for (const [expression, type, text] of cases) {
      const answer = await query(sink.sql, `SELECT ${expression} AS v`);
      assert.deepEqual(answer.columns, [{ name: 'v', data_type: type }], expression);
      assert.equal(answer.rowsJson, `[[${text}]]`, expression);
    }
  });

  it('leaves out rows beyond the limits of rows and bytes, and says so', async (t) => {
    const sink = await openTestDuckDb(t, { sql: { maxRunning: 1, maxWaiting: 0, maxAnswerBytes: 20_000 } });
    await sink.ddl.createDatabase('public', signal);
    const upTo = (sql: string, maxRows: number) => query(sink.sql, sql, { maxRows });
    const exact = await upTo('FROM range(3)', 3);
    assert.deepEqual([exact.rowsJson, exact.rows, exact.truncated], ['[[0],[1],[2]]', 3, false]);
    const cut = await upTo('FROM range(4)', 3);
    assert.deepEqual([cut.rowsJson, cut.rows, cut.truncated], ['[[0],[1],[2]]', 3, true]);
    const big = await upTo('FROM range(100000000000)', 2_500);
    assert.deepEqual([big.rows, big.truncated], [2_500, true]);
    const bytes = await upTo(`SELECT '${'x'.repeat(10_000)}' FROM range(10)`, 1_000);
    assert.deepEqual([bytes.rows, bytes.truncated], [1, true]);
  });
});
