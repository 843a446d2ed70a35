/** The PostgreSQL sink among other roles and sessions, and a server that has too little or is configured otherwise. */
import assert from 'node:assert/strict';
import { appendFileSync, chownSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it, type TestContext } from 'node:test';
import { GatewayError } from '../../src/errors.ts';
import type { DdlResult } from '../../src/model/sink.ts';
import type { PostgresOptions } from '../../src/sink/postgres/open.ts';
import { createTestSource, type TestPoint } from '../helpers/points.ts';
import { type Postgres, startPostgres } from '../helpers/postgres.ts';
import {
  COLUMNS,
  failureOf,
  field,
  idOf,
  openTestPostgres,
  openWithTable,
  point,
  postgresOptions,
  tablesOf,
} from '../helpers/postgres-rig.ts';
import { mountSmallDisk } from '../helpers/small-disk.ts';
import { startTcpProxy } from '../helpers/tcp-proxy.ts';
import { eventually } from '../helpers/wait.ts';

const { signal } = new AbortController();
const DONE: DdlResult = { kind: 'done' };

let shared: Promise<Postgres> | undefined;
after(async () => (await shared)?.close());

async function open(t: TestContext, more: Partial<PostgresOptions> = {}) {
  shared ??= startPostgres({ after: () => undefined });
  return openWithTable(t, await shared, more);
}

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

describe('postgres: a create without an answer', () => {
  it('is unknown, and the schema shows whether it has worked', async (t) => {
    const { postgres, database, sql, session } = await open(t);
    const proxy = await startTcpProxy(t, postgres.port);
    const options = postgresOptions(proxy, database, { lockTimeoutMs: 10_000, connectTimeoutMs: 500 });
    const sink = await openTestPostgres(t, options);
    // Another session makes the same table and takes it back, so the create waits between being sent and done.
    const other = await session();
    await other.query('BEGIN; CREATE TABLE public.new (a int)');
    const stop = new AbortController();
    const spec = { id: idOf('new'), source: 'influx', columns: COLUMNS } as const;
    const making = sink.ddl.createTable(spec, stop.signal);
    const waiting = 'SELECT FROM pg_locks WHERE NOT granted';
    await eventually('the create waits', async () => (await sql(waiting)).length === 1);
    proxy.drop('answers');
    const dropped = proxy.dropped();
    await other.query('ROLLBACK');
    await dropped;
    stop.abort(new Error('no answer in time'));
    assert.equal((await making).kind, 'ambiguous');

    proxy.heal();
    const [schema] = await sink.ddl.describe([idOf('new')], signal);
    assert.deepEqual(schema?.columns, COLUMNS);
    assert.deepEqual(await sink.ddl.createTable(spec, signal), DONE);
  });
});

describe('postgres: a create whose connection was lost', () => {
  it('is over when its process is, and is not unknown for longer', async (t) => {
    const { postgres, database, sql, session } = await open(t);
    const proxy = await startTcpProxy(t, postgres.port);
    const sink = await openTestPostgres(t, postgresOptions(proxy, database, { lockTimeoutMs: 10_000 }));
    const other = await session();
    await other.query('BEGIN; CREATE TABLE public.new (a int)');
    const spec = { id: idOf('new'), source: 'influx', columns: COLUMNS } as const;
    const making = sink.ddl.createTable(spec, signal);
    await eventually('the create waits', async () => {
      return (await sql('SELECT FROM pg_locks WHERE NOT granted')).length === 1;
    });
    proxy.cut();
    await other.query('ROLLBACK');
    const made = await making;
    assert.ok(made.kind === 'transient', JSON.stringify(made));
    assert.deepEqual(await sink.ddl.createTable(spec, signal), DONE);
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

describe('postgres: a full disk', () => {
  it('fails for now, and everything works when there is room', async (t) => {
    const folder = mountSmallDisk(t, 32);
    if (folder === undefined) return;
    const postgres = await startPostgres(t);
    const database = await postgres.createDatabase();
    await postgres.sql(database, 'CREATE SCHEMA public');
    const place = join(folder, 'space');
    mkdirSync(place);
    chownSync(place, statSync(`/proc/${postgres.pid}`).uid, 0);
    await postgres.sql('postgres', `CREATE TABLESPACE small LOCATION '${place}'`);
    await postgres.sql('postgres', `ALTER DATABASE ${database} SET default_tablespace = small`);
    const sink = await openTestPostgres(t, postgresOptions(postgres, database));
    const create = (table: string) =>
      sink.ddl.createTable({ id: idOf(table), source: 'influx', columns: COLUMNS }, signal);
    assert.deepEqual(await create('m'), DONE);

    const ballast = join(folder, 'ballast');
    let step = 0;
    try {
      for (; ; step++) appendFileSync(ballast, Buffer.alloc(64 * 1_024));
    } catch {
      assert.ok(step > 100, 'the disk was filled');
    }
    const source = createTestSource('public');
    const write = (count: number) => {
      const points = Array.from({ length: count }, (_, i) => point('m', BigInt(i)));
      return failureOf(sink.writer.write([source.batch(points)], signal));
    };
    const failure = await write(5_000);
    assert.ok(failure?.kind === 'transient' && failure.code === '53100', JSON.stringify(failure));
    assert.equal(failure.tables, undefined);
    const made = await create('n');
    assert.ok(made.kind === 'transient' && made.code === '53100', JSON.stringify(made));

    rmSync(ballast);
    assert.equal(await write(5_000), undefined);
    assert.deepEqual(await create('n'), DONE);
    assert.deepEqual(await postgres.sql(database, 'SELECT count(*)::int FROM m'), [[5_000]]);
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
