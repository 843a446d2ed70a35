/** What every sink that stores must do with points of many fields. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { createTestSource, type TestPoint, type TestValue } from '../helpers/points.ts';
import type { StoringSink } from './sink-suite.ts';

const { signal } = new AbortController();
const ID = { database: 'public', table: 'm' };

const VALUES: readonly ((n: number) => TestValue)[] = [
  (n) => ['float64', n + 0.5],
  (n) => ['int64', BigInt(-n)],
  (n) => ['uint64', 2n ** 64n - 1n - BigInt(n)],
  (n) => ['bool', n % 2 === 0],
  (n) => ['string', `s${n}`],
];

/** The value of the `n`th write to the field `i`, whose type is always the same. */
function valueOf(i: number, n: number): TestValue {
  return (VALUES[i % VALUES.length] as (n: number) => TestValue)(n);
}

/** Runs the suite over a sink that `open` makes. */
export function wideSuite(name: string, open: (t: TestContext) => Promise<StoringSink>): void {
  describe(`${name}: many fields`, () => {
    for (const count of [49, 50, 300]) {
      it(`reads points of ${count} fields of all types, the last value of each`, async (t) => {
        const { sink, read } = await open(t);
        const names = Array.from({ length: count }, (_, i) => `f${i}`);
        const columns = names.map(
          (field, i) => ({ name: field, kind: 'field', type: valueOf(i, 0)[0] }) as const,
        );
        await sink.ddl.createDatabase(ID.database, signal);
        assert.deepEqual(await sink.ddl.createTable({ id: ID, source: 'influx', columns }, signal), {
          kind: 'done',
        });

        const source = createTestSource(ID.database);
        const point = (timeNs: bigint, n: number, every: number): TestPoint => ({
          table: ID.table,
          timeNs,
          fields: names.flatMap((field, i) => (i % every === 0 ? [[field, valueOf(i, n)] as const] : [])),
        });
        await sink.writer.write([source.batch([point(1n, 1, 1), point(2n, 2, 3), point(1n, 3, 2)])], signal);
        await sink.writer.write([source.batch([point(1n, 4, 7)])], signal);

        const first = names.map((_, i) => valueOf(i, i % 7 === 0 ? 4 : i % 2 === 0 ? 3 : 1)[1]);
        const second = names.map((_, i) => (i % 3 === 0 ? valueOf(i, 2)[1] : null));
        assert.deepEqual(await read(ID, names), [
          [1n, ...first],
          [2n, ...second],
        ]);
      });
    }

    it('keeps the fields that one row of a flush gives and another does not', async (t) => {
      const { sink, read } = await open(t);
      const columns = ['a', 'b'].map((field) => ({ name: field, kind: 'field', type: 'float64' }) as const);
      await sink.ddl.createDatabase(ID.database, signal);
      await sink.ddl.createTable({ id: ID, source: 'influx', columns }, signal);
      const source = createTestSource(ID.database);
      const point = (timeNs: bigint, fields: Readonly<Record<string, number>>): TestPoint => ({
        table: ID.table,
        timeNs,
        fields: Object.entries(fields).map(([field, value]) => [field, ['float64', value]] as const),
      });
      const write = (...points: TestPoint[]) => sink.writer.write([source.batch(points)], signal);
      await write(point(1n, { a: 1, b: 2 }), point(2n, { a: 3, b: 4 }));
      await write(point(1n, { a: 5 }), point(2n, { b: 6 }));
      assert.deepEqual(await read(ID, ['a', 'b']), [
        [1n, 5, 2],
        [2n, 3, 6],
      ]);
    });
  });
}
