/** The PostgreSQL sink over what operators, other roles and other sessions do to the database behind its back. */
import assert from 'node:assert/strict';
import { after, describe, it, type TestContext } from 'node:test';
import { GatewayError } from '../../src/errors.ts';
import type { ColumnSpec, ValueType } from '../../src/model/column.ts';
import { type DdlResult, WriteError, type WriteFailure } from '../../src/model/sink.ts';
import type { TableId } from '../../src/model/table.ts';
import { columnIdentifier, tableIdentifier } from '../../src/sink/postgres/names.ts';
import type { PostgresOptions } from '../../src/sink/postgres/open.ts';
import { createTestSource, type TestPoint, type TestValue } from '../helpers/points.ts';
import { type Postgres, startPostgres } from '../helpers/postgres.ts';
import { openTestPostgres, postgresOptions, readTable } from '../helpers/postgres-rig.ts';
import { eventually } from '../helpers/wait.ts';

const { signal } = new AbortController();
const DONE: DdlResult = { kind: 'done' };
const idOf = (table: string): TableId => ({ database: 'public', table });
const tag = (name: string): ColumnSpec => ({ name, kind: 'tag', type: 'string' });
const field = (name: string, type: ValueType = 'float64'): ColumnSpec => ({ name, kind: 'field', type });
const COLUMNS = [tag('host'), field('value')];

let shared: Promise<Postgres> | undefined;
after(async () => (await shared)?.close());

/** A database with the table `m`, and a sink on it. */
async function open(t: TestContext, more: Partial<PostgresOptions> = {}) {
  shared ??= startPostgres({ after: () => undefined });
  const postgres = await shared;
  const database = await postgres.createDatabase();
  await postgres.sql(database, 'CREATE SCHEMA public; GRANT ALL ON SCHEMA public TO public');
  const sink = await openTestPostgres(t, postgresOptions(postgres, database, more));
  const source = createTestSource('public');
  const create = (table: string, columns: readonly ColumnSpec[] = COLUMNS): Promise<DdlResult> =>
    sink.ddl.createTable({ id: idOf(table), source: 'influx', columns }, signal);
  assert.deepEqual(await create('m'), DONE);
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

const point = (table: string, timeNs: bigint, value: TestValue = ['float64', 1]): TestPoint => ({
  table,
  timeNs,
  tags: { host: 'a' },
  fields: [['value', value]],
});

async function failureOf(writing: Promise<void>): Promise<WriteFailure | undefined> {
  try {
    await writing;
    return undefined;
  } catch (error) {
    assert.ok(error instanceof WriteError, `a WriteError, not ${String(error)}`);
    return error.failure;
  }
}

function tablesOf(failure: WriteFailure | undefined): readonly string[] | undefined {
  return failure?.tables?.map(({ table }) => table);
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

describe('postgres: rights', () => {
  async function asRole(t: TestContext) {
    const base = await open(t);
    const role = `role_${base.database}`;
    await base.sql(`CREATE ROLE ${role} LOGIN; REVOKE ALL ON SCHEMA public FROM public;
      GRANT USAGE ON SCHEMA public TO ${role}; GRANT SELECT, INSERT, UPDATE ON m TO ${role}`);
    const sink = await openTestPostgres(t, postgresOptions(base.postgres, base.database, { user: role }));
    const source = createTestSource('public');
    const write = (...points: readonly TestPoint[]) =>
      failureOf(sink.writer.write([source.batch(points)], signal));
    return { ...base, role, limited: sink, write };
  }

  it('is denied what the role may not create, and writes where it may', async (t) => {
    const { limited, write } = await asRole(t);
    const spec = { id: idOf('new'), source: 'influx', columns: COLUMNS } as const;
    assert.equal((await limited.ddl.createTable(spec, signal)).kind, 'denied');
    assert.equal((await limited.ddl.createDatabase('other', signal)).kind, 'denied');
    assert.deepEqual(await limited.ddl.createDatabase('public', signal), DONE);
    assert.equal(await write(point('m', 1n)), undefined);
  });

  it('takes a table of another owner that lacks a column for a fault of the table', async (t) => {
    const { limited } = await asRole(t);
    const result = await limited.ddl.addColumns(idOf('m'), [field('n')], signal);
    assert.ok(result.kind === 'invalid' && /belongs to sluice/.test(result.message), JSON.stringify(result));
  });

  it('is denied writing to some tables and not the others', async (t) => {
    const { create, write } = await asRole(t);
    await create('a');
    await create('b');
    const failure = await write(point('a', 1n), point('m', 1n), point('b', 1n));
    assert.equal(failure?.kind, 'denied');
    assert.deepEqual(tablesOf(failure), ['a', 'b']);
    assert.equal(await write(point('m', 1n)), undefined);
  });
});

describe('postgres: locks', () => {
  it('gives up an ALTER behind a long query soon, and holds up writers no longer', async (t) => {
    const { sink, session, write, sql } = await open(t, { lockTimeoutMs: 1_000 });
    await write(point('m', 1n));
    const reader = await session();
    await reader.query('BEGIN; SELECT * FROM m');
    const altering = sink.ddl.addColumns(idOf('m'), [field('n')], signal);
    const waiting = `SELECT FROM pg_locks WHERE relation = 'm'::regclass AND NOT granted`;
    await eventually('the ALTER waits', async () => (await sql(waiting)).length === 1);
    assert.equal(await write(point('m', 2n)), undefined);
    const altered = await altering;
    assert.ok(altered.kind === 'transient' && altered.code === '55P03', JSON.stringify(altered));
    await reader.query('COMMIT');
    assert.deepEqual(await sink.ddl.addColumns(idOf('m'), [field('n')], signal), DONE);
  });

  it('gives up a create behind a lock of somebody else, and creates afterwards', async (t) => {
    const { session, create } = await open(t);
    const other = await session();
    await other.query('BEGIN; CREATE TABLE public.new (a int)');
    const made = await create('new');
    assert.ok(made.kind === 'transient' && made.code === '55P03', JSON.stringify(made));
    await other.query('ROLLBACK');
    assert.deepEqual(await create('new'), DONE);
  });

  it('fails the rows of a locked table only, and does not wait for it again at once', async (t) => {
    const { session, write, create, sink } = await open(t);
    await create('free');
    await write(point('m', 1n), point('free', 1n));
    const other = await session();
    await other.query('BEGIN; LOCK TABLE m IN ACCESS EXCLUSIVE MODE');
    const failure = await write(point('m', 2n), point('free', 2n));
    assert.deepEqual([failure?.kind, tablesOf(failure)], ['transient', ['m']]);
    assert.equal(await write(point('free', 2n)), undefined);
    assert.deepEqual(tablesOf(await write(point('m', 2n), point('free', 3n))), ['m']);
    assert.equal(sink.stats().heldTables, 1);
    await other.query('ROLLBACK');
    await eventually('it is written', async () => (await write(point('m', 2n))) === undefined);
  });
});

describe('postgres: a server with too little', () => {
  it('fails for now while no connection is free, and works when one is', async (t) => {
    const postgres = await startPostgres(t, { max_connections: 5, superuser_reserved_connections: 0 });
    const database = await postgres.createDatabase();
    const sink = await openTestPostgres(t, postgresOptions(postgres, database));
    assert.deepEqual(await sink.ddl.createDatabase('public', signal), DONE);
    await sink.ddl.createTable({ id: idOf('m'), source: 'influx', columns: COLUMNS }, signal);
    const { connections } = sink.stats();
    const taken = await Promise.all(
      Array.from({ length: 5 - connections }, () => postgres.session(t, 'postgres')),
    );
    // The one that is there goes on; there is none for the writer beside a create.
    const source = createTestSource('public');
    const write = () => failureOf(sink.writer.write([source.batch([point('m', 1n)])], signal));
    assert.equal(await write(), undefined);
    const made = await sink.ddl.createTable({ id: idOf('n'), source: 'influx', columns: COLUMNS }, signal);
    assert.ok(made.kind === 'transient' && made.code === '53300', JSON.stringify(made));
    await taken[0]?.end();
    await eventually('it is made', async () => {
      const again = await sink.ddl.createTable({ id: idOf('n'), source: 'influx', columns: COLUMNS }, signal);
      return again.kind === 'done';
    });
  });
});

describe('postgres: opening', () => {
  async function refusal(postgres: Postgres, options: Partial<PostgresOptions>): Promise<string> {
    const t = { after: () => undefined } as unknown as TestContext;
    try {
      await openTestPostgres(t, postgresOptions(postgres, 'postgres', options));
    } catch (error) {
      assert.ok(error instanceof GatewayError && error.code === 'config_invalid', String(error));
      return error.message;
    }
    return assert.fail('it was opened');
  }

  it('says what is wrong with the configuration and what to do', async (t) => {
    const { postgres } = await open(t);
    await postgres.sql('postgres', `CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0`);
    assert.match(await refusal(postgres, { database: 'none' }), /no database none: check postgres.database/);
    assert.match(await refusal(postgres, { user: 'nobody' }), /refuses user nobody/);
    assert.match(await refusal(postgres, { database: 'latin' }), /encoding is LATIN1/);
    assert.match(await refusal(postgres, { tls: 'verify' }), /no encrypted connection .*SSL/);
    assert.match(
      await refusal(postgres, { host: 'no.such.host.invalid' }),
      /no such host: check postgres.host/,
    );
  });

  it('says so when the password is wrong or missing', async (t) => {
    const postgres = await startPostgres(t);
    await postgres.sql('postgres', `CREATE ROLE app LOGIN PASSWORD 'right'`);
    postgres.demandPasswords('app');
    await postgres.sql('postgres', 'SELECT pg_reload_conf()');
    await eventually('passwords are asked for', async () =>
      /refuses the password of user app/.test(
        await refusal(postgres, { user: 'app', password: 'wrong' }).catch(() => ''),
      ),
    );
    assert.match(await refusal(postgres, { user: 'app' }), /asks for a password of user app/);
    await openTestPostgres(t, postgresOptions(postgres, 'postgres', { user: 'app', password: 'right' }));
  });
});
