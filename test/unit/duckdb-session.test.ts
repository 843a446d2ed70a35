import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Database, openDatabase } from '../../src/sink/duckdb/database.ts';
import { createStore } from '../../src/sink/duckdb/layout.ts';
import { createSession } from '../../src/sink/duckdb/session.ts';
import { DUCKDB_OPTIONS, databasePath } from '../helpers/duckdb.ts';

const INVALIDATED =
  'IO Error: Transaction COMMIT succeeded and is durable, but the autocheckpoint failed. Detach ...';

/** The database, with commits that go through but are reported as failed while `failures` is above 0. */
function faulty(database: Database, control: { failures: number; reopened: number }): Database {
  return {
    ...database,
    async connect() {
      const connection = await database.connect();
      const run = connection.run.bind(connection);
      connection.run = async (sql, ...rest) => {
        const result = await run(sql, ...rest);
        if (sql !== 'COMMIT' || control.failures === 0) return result;
        control.failures--;
        throw new Error(INVALIDATED);
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
    const control = { failures: 1, reopened: 0 };
    const session = createSession(faulty(database, control));
    t.after(() => {
      session.close();
      database.close();
    });
    await session.transaction(async ({ connection }) => {
      for (const sql of createStore('time')) await connection.run(sql);
    });
    assert.deepEqual(control, { failures: 0, reopened: 0 });

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
});
