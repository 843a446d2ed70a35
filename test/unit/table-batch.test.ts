import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gather } from '../../src/sink/table-batch.ts';
import { createTestSource, type TestPoint, type TestValue } from '../helpers/points.ts';

const point = (table: string, timeNs: bigint, fields: [string, TestValue][], tags = {}): TestPoint => ({
  table,
  timeNs,
  fields,
  tags,
});

/** A table's rows as plain values, null where a row has none. */
function plain(batches: Parameters<typeof gather>[0]) {
  return gather(batches).map(({ id, rows, series, timeNs, columns }) => ({
    table: id.table,
    rows: Array.from({ length: rows }, (_, r) => [
      timeNs[r],
      series[r]?.values.join(),
      ...columns.map((column) => (column.valid[r] === 1 ? column.values[r] : null)),
    ]),
    columns: columns.map(({ name, type }) => `${name}:${type}`),
  }));
}

describe('gather', () => {
  it('has a column per field, with nothing where a row gives no value', () => {
    const source = createTestSource('db');
    const batch = source.batch([
      point('m', 1n, [['a', ['float64', 1.5]]], { host: 'x' }),
      point(
        'm',
        2n,
        [
          ['b', ['int64', -(2n ** 63n)]],
          ['c', ['bool', true]],
        ],
        { host: 'y' },
      ),
      point('m', -1n, [
        ['d', ['string', 'é']],
        ['e', ['uint64', 2n ** 64n - 1n]],
        ['a', ['float64', -0]],
      ]),
    ]);
    assert.deepEqual(plain([batch]), [
      {
        table: 'm',
        columns: ['a:float64', 'b:int64', 'c:bool', 'd:string', 'e:uint64'],
        rows: [
          [1n, 'x', 1.5, null, null, null, null],
          [2n, 'y', null, -(2n ** 63n), 1, null, null],
          [-1n, '', -0, null, null, 'é', 2n ** 64n - 1n],
        ],
      },
    ]);
  });

  it('joins the rows of one table over batches, in the order of their coming, whatever objects stand for it', () => {
    const one = createTestSource('db');
    const other = createTestSource('db');
    const batches = [
      one.batch([point('m', 1n, [['v', ['float64', 1]]]), point('n', 1n, [['v', ['float64', 2]]])]),
      other.batch([point('n', 2n, [['v', ['float64', 3]]]), point('m', 1n, [['v', ['float64', 4]]])]),
    ];
    assert.deepEqual(plain(batches), [
      {
        table: 'm',
        columns: ['v:float64'],
        rows: [
          [1n, '', 1],
          [1n, '', 4],
        ],
      },
      {
        table: 'n',
        columns: ['v:float64'],
        rows: [
          [1n, '', 2],
          [2n, '', 3],
        ],
      },
    ]);
  });

  it('leaves out skipped rows, and tables and columns that only they use', () => {
    const batch = createTestSource('db').batch([
      point('m', 1n, [['v', ['float64', 1]]]),
      point('m', 2n, [['refused', ['int64', 1n]]]),
      point('gone', 3n, [['v', ['float64', 1]]]),
      point('m', 4n, [['v', ['float64', 2]]]),
    ]);
    batch.skipRow(1);
    batch.skipRow(2);
    assert.deepEqual(plain([batch]), [
      {
        table: 'm',
        columns: ['v:float64'],
        rows: [
          [1n, '', 1],
          [4n, '', 2],
        ],
      },
    ]);
  });

  it('keeps one name with two types apart', () => {
    const batch = createTestSource('db').batch([
      point('m', 1n, [['v', ['float64', 1]]]),
      point('m', 2n, [['v', ['int64', 2n]]]),
    ]);
    assert.deepEqual(plain([batch])[0]?.columns, ['v:float64', 'v:int64']);
  });

  it('is empty for nothing', () => {
    assert.deepEqual(gather([]), []);
    assert.deepEqual(gather([createTestSource('db').batch([])]), []);
  });
});
