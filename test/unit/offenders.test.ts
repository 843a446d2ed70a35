import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createOffenders } from '../../src/admin/offenders.ts';
import { Table } from '../../src/model/series.ts';
import { tableKey } from '../../src/model/table.ts';

describe('the counters of refused creates', () => {
  it('count by table, client and tenant, who is the database unless somebody is known', () => {
    const offenders = createOffenders();
    offenders.note([new Table('db', 'a'), new Table('db', 'b')], { askedBy: 'influx ::1' });
    offenders.note([new Table('db', 'a')], { askedBy: 'influx ::2', tenant: 'team' });
    assert.deepEqual(offenders.top('table', 1), [
      { key: tableKey({ database: 'db', table: 'a' }), count: 2, excess: 0 },
    ]);
    const pairs = (by: 'client' | 'tenant') => offenders.top(by, 9).map(({ key, count }) => [key, count]);
    assert.deepEqual(pairs('client'), [
      ['influx ::1', 2],
      ['influx ::2', 1],
    ]);
    assert.deepEqual(pairs('tenant'), [
      ['db', 2],
      ['team', 1],
    ]);
  });

  it('keep little of long names, and never take two for one', () => {
    const offenders = createOffenders();
    const long = 'x'.repeat(60_000);
    for (const end of ['1', '2']) offenders.note([new Table(long, long + end)], { askedBy: long });
    const keys = offenders.top('table', 9).map(({ key }) => key);
    assert.equal(keys.length, 2);
    for (const key of keys) assert.ok(key.length < 600 && key.split('\u0000').length === 2);
    assert.equal(offenders.top('client', 9)[0]?.count, 2);
  });

  it('are bounded, whatever is refused', () => {
    const offenders = createOffenders();
    const tables = Array.from({ length: 5_000 }, (_, i) => new Table(`db${i}`, 'm'));
    offenders.note(tables, { askedBy: 'x' });
    const { size, replaced } = offenders.stats();
    assert.deepEqual([size, replaced], [2_001, 8_000]);
  });
});
