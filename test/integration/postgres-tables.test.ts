/** The tables that the PostgreSQL sink makes, and those that others made or changed behind its back. */
import assert from 'node:assert/strict';
import { after, describe, it, type TestContext } from 'node:test';
import type { ValueType } from '../../src/model/column.ts';
import type { DdlResult } from '../../src/model/sink.ts';
import { columnIdentifier, tableIdentifier } from '../../src/sink/postgres/names.ts';
import { createTestSource, type TestPoint, type TestValue } from '../helpers/points.ts';
import { type Postgres, startPostgres } from '../helpers/postgres.ts';
import { field, idOf, openWithTable, point, tablesOf, tag } from '../helpers/postgres-rig.ts';
import { eventually } from '../helpers/wait.ts';

const { signal } = new AbortController();
const DONE: DdlResult = { kind: 'done' };

let shared: Promise<Postgres> | undefined;
after(async () => (await shared)?.close());

async function open(t: TestContext) {
  shared ??= startPostgres({ after: () => undefined });
  return openWithTable(t, await shared);
}

describe('postgres: what the tables are like', () => {
  it('keeps nanoseconds beside the microseconds, as part of the key', async (t) => {
    const { write, sql } = await open(t);
    await write(
      point('m', 1_700_000_000_123_456_789n),
      point('m', 1_700_000_000_123_456_790n),
      point('m', -1n),
    );
    assert.deepEqual(await sql('SELECT time::text, time_ns FROM m ORDER BY time, time_ns'), [
      ['1969-12-31 23:59:59.999999+00', 999],
      ['2023-11-14 22:13:20.123456+00', 789],
      ['2023-11-14 22:13:20.123456+00', 790],
    ]);
  });

  it('shows the full name of what has another, in the comments', async (t) => {
    const { create, sql } = await open(t);
    const long = 'metric.'.repeat(20);
    assert.deepEqual(await create(long, [tag(`${long}t`), field('time')]), DONE);
    const rows = await sql(`SELECT a.attname, col_description(c.oid, a.attnum), obj_description(c.oid)
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
      WHERE c.relname = '${tableIdentifier(long)}' AND a.attname LIKE '%~%' ORDER BY a.attnum`);
    assert.deepEqual(rows, [
      [columnIdentifier(`${long}t`), `tag: ${long}t`, long],
      [columnIdentifier('time'), 'field: time', long],
    ]);
  });

  it('rebuilds neither table nor index for a column that comes later, and a series stays one row', async (t) => {
    const { sink, sql, write, read } = await open(t);
    const files = `SELECT pg_relation_filenode('m'), array_agg(pg_relation_filenode(indexrelid))
      FROM pg_index WHERE indrelid = 'm'::regclass`;
    await write(point('m', 1n));
    const before = await sql(files);
    assert.deepEqual(await sink.ddl.addColumns(idOf('m'), [tag('dc'), field('n', 'int64')], signal), DONE);
    await write(point('m', 1n, ['float64', 2]));
    assert.deepEqual(await sql(files), before);
    assert.deepEqual(await read('m', ['host', 'dc', 'value', 'n']), [[1n, 'a', null, 2, null]]);
  });

  it('refuses for good what no row could fit into, and holds rows of the widest table it makes', async (t) => {
    const { create, write, sink, sql } = await open(t);
    const many = (count: number, type: ValueType) =>
      Array.from({ length: count }, (_, i) => field(`f${i}`, type));
    assert.equal((await create('wide', many(1_100, 'float64'))).kind, 'invalid');
    assert.equal((await sink.ddl.addColumns(idOf('m'), many(1_100, 'float64'), signal)).kind, 'invalid');
    const widest: [ValueType, number, TestValue][] = [
      ['float64', 970, ['float64', 1.5]],
      ['string', 430, ['string', 'x'.repeat(126)]],
      ['uint64', 385, ['uint64', 2n ** 64n - 1n]],
    ];
    for (const [type, count, value] of widest) {
      assert.deepEqual(await create(type, many(count, type)), DONE, type);
      const fields = many(count, type).map(({ name }) => [name, value] as const);
      assert.equal(await write({ table: type, timeNs: 1n, tags: {}, fields }), undefined, type);
      assert.deepEqual(await sql(`SELECT count(*)::int FROM ${type}`), [[1]]);
    }
  });

  it('stores a flush over more tables than one transaction has', async (t) => {
    const { create, write, sql } = await open(t);
    const names = Array.from({ length: 620 }, (_, i) => `t${i}`);
    for (const name of names) await create(name);
    assert.equal(await write(...names.map((name) => point(name, 1n))), undefined);
    assert.deepEqual(await sql('SELECT (SELECT count(*) FROM t0)::int, (SELECT count(*) FROM t619)::int'), [
      [1, 1],
    ]);
  });

  it('says which strings it can never hold', async (t) => {
    const { sink } = await open(t);
    const text = (value: string): TestPoint => ({ ...point('m', 1n), fields: [['s', ['string', value]]] });
    const batch = createTestSource('public').batch([
      text('a'),
      text('a\u0000b'),
      point('m', 1n),
      text('\u0000'),
    ]);
    batch.skipRow(3);
    const refused: number[] = [];
    sink.values?.checkRows(batch, (row, reason) => {
      assert.match(reason, /NUL/);
      refused.push(row);
    });
    assert.deepEqual(refused, [1]);
  });
});

describe('postgres: tables that others made or changed', () => {
  it('writes to one that was made by hand, and adds columns to it', async (t) => {
    const { sink, sql, write, read } = await open(t);
    await sql(`CREATE TABLE hand (host text, note text, value double precision, time timestamptz, series_id uuid,
      time_ns smallint, UNIQUE (series_id, time, time_ns)); COMMENT ON COLUMN hand.note IS 'field'`);
    const [schema] = await sink.ddl.describe([idOf('hand')], signal);
    assert.deepEqual(schema?.columns, [tag('host'), field('note', 'string'), field('value')]);
    assert.deepEqual(await sink.ddl.addColumns(idOf('hand'), [field('n', 'int64')], signal), DONE);
    assert.equal(await write(point('hand', 5n)), undefined);
    assert.deepEqual(await read('hand', ['host', 'value', 'n']), [[5n, 'a', 1, null]]);
  });

  const foreign: [string, string, RegExp][] = [
    ['a view', 'CREATE VIEW x AS SELECT 1 AS value', /it is not a table/],
    ['a table without the columns of the key', 'CREATE TABLE x (value float8)', /no column time/],
    [
      'a table whose key is another',
      'CREATE TABLE x (time timestamptz, series_id uuid, time_ns smallint, dc text, UNIQUE (time, series_id, time_ns, dc))',
      /no unique key/,
    ],
    [
      'a time that would be rounded',
      'CREATE TABLE x (time timestamptz(3), series_id uuid, time_ns smallint)',
      /time/,
    ],
  ];
  for (const [what, statement, reason] of foreign) {
    it(`refuses ${what} for good, with the reason`, async (t) => {
      const { sink, create, sql, write } = await open(t);
      await sql(statement);
      assert.deepEqual(await sink.ddl.describe([idOf('x')], signal), [undefined]);
      const made = await create('x');
      assert.ok(made.kind === 'invalid' && reason.test(made.message), JSON.stringify(made));
      assert.equal((await write(point('x', 1n)))?.kind, 'missing');
    });
  }

  it('calls a column of a type that it does not use a conflict', async (t) => {
    const { sink, sql } = await open(t);
    await sql('ALTER TABLE m ADD COLUMN n integer');
    const result = await sink.ddl.addColumns(idOf('m'), [field('n', 'int64')], signal);
    assert.ok(result.kind === 'invalid' && /PostgreSQL's type integer/.test(result.message));
  });

  it('says that a table is missing that was dropped, and writes again once it is made', async (t) => {
    const { sql, write, create, read } = await open(t);
    await create('other');
    assert.equal(await write(point('m', 1n), point('other', 1n)), undefined);
    await sql('DROP TABLE m');
    assert.deepEqual(tablesOf(await write(point('m', 2n), point('other', 2n))), ['m']);
    assert.equal((await write(point('m', 2n)))?.kind, 'missing');
    assert.deepEqual(await create('m'), DONE);
    assert.equal(await write(point('m', 2n), point('other', 2n)), undefined);
    assert.deepEqual(await read('m', ['value']), [[2n, 1]]);
  });

  const changes: [string, string][] = [
    ['a dropped column', 'ALTER TABLE m DROP COLUMN value'],
    ['a renamed column', 'ALTER TABLE m RENAME COLUMN value TO other'],
    ['a column that became an integer', 'ALTER TABLE m ALTER COLUMN value TYPE integer'],
    ['a column that became a text', 'ALTER TABLE m ALTER COLUMN value TYPE text'],
    ['a dropped schema', 'DROP SCHEMA public CASCADE'],
  ];
  for (const [what, change] of changes) {
    it(`says that a table is missing because of ${what}, and rounds nothing into it`, async (t) => {
      const { sql, write } = await open(t);
      assert.equal(await write(point('m', 1n)), undefined);
      await sql(change);
      const failure = await write(point('m', 2n, ['float64', 1.5]));
      assert.equal(failure?.kind, 'missing', JSON.stringify(failure));
      assert.deepEqual(tablesOf(failure), ['m']);
    });
  }

  it('says that a table is missing whose key was dropped', async (t) => {
    const { sql, write } = await open(t);
    assert.equal(await write(point('m', 1n)), undefined);
    const [[name]] = (await sql(`SELECT conname FROM pg_constraint WHERE conrelid = 'm'::regclass`)) as [
      [string],
    ];
    await sql(`ALTER TABLE m DROP CONSTRAINT "${name}"`);
    assert.equal((await write(point('m', 2n)))?.kind, 'missing');
  });

  it('leaves a table alone that refuses the rows, and writes to the others', async (t) => {
    const { sql, write, create, sink } = await open(t);
    await create('other');
    await sql('ALTER TABLE m ADD CHECK (value < 10)');
    const bad = point('m', 1n, ['float64', 11]);
    const failure = await write(point('other', 1n), bad);
    assert.equal(failure?.kind, 'transient');
    assert.deepEqual(tablesOf(failure), ['m']);
    assert.deepEqual(tablesOf(await write(point('m', 1n))), ['m']);
    assert.equal(sink.stats().heldTables, 1);
    assert.equal(await write(point('other', 1n)), undefined);
    await eventually('it is tried again', async () => (await write(point('m', 1n))) === undefined);
    assert.equal(sink.stats().heldTables, 0);
  });
});
