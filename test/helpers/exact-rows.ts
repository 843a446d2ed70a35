/** Rows of a batch in a form that shows every bit, for comparing what was written with what came back. */
import * as fc from 'fast-check';
import type { ValueType } from '../../src/model/column.ts';
import type { PointBatch } from '../../src/model/point-batch.ts';
import type { Series } from '../../src/model/series.ts';
import type { TestPoint, TestValue } from './points.ts';

/** One row. Numbers are their bits, strings their bytes and whether they have escapes, or their text. */
export interface ExactRow {
  readonly database: string;
  readonly table: string;
  readonly tags: readonly (readonly [key: string, value: string])[];
  readonly time: bigint;
  readonly cells: readonly (readonly [name: string, type: ValueType, value: bigint | string])[];
}

/** The rows given, or all that are not skipped, in order. */
export function exactRows(
  batch: PointBatch,
  rows?: readonly number[],
  strings: 'bytes' | 'text' = 'bytes',
): ExactRow[] {
  const wanted = rows ?? [...Array(batch.rows).keys()].filter((row) => batch.skip[row] === 0);
  return wanted.map((row) => {
    const { tagSet, values } = batch.series[row] as Series;
    const first = batch.firstCell[row] ?? 0;
    const end = batch.firstCell[row + 1] ?? 0;
    return {
      database: tagSet.table.database,
      table: tagSet.table.name,
      tags: tagSet.keys.map((key, i) => [key, values[i] ?? '']),
      time: batch.timeNs[row] ?? 0n,
      cells: [...Array(end - first).keys()].map((i) => exactCell(batch, first + i, strings)),
    };
  });
}

/** The same, by database and table: the order within each is what has to be kept. */
export function rowsByTable(rows: readonly ExactRow[]): Map<string, ExactRow[]> {
  const tables = new Map<string, ExactRow[]>();
  for (const row of rows) {
    const key = JSON.stringify([row.database, row.table]);
    const known = tables.get(key);
    if (known === undefined) tables.set(key, [row]);
    else known.push(row);
  }
  return tables;
}

function exactCell(batch: PointBatch, cell: number, strings: 'bytes' | 'text'): ExactRow['cells'][number] {
  const field = batch.cellField[cell];
  if (field === undefined) throw new Error(`cell ${cell} has no field`);
  const value = field.type === 'string' ? exactString(batch, cell, strings) : (batch.cellInt[cell] ?? 0n);
  return [field.name, field.type, value];
}

function exactString(batch: PointBatch, cell: number, strings: 'bytes' | 'text'): string {
  if (strings === 'text') return batch.stringAt(cell);
  const offset = batch.cellHalf[cell * 2] ?? 0;
  const length = batch.cellHalf[cell * 2 + 1] ?? 0;
  const bytes = Buffer.from(batch.body.subarray(offset, offset + Math.abs(length)));
  return `${length < 0 ? 'escaped' : 'plain'} ${bytes.toString('hex')}`;
}

/** Characters that mean something in line protocol, and two that don't. */
const awkward = fc.constantFrom(',', ' ', '=', '\\', '"', '#', '\n', '\r', '\t', 'a', 'b');

/** Any text that bytes can spell: no lone surrogates, and no NUL, which parsers refuse in names. */
export const anyName = (minLength = 1): fc.Arbitrary<string> =>
  fc
    .oneof(
      { weight: 3, arbitrary: fc.constantFrom('cpu', 'host', 'a', 'value', '__proto__', 'größe 😀') },
      {
        weight: 2,
        arbitrary: fc.string({ unit: awkward, minLength, maxLength: 6 }),
      },
      { weight: 1, arbitrary: fc.string({ unit: 'binary', minLength, maxLength: 12 }) },
    )
    .filter((name) => !name.includes('\0'));

const bits64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

/** Values of all types, every bit pattern among the numbers. */
export const anyValue: fc.Arbitrary<TestValue> = fc.oneof(
  fc.oneof(fc.double(), bits64.map(floatOfBits)).map((value): TestValue => ['float64', value]),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((value): TestValue => ['int64', value]),
  bits64.map((value): TestValue => ['uint64', value]),
  fc.boolean().map((value): TestValue => ['bool', value]),
  fc
    .oneof(
      fc.string({ unit: 'binary', maxLength: 30 }),
      fc.string({ unit: fc.constantFrom('\\', '"', 'a', '\n', ',') }),
    )
    .map((value): TestValue => ['string', value]),
);

function floatOfBits(bits: bigint): number {
  return new Float64Array(BigUint64Array.of(bits).buffer)[0] as number;
}

/** Points of a few tables. */
export const anyPoint: fc.Arbitrary<TestPoint> = fc.record({
  table: anyName(),
  tags: fc
    .array(fc.tuple(anyName(), anyName()), { maxLength: 4 })
    .map((tags) => Object.fromEntries(tags) as Record<string, string>),
  timeNs: fc.oneof(
    fc.constantFrom(0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 1_700_000_000_123_456_789n),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  ),
  fields: fc.uniqueArray(fc.tuple(anyName(), anyValue), {
    minLength: 1,
    maxLength: 6,
    selector: ([name]) => name,
  }),
});
