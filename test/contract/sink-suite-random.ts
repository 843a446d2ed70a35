/** What every sink that stores must come to after any flushes: the last value of each field of each series and time. */

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { array, asyncProperty, assert as check, constantFrom, integer, record, tuple } from 'fast-check';
import type { ColumnSpec } from '../../src/model/column.ts';
import { createTestSource, type TestPoint, type TestValue } from '../helpers/points.ts';
import type { ReadValue, StoringSink } from './sink-suite.ts';

const { signal } = new AbortController();
const DATABASE = 'public';
const RUNS = 12;

const VALUES: Readonly<Record<string, (n: number) => TestValue>> = {
  f: (n) => ['float64', n / 4],
  i: (n) => ['int64', BigInt(n) * 3_000_000_000_000_000n],
  u: (n) => ['uint64', 2n ** 64n - 1n - BigInt(n)],
  b: (n) => ['bool', n % 2 === 0],
  s: (n) => ['string', 'ö"'.repeat(n % 5)],
};
const FIELDS = Object.keys(VALUES);
const TAGS = ['x', 'y'];
const COLUMNS: readonly ColumnSpec[] = [
  ...TAGS.map((name): ColumnSpec => ({ name, kind: 'tag', type: 'string' })),
  ...FIELDS.map((name): ColumnSpec => ({ name, kind: 'field', type: VALUES[name]?.(0)[0] ?? 'float64' })),
];

/** A point: few series and times, so that most are written more than once. */
const spec = record({
  table: constantFrom('m0', 'm1', 'm2'),
  x: constantFrom('', 'a', 'b'),
  y: constantFrom('', 'a'),
  timeNs: constantFrom(0n, 1n, 1_000n, -1n, 1_700_000_000_123_456_789n),
  fields: array(tuple(constantFrom(...FIELDS), integer({ min: 0, max: 1_000 })), {
    minLength: 1,
    maxLength: 4,
  }),
});
const flushes = array(array(array(spec, { maxLength: 40 }), { maxLength: 3 }), {
  minLength: 1,
  maxLength: 4,
});

type Spec = typeof spec extends { generate: (...args: never[]) => { value: infer T } } ? T : never;

function pointOf({ table, x, y, timeNs, fields }: Spec): TestPoint {
  const tags = Object.fromEntries(Object.entries({ x, y }).filter(([, value]) => value !== ''));
  const given = new Map(fields.map(([name, n]) => [name, (VALUES[name] as (n: number) => TestValue)(n)]));
  return { table, tags, timeNs, fields: [...given] };
}

/** Rows by table, series and time. */
class Model {
  readonly rows = new Map<string, Map<string, ReadValue[]>>();

  add({ table, tags = {}, timeNs = 0n, fields }: TestPoint): void {
    const rows = this.rows.get(table) ?? new Map<string, ReadValue[]>();
    this.rows.set(table, rows);
    const key = [timeNs, tags['x'], tags['y']].join(' ');
    const row = rows.get(key) ?? [timeNs, tags['x'] ?? null, tags['y'] ?? null, ...FIELDS.map(() => null)];
    for (const [name, value] of fields) row[1 + TAGS.length + FIELDS.indexOf(name)] = value[1];
    rows.set(key, row);
  }
}

const sorted = (rows: Iterable<readonly ReadValue[]>): string[] =>
  Array.from(rows, (row) => row.map(String).join(' | ')).sort();

/** Runs the suite over a sink that `open` makes. */
export function randomSuite(name: string, open: (t: TestContext) => Promise<StoringSink>): void {
  describe(`${name}: any flushes`, () => {
    it('come to the last value of each field, of each series and time', async (t) => {
      const { sink, read } = await open(t);
      await sink.ddl.createDatabase(DATABASE, signal);
      let run = 0;
      await check(
        asyncProperty(flushes, async (all) => {
          run++;
          const model = new Model();
          const source = createTestSource(DATABASE);
          for (const flush of all) {
            const batches = flush.map((specs) => {
              const points = specs
                .map(pointOf)
                .map((point) => ({ ...point, table: `${point.table}_${run}` }));
              for (const point of points) model.add(point);
              return points;
            });
            for (const table of model.rows.keys()) {
              const id = { database: DATABASE, table };
              await sink.ddl.createTable({ id, source: 'influx', columns: COLUMNS }, signal);
            }
            await sink.writer.write(
              batches.map((points) => source.batch(points)),
              signal,
            );
          }
          for (const [table, rows] of model.rows) {
            const found = await read({ database: DATABASE, table }, [...TAGS, ...FIELDS]);
            assert.deepEqual(sorted(found), sorted(rows.values()));
          }
        }),
        { numRuns: RUNS },
      );
    });
  });
}
