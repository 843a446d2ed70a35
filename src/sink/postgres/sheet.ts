/**
 * The rows of one statement: one table, each series and time once, with the cells that were given last. An INSERT
 * with ON CONFLICT refuses to touch a row twice, so what a flush holds twice is merged here. A flush has a sheet per
 * table; more when the rows are very many, or when their fields differ so much that most of a sheet would be empty:
 * then the later sheet's statement comes later, and what it gives wins.
 */
import type { PointBatch, TableGroup } from '../../model/point-batch.ts';
import type { Field, Series, TagSet } from '../../model/series.ts';
import { type TableId, tableKey } from '../../model/table.ts';
import { seriesKey } from './layout.ts';

/** A field's cells by slot; a cell is `batch * BATCH + cell`, -1 where there is none. */
export interface SheetField {
  readonly field: Field;
  readonly cells: number[];
}

/** Factor of the batch's number within a cell's. */
export const BATCH = 2 ** 31;

const MAX_ROWS = 8_192;
/** So many places may be empty whatever the rows hold. */
const SMALL_CELLS = 4_096;
/** Beyond, at least one place in so many must be filled. */
const MAX_SPARSENESS = 8;

/** Up to so many rows or fields are looked through one by one. */
const SMALL = 8;

interface Time {
  readonly high: number;
  readonly low: number;
}

/** See the module comment. */
export class Sheet {
  readonly id: TableId;
  /** By slot. Times in two halves. */
  readonly series: Series[] = [];
  readonly timeHigh: number[] = [];
  readonly timeLow: number[] = [];
  readonly fields: SheetField[] = [];
  readonly tagSets: TagSet[] = [];
  /** Both are made only for sheets that are not small: most flushes over many tables have a row of each. */
  private byName: Map<string, SheetField> | undefined;
  private index: Int32Array | undefined;
  private given = 0;
  private ownKey: string | undefined;

  constructor(id: TableId) {
    this.id = id;
  }

  /** The tag columns of all rows, in a fixed order. */
  tagKeys(): readonly string[] {
    if (this.tagSets.length === 1) return (this.tagSets[0] as TagSet).keys;
    return [...new Set(this.tagSets.flatMap(({ keys }) => keys))].sort();
  }

  /** Stands for the table and columns of a sheet that is complete. */
  get key(): string {
    this.ownKey ??= keyOfSheet(this);
    return this.ownKey;
  }

  get isFull(): boolean {
    const rows = this.series.length;
    if (rows >= MAX_ROWS) return true;
    const places = rows * this.fields.length;
    return places > SMALL_CELLS && this.given * MAX_SPARSENESS < places;
  }

  /** Adds a row; `number` is the batch's place in the flush. */
  add(batch: PointBatch, row: number, number: number): void {
    const slot = this.slotOf(batch, row);
    const first = batch.firstCell[row] as number;
    const end = batch.firstCell[row + 1] as number;
    for (let cell = first; cell < end; cell++) {
      const { cells } = this.columnOf(batch.cellField[cell] as Field, cell - first);
      while (cells.length <= slot) cells.push(-1);
      cells[slot] = number * BATCH + cell;
    }
    this.given += end - first;
  }

  /** Rows of a table mostly have the same fields in the same order. */
  private columnOf(field: Field, place: number): SheetField {
    const likely = this.fields[place];
    if (likely?.field === field) return likely;
    // Another object may stand for the same field.
    let column = this.known(field);
    if (column === undefined) {
      column = { field, cells: [] };
      this.fields.push(column);
      this.byName?.set(fieldKey(field), column);
    }
    return column;
  }

  private known(field: Field): SheetField | undefined {
    const { fields } = this;
    if (fields.length <= SMALL) {
      return fields.find(({ field: other }) => other.name === field.name && other.type === field.type);
    }
    this.byName ??= new Map(fields.map((column) => [fieldKey(column.field), column]));
    return this.byName.get(fieldKey(field));
  }

  private slotOf(batch: PointBatch, row: number): number {
    const series = batch.series[row] as Series;
    if (series.storageKey === undefined) {
      const key = seriesKey(series);
      series.storageKey = key;
      series.storageId = key.readUInt32LE();
    }
    const { tagSet } = series;
    if (this.tagSets.at(-1) !== tagSet && !this.tagSets.includes(tagSet)) this.tagSets.push(tagSet);
    const high = batch.time[row * 2 + HIGH] as number;
    const low = batch.time[row * 2 + LOW] as number;
    return this.find(series, high, low);
  }

  private find(series: Series, high: number, low: number): number {
    if (this.index === undefined) {
      for (let slot = 0; slot < this.series.length; slot++)
        if (this.isAt(slot, series, high, low)) return slot;
      const slot = this.push(series, high, low);
      if (slot === SMALL) this.grow();
      return slot;
    }
    const place = this.placeOf(this.index, series, { high, low });
    const known = (this.index[place] as number) - 1;
    if (known >= 0) return known;
    this.index[place] = this.series.length + 1;
    const slot = this.push(series, high, low);
    if (slot * 2 >= this.index.length) this.grow();
    return slot;
  }

  private push(series: Series, high: number, low: number): number {
    this.series.push(series);
    this.timeHigh.push(high);
    this.timeLow.push(low);
    return this.series.length - 1;
  }

  /** The place of the row's slot in the index, or where it belongs. The index is open-addressed, 0 is free. */
  private placeOf(index: Int32Array, series: Series, { high, low }: Time): number {
    const mask = index.length - 1;
    let place = hashOf(series, high, low) & mask;
    for (;;) {
      const slot = (index[place] as number) - 1;
      if (slot < 0 || this.isAt(slot, series, high, low)) return place;
      place = (place + 1) & mask;
    }
  }

  private isAt(slot: number, series: Series, high: number, low: number): boolean {
    if (this.timeLow[slot] !== low || this.timeHigh[slot] !== high) return false;
    const other = this.series[slot] as Series;
    return other === series || sameKey(other, series);
  }

  private grow(): void {
    const size = this.index === undefined ? SMALL * 4 : this.index.length * 2;
    this.index = new Int32Array(size);
    for (let slot = 0; slot < this.series.length; slot++) {
      const hash = hashOf(
        this.series[slot] as Series,
        this.timeHigh[slot] as number,
        this.timeLow[slot] as number,
      );
      let place = hash & (size - 1);
      while (this.index[place] !== 0) place = (place + 1) & (size - 1);
      this.index[place] = slot + 1;
    }
  }
}

const littleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;
/** Places of the halves of 64 bits in `PointBatch.time` and `cellHalf`. */
export const LOW = littleEndian ? 0 : 1;
export const HIGH = 1 - LOW;

function fieldKey({ type, name }: Field): string {
  return `${type} ${name}`;
}

function hashOf(series: Series, high: number, low: number): number {
  const mixed = Math.imul(
    series.storageId ^ Math.imul(low, 0x9e3779b1) ^ Math.imul(high, 0x85ebca6b),
    0x27d4eb2f,
  );
  return (mixed ^ (mixed >>> 15)) >>> 0;
}

function keyOfSheet(sheet: Sheet): string {
  let key = `${tableKey(sheet.id)}\u0000${sheet.tagKeys().join('\u0000')}`;
  for (const { field } of sheet.fields) key += `\u0001${fieldKey(field)}`;
  return key;
}

function sameKey(a: Series, b: Series): boolean {
  return a.storageId === b.storageId && Buffer.compare(keyOf(a), keyOf(b)) === 0;
}

function keyOf(series: Series): Uint8Array {
  return series.storageKey as Uint8Array;
}

/** The sheets of a flush: tables in the order of their first appearance, the sheets of one in the order of its rows. */
export function sheetsOf(batches: readonly PointBatch[]): readonly Sheet[] {
  const tables = new Map<string, { batch: PointBatch; number: number; group: TableGroup }[]>();
  for (const [number, batch] of batches.entries()) {
    for (let g = 0; g < batch.groupCount; g++) {
      const group = batch.groups[g] as TableGroup;
      if (!batch.hasRows(group)) continue;
      const parts = tables.get(group.table.key);
      if (parts === undefined) tables.set(group.table.key, [{ batch, number, group }]);
      else parts.push({ batch, number, group });
    }
  }
  const sheets: Sheet[] = [];
  for (const parts of tables.values()) {
    let sheet: Sheet | undefined;
    for (const { batch, number, group } of parts) {
      const id = { database: group.table.database, table: group.table.name };
      for (let row = group.firstRow; row >= 0; row = batch.nextRow[row] as number) {
        if (batch.skip[row] !== 0) continue;
        if (sheet === undefined || sheet.isFull) sheets.push((sheet = new Sheet(id)));
        sheet.add(batch, row, number);
      }
    }
  }
  return sheets;
}
