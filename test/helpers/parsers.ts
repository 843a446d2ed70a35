/** Settings and readers for tests of the parsers. */
import type { PointBatch } from '../../src/model/point-batch.ts';
import type { PointLimits } from '../../src/protocol/limits.ts';
import type { OpenTsdbRules } from '../../src/protocol/opentsdb-point.ts';

/** The defaults of the configuration. */
export const DEFAULT_LIMITS: PointLimits = {
  lineBytes: 2 * 2 ** 20,
  nameBytes: 1024,
  tagValueBytes: 4096,
  stringBytes: 2 ** 20,
  tagsPerPoint: 64,
  fieldsPerPoint: 1024,
  tablesPerRequest: 10_000,
  pointsPerRequest: 500_000,
  jsonDepth: 100,
};

/** The widest that the configuration allows. */
export const WIDEST_LIMITS: PointLimits = {
  ...DEFAULT_LIMITS,
  nameBytes: 65_535,
  tagValueBytes: 10 ** 6,
  stringBytes: 10 ** 7,
  lineBytes: 10 ** 7,
};

/** OpenTSDB's settings by default, and the name of its value column. */
export const DEFAULT_RULES: OpenTsdbRules & { valueColumn: string } = {
  maxTags: 8,
  requireTags: true,
  extraNameChars: '',
  valueColumn: 'value',
};

/** One row of a batch in a form that tests compare. */
export interface ReadRow {
  readonly table: string;
  readonly tags: Record<string, string>;
  readonly time: bigint;
  readonly fields: readonly (readonly [
    name: string,
    type: string,
    value: number | bigint | boolean | string,
  ])[];
  readonly offset: number;
}

/** All rows of a batch that are not skipped. */
export function readRows(batch: PointBatch): ReadRow[] {
  const rows: ReadRow[] = [];
  for (let row = 0; row < batch.rows; row++) {
    const series = batch.series[row];
    if (series === undefined || batch.skip[row] !== 0) continue;
    const fields: ReadRow['fields'][number][] = [];
    for (let cell = batch.firstCell[row] ?? 0; cell < (batch.firstCell[row + 1] ?? 0); cell++) {
      fields.push(readCell(batch, cell));
    }
    rows.push({
      table: series.tagSet.table.name,
      tags: Object.fromEntries(series.tagSet.keys.map((key, i) => [`tag:${key}`, series.values[i] ?? ''])),
      time: batch.timeNs[row] ?? 0n,
      fields,
      offset: batch.offset[row] ?? -1,
    });
  }
  return rows;
}

function readCell(batch: PointBatch, cell: number): ReadRow['fields'][number] {
  const field = batch.cellField[cell];
  if (field === undefined) throw new Error(`cell ${cell} has no field`);
  const bits = batch.cellInt[cell] ?? 0n;
  const float = batch.cellFloat[cell] ?? Number.NaN;
  const value = {
    float64: () => float,
    bool: () => float === 1,
    int64: () => bits,
    uint64: () => BigInt.asUintN(64, bits),
    string: () => batch.stringAt(cell),
  }[field.type]();
  return [field.name, field.type, value];
}
