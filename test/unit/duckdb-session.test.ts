import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DuckDBConnection } from '@duckdb/node-api';
import { loadCatalog } from '../../src/sink/duckdb/catalog.ts';
import { type Database, openDatabase } from '../../src/sink/duckdb/database.ts';
import { createDdl } from '../../src/sink/duckdb/ddl.ts';
import { createStore } from '../../src/sink/duckdb/layout.ts';
import { createSerial } from '../../src/sink/duckdb/serial.ts';
import { createSession } from '../../src/sink/duckdb/session.ts';
import { DUCKDB_OPTIONS, databasePath } from '../helpers/duckdb.ts';

const { signal } = new AbortController();
const INVALIDATED =
  'IO Error: Transaction COMMIT succeeded and is durable, but the autocheckpoint failed. Detach ...';
const NO_MEMORY =
  'TransactionContext Error: Failed to commit: failed to pin block of size 256.0 KiB (63.8 MiB/64.0 MiB used)';

interface Control {
  /** Commits to fail. */
  failures: number;
  reopened: number;
  error: string;
  /** Whether they fail after all. */
  durable: boolean;
}

/** The database, with commits that fail while `failures` is above 0. */
function faulty(database: Database, control: Control): Database {
  return {
    ...database,
    async connect() {
      const connection = await database.connect();
      const prepare = connection.prepare.bind(connection);
      connection.prepare = async (sql) => {
        const statement = await prepare(sql);
        const run = statement.run.bind(statement);
        statement.run = async () => {
          const fails = sql === 'COMMIT' && control.failures > 0;
          if (!fails) return run();
          control.failures--;
          if (control.durable) await run();
          throw new Error(control.error);
        };
        return statement;
      };
      return connection;
    },
    reopen() {
      control.reopened++;
      return database.reopen();
    },
  };
}

describe('session', () => {
  it('takes a durable commit for one although DuckDB then gave the file up, and opens the file anew', async (t) => {
    const database = await openDatabase({ ...DUCKDB_OPTIONS, path: await databasePath() });
    const control = { failures: 1, reopened: 0, error: INVALIDATED, durable: true };
    const session = createSession(faulty(database, control));
    t.after(() => {
      session.close();
      database.close();
    });
    await session.transaction(async ({ connection }) => {
      for (const sql of createStore('time')) await connection.run(sql);
    });
    assert.equal(control.failures, 0);
    assert.equal(control.reopened, 0);

    // A query that runs meanwhile is interrupted, for the file can't be opened twice.
    const reader = await database.connect();
    const query = reader
      .run('SELECT count(*) FROM range(1000000000000)')
      .finally(() => database.release(reader));
    const interrupted = assert.rejects(query, /INTERRUPT/);
    const count = await session.transaction(async ({ connection }) => {
      const rows = await connection.runAndReadAll('SELECT count(*)::INTEGER FROM _sluice.meta');
      return rows.getRows()[0]?.[0];
    });
    await interrupted;
    assert.equal(count, 2);
    assert.equal(control.reopened, 1);
  });

  it('rolls back what failed, and goes on with the next transaction', async (t) => {
    const database = await openDatabase(DUCKDB_OPTIONS);
    const session = createSession(database);
    t.after(() => {
      session.close();
      database.close();
    });
    await session.transaction(({ connection }) => connection.run('CREATE TABLE x (a INTEGER)'));
    const failing = session.transaction(async ({ connection }) => {
      await connection.run('INSERT INTO x VALUES (1)');
      await connection.run('INSERT INTO nothing VALUES (1)');
    });
    await assert.rejects(failing, /Catalog Error/);
    const rows = await session.transaction(({ connection }) => connection.runAndReadAll('SELECT * FROM x'));
    assert.deepEqual(rows.getRows(), []);
  });

  it('opens the file anew and tries once more when memory ran out, and not for ever', async (t) => {
    const database = await openDatabase({ ...DUCKDB_OPTIONS, path: await databasePath() });
    const control = { failures: 0, reopened: 0, error: NO_MEMORY, durable: false };
    const session = createSession(faulty(database, control));
    t.after(() => {
      session.close();
      database.close();
    });
    const insert = () =>
      session.transaction(({ connection }) => connection.run('INSERT INTO x SELECT count(*) FROM x'));
    await session.transaction(({ connection }) => connection.run('CREATE TABLE x (a INTEGER)'));
    control.failures = 1;
    await insert();
    assert.equal(control.reopened, 1);
    control.failures = 2;
    await assert.rejects(insert(), /failed to pin/);
    await insert();
    assert.equal(control.reopened, 3);
    const rows = await session.transaction(({ connection }) => connection.runAndReadAll('FROM x ORDER BY a'));
    assert.deepEqual(rows.getRows(), [[0], [1]]);
  });

  it('keeps what is in memory when memory ran out', async (t) => {
    const database = await openDatabase(DUCKDB_OPTIONS);
    const control = { failures: 0, reopened: 0, error: NO_MEMORY, durable: false };
    const session = createSession(faulty(database, control));
    const reader = await database.connect();
    t.after(() => {
      session.close();
      database.release(reader);
      database.close();
    });
    await session.transaction(({ connection }) => connection.run('CREATE TABLE x AS SELECT 7 AS a'));
    control.failures = 1;
    const failing = session.transaction(({ connection }) => connection.run('DELETE FROM x'));
    await assert.rejects(failing, /failed to pin/);
    const rows = await session.transaction(({ connection }) => connection.runAndReadAll('FROM x'));
    assert.deepEqual(rows.getRows(), [[7]]);
    assert.equal(control.reopened, 0);
  });

  it('finds what a commit that failed had made all the same, and makes it once', async (t) => {
    const database = await openDatabase({ ...DUCKDB_OPTIONS, path: await databasePath() });
    const control = { failures: 0, reopened: 0, error: NO_MEMORY, durable: true };
    const readOn = (connection: DuckDBConnection) => async (sql: string) =>
      (await connection.runAndReadAll(sql)).getRowsJS();
    const session = createSession(faulty(database, control), (connection) =>
      catalog.reload(readOn(connection)),
    );
    t.after(() => {
      session.close();
      database.close();
    });
    const catalog = await session.transaction(async ({ connection }) => {
      for (const sql of createStore('time')) await connection.run(sql);
      return loadCatalog(readOn(connection));
    });
    const ddl = createDdl({ catalog, serial: createSerial(10), session, timeColumn: 'time' });
    const id = { database: 'db', table: 'm' };
    const columns = [{ name: 'v', kind: 'field', type: 'bool' }] as const;
    control.failures = 1;
    assert.deepEqual(await ddl.createDatabase('db', signal), { kind: 'done' });
    control.failures = 1;
    assert.deepEqual(await ddl.createTable({ id, source: 'influx', columns }, signal), { kind: 'done' });
    assert.equal(control.reopened, 2);
    assert.deepEqual(await ddl.describe([id], signal), [{ columns }]);
    const rows = await session.transaction(async ({ connection }) => {
      const read = readOn(connection);
      return [
        await read('SELECT name FROM _sluice.databases'),
        await read('SELECT name FROM _sluice.columns'),
      ];
    });
    assert.deepEqual(rows, [[['db']], [['v']]]);
  });
});
