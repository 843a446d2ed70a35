import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { openDiscard } from '../../src/sink/discard/open.ts';
import { createTestSource } from '../helpers/points.ts';
import { sinkSuite } from './sink-suite.ts';

const { signal } = new AbortController();

sinkSuite('discard', (t) => {
  const sink = openDiscard({ maxTables: 1_000 });
  t.after(() => sink.close());
  return Promise.resolve({ sink });
});

describe('discard', () => {
  it('counts the rows that it drops, without the skipped ones', async () => {
    const sink = openDiscard({ maxTables: 1 });
    await sink.ddl.createDatabase('public', signal);
    const id = { database: 'public', table: 'm' };
    await sink.ddl.createTable(
      { id, source: 'opentsdb', columns: [{ name: 'v', kind: 'field', type: 'bool' }] },
      signal,
    );
    const points = Array.from({ length: 5_000 }, () => ({
      table: 'm',
      fields: [['v', ['bool', true]] as const],
    }));
    const batch = createTestSource('public').batch(points);
    batch.skipRow(7);
    await sink.writer.write([batch], signal);
    assert.deepEqual(sink.stats(), { tables: 1, rows: 4_999 });
  });

  it('holds no more tables than it may', async () => {
    const sink = openDiscard({ maxTables: 2 });
    await sink.ddl.createDatabase('public', signal);
    const kinds: string[] = [];
    for (const table of ['a', 'b', 'c', 'a']) {
      const result = await sink.ddl.createTable(
        { id: { database: 'public', table }, source: 'influx', columns: [] },
        signal,
      );
      kinds.push(result.kind);
    }
    assert.deepEqual(kinds, ['done', 'done', 'denied', 'done']);
    assert.equal(sink.stats().tables, 2);
  });
});
