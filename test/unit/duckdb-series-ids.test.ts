import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { WriteError } from '../../src/model/sink.ts';
import { loadCatalog } from '../../src/sink/duckdb/catalog.ts';
import { openDatabase } from '../../src/sink/duckdb/database.ts';
import { createDdl } from '../../src/sink/duckdb/ddl.ts';
import { createStore } from '../../src/sink/duckdb/layout.ts';
import { createSerial } from '../../src/sink/duckdb/serial.ts';
import { createSeriesIds } from '../../src/sink/duckdb/series-ids.ts';
import { createSession, type Session } from '../../src/sink/duckdb/session.ts';
import { createWriter } from '../../src/sink/duckdb/writer.ts';
import { DUCKDB_OPTIONS } from '../helpers/duckdb.ts';
import { createTestSource } from '../helpers/points.ts';

const { signal } = new AbortController();

/** A writer whose transactions fail at their end when told to. */
async function openParts(t: TestContext) {
  const database = await openDatabase(DUCKDB_OPTIONS);
  const connection = await database.connect();
  for (const sql of createStore('time')) await connection.run(sql);
  const real = createSession(database);
  const control = { failNext: false };
  const session: Session = {
    transaction: (work) =>
      real.transaction(async (transaction) => {
        const result = await work(transaction);
        if (!control.failNext) return result;
        control.failNext = false;
        throw new Error('IO Error: No space left on device');
      }),
    close: () => real.close(),
  };
  t.after(() => {
    session.close();
    database.release(connection);
    database.close();
  });
  const read = async (sql: string) => (await connection.runAndReadAll(sql)).getRowsJS();
  const catalog = await loadCatalog(read);
  const serial = createSerial(10);
  const writer = createWriter({ catalog, seriesIds: createSeriesIds(0), serial, session });
  const ddl = createDdl({ catalog, serial, session, timeColumn: 'time' });
  await ddl.createDatabase('db', signal);
  const columns = [
    { name: 'host', kind: 'tag', type: 'string' },
    { name: 'v', kind: 'field', type: 'float64' },
  ] as const;
  await ddl.createTable({ id: { database: 'db', table: 'm' }, source: 'influx', columns }, signal);
  return { control, writer, ddl, read };
}

const pointOf = (host: string) => ({ table: 'm', tags: { host }, fields: [['v', ['float64', 1]]] as const });

describe('numbers of series', () => {
  it('are set once they are committed, and not used again after a transaction that failed', async (t) => {
    const { control, writer, read } = await openParts(t);
    const source = createTestSource('db');
    const series = source.series('m', { host: 'a' });
    control.failNext = true;
    await assert.rejects(writer.write([source.batch([pointOf('a'), pointOf('b')])], signal), (error) => {
      assert.ok(error instanceof WriteError);
      assert.deepEqual(error.failure, {
        kind: 'transient',
        code: 'IO',
        message: 'IO Error: No space left on device',
      });
      return true;
    });
    assert.equal(series.storageId, -1);
    assert.deepEqual(await read('SELECT count(*)::INTEGER FROM _sluice.series'), [[0]]);

    await writer.write([source.batch([pointOf('a')])], signal);
    assert.equal(series.storageId, 3);
    assert.deepEqual(await read('SELECT id, tags FROM _sluice.series'), [[3, ['a']]]);
    assert.deepEqual(await read('SELECT series, value FROM _sluice.cells_float64'), [[3, 1]]);
  });

  it('leave no table behind when creating it failed', async (t) => {
    const { control, ddl } = await openParts(t);
    const id = { database: 'db', table: 'n' };
    const spec = { id, source: 'influx', columns: [{ name: 'v', kind: 'field', type: 'bool' }] } as const;
    control.failNext = true;
    assert.equal((await ddl.createTable(spec, signal)).kind, 'transient');
    assert.deepEqual(await ddl.describe([id], signal), [undefined]);
    assert.equal((await ddl.createTable(spec, signal)).kind, 'done');
    assert.deepEqual(await ddl.describe([id], signal), [{ columns: spec.columns }]);
  });

  it('tell series apart that share a hash', async (t) => {
    const { writer, read } = await openParts(t);
    await writer.write([createTestSource('db').batch([pointOf('a')])], signal);
    await read(`INSERT INTO _sluice.series SELECT 77, table_id, hash, ['other'] FROM _sluice.series`);
    const source = createTestSource('db');
    await writer.write([source.batch([pointOf('a')])], signal);
    assert.equal(source.series('m', { host: 'a' }).storageId, 1);
  });

  it('are the same for a series with and without a tag column that came later', async (t) => {
    const { writer, ddl, read } = await openParts(t);
    await writer.write([createTestSource('db').batch([pointOf('a')])], signal);
    await ddl.addColumns(
      { database: 'db', table: 'm' },
      [{ name: 'dc', kind: 'tag', type: 'string' }],
      signal,
    );
    const source = createTestSource('db');
    const later = { table: 'm', tags: { dc: 'x' }, fields: [['v', ['float64', 1]]] as const };
    await writer.write([source.batch([pointOf('a'), later])], signal);
    assert.deepEqual(await read('SELECT id, tags FROM _sluice.series ORDER BY id'), [
      [1, ['a']],
      [2, [null, 'x']],
    ]);
  });
});
