/**
 * Turns the batches of a flush into columns per table, for sinks that write table by table. Rows keep the order of
 * their coming, so the last of two rows for one series and time is the later write. Skipped rows are left out, and
 * so are the tables and columns that only they use.
 */
import type { ValueType } from '../model/column.ts';
import type { PointBatch, TableGroup } from '../model/point-batch.ts';
import type { Field, Series } from '../model/series.ts';
import type { TableId } from '../model/table.ts';

/** What holds the values of each type; where a row has none, the element is 0 or empty. */
export interface ColumnValues {
  readonly float64: Float64Array;
  readonly int64: BigInt64Array;
  readonly uint64: BigUint64Array;
  /** 0 or 1. */
  readonly bool: Uint8Array;
  readonly string: string[];
}

interface Column<T extends ValueType> {
  readonly name: string;
  readonly type: T;
  readonly values: ColumnValues[T];
  /** 1 where the row has a value. */
  readonly valid: Uint8Array;
}

/** One field of a table, with an element per row. */
export type FieldColumn = { [T in ValueType]: Column<T> }[ValueType];

/** The rows of one table. */
export interface TableBatch {
  readonly id: TableId;
  readonly rows: number;
  /** Per row; its tags. */
  readonly series: readonly Series[];
  /** Per row: nanoseconds since the epoch. */
  readonly timeNs: BigInt64Array;
  /** In order of first appearance; a field that comes with two types has two. */
  readonly columns: readonly FieldColumn[];
}

interface Draft {
  readonly batch: TableBatch & { readonly series: Series[]; readonly columns: FieldColumn[]; rows: number };
  readonly byField: Map<Field, FieldColumn>;
}

/** The rows that are not skipped, by table, in order of first appearance. */
export function gather(batches: readonly PointBatch[]): TableBatch[] {
  const drafts = new Map<string, Draft>();
  for (const [key, { table, rows }] of countRows(batches)) {
    const id = { database: table.database, table: table.name };
    const batch = { id, rows: 0, series: [], timeNs: new BigInt64Array(rows), columns: [] };
    drafts.set(key, { batch, byField: new Map() });
  }
  for (const batch of batches) {
    for (let g = 0; g < batch.groupCount; g++) {
      const group = batch.groups[g] as TableGroup;
      const draft = drafts.get(group.table.key);
      if (draft !== undefined) addGroup(batch, group, draft);
    }
  }
  return Array.from(drafts.values(), (draft) => draft.batch);
}

function countRows(
  batches: readonly PointBatch[],
): Map<string, { table: TableGroup['table']; rows: number }> {
  const counts = new Map<string, { table: TableGroup['table']; rows: number }>();
  for (const batch of batches) {
    for (let g = 0; g < batch.groupCount; g++) {
      const group = batch.groups[g] as TableGroup;
      const rows = batch.skipped === 0 ? group.rows : keptRows(batch, group);
      const known = counts.get(group.table.key);
      if (known !== undefined) known.rows += rows;
      else if (rows > 0) counts.set(group.table.key, { table: group.table, rows });
    }
  }
  return counts;
}

function keptRows(batch: PointBatch, group: TableGroup): number {
  let rows = 0;
  for (let row = group.firstRow; row !== -1; row = batch.nextRow[row] as number) {
    if (batch.skip[row] === 0) rows++;
  }
  return rows;
}

function addGroup(batch: PointBatch, group: TableGroup, draft: Draft): void {
  const to = draft.batch;
  for (let row = group.firstRow; row !== -1; row = batch.nextRow[row] as number) {
    if (batch.skip[row] !== 0) continue;
    const at = to.rows++;
    to.series.push(batch.series[row] as Series);
    to.timeNs[at] = batch.timeNs[row] as bigint;
    const end = batch.firstCell[row + 1] as number;
    for (let cell = batch.firstCell[row] as number; cell < end; cell++) {
      const column = columnOf(draft, batch.cellField[cell] as Field);
      column.valid[at] = 1;
      copyCell(batch, cell, column, at);
    }
  }
}

function columnOf(draft: Draft, field: Field): FieldColumn {
  const known = draft.byField.get(field);
  if (known !== undefined) return known;
  // Another object may stand for the same field.
  const { columns, timeNs } = draft.batch;
  let column = columns.find((c) => c.name === field.name && c.type === field.type);
  if (column === undefined) {
    column = createColumn(field, timeNs.length);
    columns.push(column);
  }
  draft.byField.set(field, column);
  return column;
}

function createColumn({ name, type }: Field, rows: number): FieldColumn {
  const valid = new Uint8Array(rows);
  if (type === 'float64') return { name, type, values: new Float64Array(rows), valid };
  if (type === 'int64') return { name, type, values: new BigInt64Array(rows), valid };
  if (type === 'uint64') return { name, type, values: new BigUint64Array(rows), valid };
  if (type === 'bool') return { name, type, values: new Uint8Array(rows), valid };
  return { name, type, values: Array.from({ length: rows }, () => ''), valid };
}

function copyCell(batch: PointBatch, cell: number, column: FieldColumn, at: number): void {
  switch (column.type) {
    case 'float64':
    case 'bool':
      column.values[at] = batch.cellFloat[cell] as number;
      break;
    case 'int64':
    case 'uint64':
      // A BigUint64Array takes the same 64 bits of a negative number.
      column.values[at] = batch.cellInt[cell] as bigint;
      break;
    case 'string':
      column.values[at] = batch.stringAt(cell);
  }
}
