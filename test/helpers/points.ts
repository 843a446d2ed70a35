/** Builds batches of points for tests of guard, ingest and sinks, without a parser. */
import type { ValueType } from '../../src/model/column.ts';
import { PointBatch } from '../../src/model/point-batch.ts';
import { Field, Series, Table, TagSet } from '../../src/model/series.ts';

/** A value with its exact type. */
export type TestValue =
  | readonly ['float64', number]
  | readonly ['int64' | 'uint64', bigint]
  | readonly ['bool', boolean]
  | readonly ['string', string];

/** A point to be. */
export interface TestPoint {
  readonly table: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly timeNs?: bigint;
  readonly fields: readonly (readonly [name: string, value: TestValue])[];
}

/** Identities of one "dictionary": objects made once per name. */
export interface TestSource {
  readonly database: string;
  /** A new batch with the points; their offsets are their indexes. */
  batch(points: readonly TestPoint[]): PointBatch;
  series(table: string, tags: Readonly<Record<string, string>>): Series;
}

/** Creates an empty dictionary; each sink under test needs its own. */
export function createTestSource(database: string): TestSource {
  const tables = new Map<string, Table>();
  const tagSets = new Map<string, TagSet>();
  const fields = new Map<string, Field>();
  const allSeries = new Map<string, Series>();
  const tableOf = (name: string): Table => intern(tables, name, () => new Table(database, name));
  const fieldOf = (table: Table, name: string, type: ValueType): Field =>
    intern(fields, JSON.stringify([table.name, name, type]), () => new Field(table, name, type));

  function seriesOf(name: string, tags: Readonly<Record<string, string>>): Series {
    const table = tableOf(name);
    const keys = Object.keys(tags).sort();
    const tagSet = intern(tagSets, JSON.stringify([name, keys]), () => new TagSet(table, keys));
    const values = keys.map((key) => tags[key] as string);
    return intern(allSeries, JSON.stringify([name, keys, values]), () => new Series(tagSet, values));
  }

  return {
    database,
    series: seriesOf,
    batch(points) {
      const body = bodyOf(points);
      const batch = new PointBatch(2, 2);
      batch.reset(body.bytes, database);
      for (const [index, { table, tags = {}, timeNs = 0n, fields: values }] of points.entries()) {
        batch.beginRow(seriesOf(table, tags), index);
        batch.setNanos(timeNs);
        for (const [name, value] of values)
          addValue(batch, fieldOf(tableOf(table), name, value[0]), value, body);
        batch.endRow();
      }
      return batch;
    },
  };
}

interface Body {
  readonly bytes: Uint8Array;
  readonly offsets: ReadonlyMap<string, number>;
}

function bodyOf(points: readonly TestPoint[]): Body {
  const offsets = new Map<string, number>();
  const parts: Buffer[] = [];
  let length = 0;
  for (const [, value] of points.flatMap((point) => point.fields)) {
    if (value[0] !== 'string' || offsets.has(value[1])) continue;
    const part = Buffer.from(value[1]);
    offsets.set(value[1], length);
    parts.push(part);
    length += part.length;
  }
  return { bytes: Buffer.concat(parts), offsets };
}

function addValue(batch: PointBatch, field: Field, value: TestValue, body: Body): void {
  switch (value[0]) {
    case 'float64':
      return batch.addFloat(field, value[1]);
    case 'bool':
      return batch.addBool(field, value[1]);
    case 'string':
      return batch.addString(field, body.offsets.get(value[1]) as number, Buffer.byteLength(value[1]), false);
    case 'int64':
    case 'uint64':
      return batch.addInt(field, ...halves(value[1]));
  }
}

function halves(value: bigint): [high: number, low: number] {
  return [Number(BigInt.asIntN(32, value >> 32n)), Number(BigInt.asIntN(32, value))];
}

function intern<T>(map: Map<string, T>, key: string, create: () => T): T {
  let known = map.get(key);
  if (known === undefined) {
    known = create();
    map.set(key, known);
  }
  return known;
}
