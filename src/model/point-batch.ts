/**
 * The points of one request, as flat columns: row columns (series, time, byte offset of the point in the body),
 * cell columns (field, value bits), and per table a group: the chain of its rows and the tag sets and fields they
 * use. A batch of 100 points over 90 tables costs a handful of typed arrays that the pool hands on from request
 * to request, where one typed array per table and column would cost more than the parsing (docs/performance.md).
 *
 * Filled by the parsers in one pass (`beginRow`, then `add…` per cell, then `endRow`; a row that is begun and not
 * ended never was); read by the guard (groups), marked by ingest (`skip`), read by the sinks (`users`). Not safe for
 * use after `reset`.
 */
import type { Field, Series, Table, TagSet } from './series.ts';

/** The rows of one table within a batch. */
export interface TableGroup {
  table: Table;
  /** First row of the chain; follow `PointBatch.nextRow` until -1. */
  firstRow: number;
  lastRow: number;
  rows: number;
  /** Distinct tag sets and fields of the rows, in order of first appearance. */
  readonly tagSets: TagSet[];
  readonly fields: Field[];
}

const NO_BODY = new Uint8Array(0);
/** About what a group and its arrays take. */
const GROUP_BYTES = 256;

const littleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;
const LOW = littleEndian ? 0 : 1;
const HIGH = 1 - LOW;

/** A batch of points; see the module comment. Sizes grow by doubling and are kept for the next use. */
export class PointBatch {
  /** The request's body; string cells point into it. */
  body: Uint8Array = NO_BODY;
  database = '';
  rows = 0;
  cells = 0;
  /** Rows whose `skip` is set. */
  skipped = 0;
  /** Flushes and the write log that read it; while there is one the batch can't be used again. */
  users = 0;
  /** Its request is over (owned by the pool). */
  released = false;

  series: Series[] = [];
  /** Nanoseconds since the epoch: two 32-bit halves per row. `timeNs` is the same memory. */
  time!: Int32Array;
  timeNs!: BigInt64Array;
  /** Byte offset in `body` of the row's line or JSON object. */
  offset!: Int32Array;
  /** The next row of the same table, or -1. */
  nextRow!: Int32Array;
  /** Cells of row r are `firstCell[r]` (inclusive) to `firstCell[r + 1]` (exclusive). */
  firstCell!: Int32Array;
  /** Not 0: this row is not to be written (refused or deferred). */
  skip!: Uint8Array;

  cellField: Field[] = [];
  /** Value of a cell by the type of its field: float64 as such, bool as 0 or 1. */
  cellFloat!: Float64Array;
  /** The same memory: int64 and uint64. */
  cellInt!: BigInt64Array;
  /** The same memory as halves: string cells hold offset in `body` and length (negative: has escapes). */
  cellHalf!: Int32Array;

  readonly groups: TableGroup[] = [];
  groupCount = 0;
  private stamp: object = {};
  private pendingSeries: Series | undefined;

  constructor(rowCapacity = 256, cellCapacity = 256) {
    this.sizeRows(rowCapacity);
    this.sizeCells(cellCapacity);
  }

  /** Empties the batch for a new request; its arrays are kept. */
  reset(body: Uint8Array, database: string): void {
    this.body = body;
    this.database = database;
    if (this.skipped > 0) this.skip.fill(0);
    this.rows = this.cells = this.skipped = this.groupCount = 0;
    this.stamp = {};
  }

  /** Lets go of all that the request brought, or batches at rest would keep bodies and names of any size alive. */
  clear(): void {
    const none = undefined as never;
    this.body = NO_BODY;
    this.pendingSeries = undefined;
    this.series.fill(none, 0, this.rows);
    this.cellField.fill(none, 0, this.cells);
    for (let g = 0; g < this.groupCount; g++) {
      const group = this.groups[g] as TableGroup;
      group.table = none;
      group.tagSets.fill(none);
      group.fields.fill(none);
    }
  }

  /** Bytes that it keeps when it is cleared, for the pool's bound. */
  get capacityBytes(): number {
    return this.time.byteLength * 3 + this.cellFloat.byteLength * 2 + this.groups.length * GROUP_BYTES;
  }

  /** True when a row of the group is not skipped. */
  hasRows(group: TableGroup): boolean {
    let row = group.firstRow;
    while (row >= 0 && this.skip[row] !== 0) row = this.nextRow[row] as number;
    return row >= 0;
  }

  /** True when a row of the table leaves the batch with rows of at most `maxTables` tables. */
  hasRoomFor(table: Table, maxTables: number): boolean {
    return table.stamp === this.stamp || this.groupCount < maxTables;
  }

  /** Begins a row; nothing of it counts until `endRow`. `offset` is where the point starts in the body. */
  beginRow(series: Series, offset: number): void {
    if (this.rows + 1 >= this.offset.length) this.sizeRows(this.offset.length * 2);
    this.pendingSeries = series;
    this.offset[this.rows] = offset;
    this.cells = this.firstCell[this.rows] as number;
  }

  /** Sets the time of the row begun: not negative, below 2^63 nanoseconds. */
  setTime(seconds: number, nanos: number): void {
    // high64 and low64 in one: seconds * 1e9 = upper * 65536 + lower, both exact.
    const top = Math.floor(seconds / 65536);
    const lower = (seconds - top * 65536) * 1e9 + nanos;
    const upper = top * 1e9;
    const carried = Math.floor(upper / 65536);
    const low = (upper - carried * 65536) * 65536 + lower;
    const at = this.rows * 2;
    this.time[at + LOW] = low | 0;
    this.time[at + HIGH] = (carried + Math.floor(low / 4294967296)) | 0;
  }

  /** Sets the time of the row begun to any 64-bit number of nanoseconds. */
  setNanos(nanos: bigint): void {
    this.timeNs[this.rows] = nanos;
  }

  addFloat(field: Field, value: number): void {
    // First the cell: making room for it replaces the array.
    const cell = this.newCell(field);
    this.cellFloat[cell] = value;
  }

  addBool(field: Field, value: boolean): void {
    this.addFloat(field, value ? 1 : 0);
  }

  /** Adds an int64 or uint64 as two's complement halves. */
  addInt(field: Field, high: number, low: number): void {
    const at = this.newCell(field) * 2;
    this.cellHalf[at + LOW] = low;
    this.cellHalf[at + HIGH] = high;
  }

  /** Adds a string by its place in the body; `escaped` when it holds `\"` or `\\`. */
  addString(field: Field, offset: number, length: number, escaped: boolean): void {
    const at = this.newCell(field) * 2;
    this.cellHalf[at] = offset;
    this.cellHalf[at + 1] = escaped ? -length : length;
  }

  /** The text of a string cell, its escapes resolved. */
  stringAt(cell: number): string {
    const offset = this.cellHalf[cell * 2] as number;
    const length = this.cellHalf[cell * 2 + 1] as number;
    const end = offset + Math.abs(length);
    const text = Buffer.from(this.body.buffer, this.body.byteOffset + offset, end - offset).toString('utf8');
    return length < 0 ? text.replace(/\\(["\\])/g, '$1') : text;
  }

  /** Completes the row begun, which has at least one cell: links it into its table's group. */
  endRow(): void {
    const row = this.rows++;
    const series = this.pendingSeries as Series;
    this.series[row] = series;
    this.firstCell[this.rows] = this.cells;
    this.nextRow[row] = -1;
    const { stamp } = this;
    const tagSet = series.tagSet;
    const table = tagSet.table;
    const known = table.stamp === stamp;
    const group = known ? (this.groups[table.groupIndex] as TableGroup) : this.newGroup(tagSet, row);
    if (group.lastRow !== row) this.nextRow[group.lastRow] = row;
    group.lastRow = row;
    group.rows++;
    if (tagSet.stamp !== stamp) {
      tagSet.stamp = stamp;
      group.tagSets.push(tagSet);
    }
    for (let cell = this.firstCell[row] as number; cell < this.cells; cell++) {
      const field = this.cellField[cell] as Field;
      if (field.stamp === stamp) continue;
      field.stamp = stamp;
      group.fields.push(field);
    }
  }

  /** Marks a row as not to be written. */
  skipRow(row: number): void {
    if (this.skip[row] === 0) this.skipped++;
    this.skip[row] = 1;
  }

  private newCell(field: Field): number {
    const cell = this.cells++;
    if (cell >= this.cellFloat.length) this.sizeCells(this.cellFloat.length * 2);
    this.cellField[cell] = field;
    return cell;
  }

  /**
   * Groups are used again from request to request. Objects made anew would, once requests had to wait for a create,
   * be allocated in the old generation for good (V8 pretenures by allocation site), and cost a third of the CPU.
   */
  private newGroup(tagSet: TagSet, row: number): TableGroup {
    const { stamp } = this;
    const table = tagSet.table;
    const field = this.cellField[this.firstCell[row] as number] as Field;
    table.stamp = tagSet.stamp = field.stamp = stamp;
    table.groupIndex = this.groupCount;
    let group = this.groups[this.groupCount++];
    if (group === undefined) {
      group = { table, firstRow: row, lastRow: row, rows: 0, tagSets: [tagSet], fields: [field] };
      this.groups.push(group);
      return group;
    }
    group.table = table;
    group.firstRow = group.lastRow = row;
    group.rows = 0;
    // Nearly always the lengths are 1 already; setting them is a call into the runtime.
    group.tagSets[0] = tagSet;
    if (group.tagSets.length > 1) group.tagSets.length = 1;
    group.fields[0] = field;
    if (group.fields.length > 1) group.fields.length = 1;
    return group;
  }

  private sizeRows(capacity: number): void {
    const time = new Int32Array(capacity * 2);
    const offset = new Int32Array(capacity);
    const nextRow = new Int32Array(capacity);
    const firstCell = new Int32Array(capacity + 1);
    const skip = new Uint8Array(capacity);
    if (this.rows > 0) {
      time.set(this.time);
      offset.set(this.offset);
      nextRow.set(this.nextRow);
      firstCell.set(this.firstCell);
      skip.set(this.skip);
    }
    this.time = time;
    this.timeNs = new BigInt64Array(time.buffer);
    this.offset = offset;
    this.nextRow = nextRow;
    this.firstCell = firstCell;
    this.skip = skip;
  }

  private sizeCells(capacity: number): void {
    const bits = new Float64Array(capacity);
    if (this.cells > 0) bits.set(this.cellFloat);
    this.cellFloat = bits;
    this.cellInt = new BigInt64Array(bits.buffer);
    this.cellHalf = new Int32Array(bits.buffer);
  }
}
