/**
 * Rows as bytes: self-contained records, independent of the memory's layout, the parsers' options and other records.
 * Numbers are varints or little-endian, texts UTF-8 behind their length in bytes.
 *
 *   record = version:1  source:1  rows:4  atMs:8 (float64)  askedBy:text  { table | row }
 *   table  = 0  same:1  [ database:text ]  name:text     (same = 1: the database of the table before)
 *   row    = 1 + tag set  [ keys  key:text … ]  value:text per key  time:8  cells  { field  [ type:1 name:text ]  value }
 *   value  = 8 bytes | bool:1 | 2 * bytes + escaped, raw bytes as in the client's body
 *
 * Tag sets and fields are numbered per table; what stands in brackets comes with a number for the first time. Rows of
 * one table keep their order, tables come one after the other.
 */
import type { ValueType } from '../model/column.ts';
import type { PointBatch } from '../model/point-batch.ts';
import type { Field, Series, Table, TagSet } from '../model/series.ts';
import type { RecordHead } from '../model/spool.ts';
import type { TableSource } from '../model/table.ts';
import { Numbering } from './record-numbering.ts';
import { RecordWriter } from './record-writer.ts';

/** First byte of a record. */
export const RECORD_VERSION = 1;
/** Types by the number that stands for them; only ever appended to. */
export const VALUE_TYPES: readonly ValueType[] = ['float64', 'int64', 'uint64', 'bool', 'string'];
/** Sources by number. */
export const SOURCES: readonly TableSource[] = ['opentsdb', 'influx'];
/** A record that reached this size takes no further row. */
export const RECORD_BYTES = 2 ** 20;

const ROWS_AT = 2;
const littleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;
const LOW = littleEndian ? 0 : 1;
const HIGH = 1 - LOW;

/** A record and how many rows are in it. */
export interface EncodedRecord {
  readonly bytes: Uint8Array;
  readonly rows: number;
}

/** Makes records; synchronous, one serves all requests. */
export interface RecordEncoder {
  /**
   * The rows given (ascending, skipped or not), or all that are not skipped, as records of about 1 MiB at most (a
   * larger row is a record of its own). No rows, no record. Keeps nothing of the batch.
   */
  encode(
    batch: PointBatch,
    rows: readonly number[] | Int32Array | undefined,
    head: RecordHead,
  ): readonly EncodedRecord[];
}

/** Makes an encoder. */
export function createRecordEncoder(): RecordEncoder {
  return new Encoder();
}

class Encoder implements RecordEncoder {
  private readonly out = new RecordWriter();
  private readonly tagSets = new Numbering<TagSet>();
  private readonly fields = new Numbering<Field>();
  private marks = new Uint8Array(256);
  private table: Table | undefined;
  private database: string | undefined;
  private rows = 0;
  private records: EncodedRecord[] = [];

  encode(
    batch: PointBatch,
    rows: readonly number[] | Int32Array | undefined,
    head: RecordHead,
  ): readonly EncodedRecord[] {
    this.begin(head);
    if (rows === undefined) this.addGroups(batch, head, batch.skip, 0);
    else if (areOfOneTable(batch, rows)) for (const row of rows) this.addRow(batch, row, head);
    else this.addMarked(batch, rows, head);
    this.finish();
    const { records } = this;
    this.records = [];
    return records;
  }

  private addMarked(batch: PointBatch, rows: readonly number[] | Int32Array, head: RecordHead): void {
    if (this.marks.length < batch.rows) this.marks = new Uint8Array(batch.rows * 2);
    for (const row of rows) this.marks[row] = 1;
    this.addGroups(batch, head, this.marks, 1);
    for (const row of rows) this.marks[row] = 0;
  }

  /** Adds the rows for which `choice` is `wanted`, table by table. */
  private addGroups(batch: PointBatch, head: RecordHead, choice: Uint8Array, wanted: number): void {
    for (let g = 0; g < batch.groupCount; g++) {
      let row = batch.groups[g]?.firstRow ?? -1;
      for (; row >= 0; row = batch.nextRow[row] as number) {
        if (choice[row] === wanted) this.addRow(batch, row, head);
      }
    }
  }

  private addRow(batch: PointBatch, row: number, head: RecordHead): void {
    if (this.out.at >= RECORD_BYTES) {
      this.finish();
      this.begin(head);
    }
    const { out } = this;
    const series = batch.series[row] as Series;
    if (series.tagSet.table !== this.table) this.addTable(series.tagSet.table);
    this.addSeries(series);
    out.halves(batch.time[row * 2 + LOW] as number, batch.time[row * 2 + HIGH] as number);
    const first = batch.firstCell[row] as number;
    const end = batch.firstCell[row + 1] as number;
    out.varint(end - first);
    for (let cell = first; cell < end; cell++) this.addCell(batch, cell);
    this.rows++;
  }

  private addTable(table: Table): void {
    const { out } = this;
    this.table = table;
    this.tagSets.clear();
    this.fields.clear();
    out.byte(0);
    if (table.database === this.database) out.byte(1);
    else {
      out.byte(0);
      out.text(table.database);
      this.database = table.database;
    }
    out.text(table.name);
  }

  private addSeries({ tagSet, values }: Series): void {
    const { out } = this;
    const known = this.tagSets.size;
    const number = this.tagSets.of(tagSet);
    out.varint(number + 1);
    if (number === known) {
      out.varint(tagSet.keys.length);
      for (const key of tagSet.keys) out.text(key);
    }
    for (let i = 0; i < values.length; i++) out.text(values[i] as string);
  }

  private addCell(batch: PointBatch, cell: number): void {
    const { out } = this;
    const field = batch.cellField[cell] as Field;
    const known = this.fields.size;
    const number = this.fields.of(field);
    out.varint(number);
    if (number === known) {
      out.byte(VALUE_TYPES.indexOf(field.type));
      out.text(field.name);
    }
    switch (field.type) {
      case 'float64':
      case 'int64':
      case 'uint64':
        out.halves(batch.cellHalf[cell * 2 + LOW] as number, batch.cellHalf[cell * 2 + HIGH] as number);
        break;
      case 'bool':
        out.byte(batch.cellFloat[cell] as number);
        break;
      case 'string':
        this.addString(batch, cell);
    }
  }

  private addString(batch: PointBatch, cell: number): void {
    const offset = batch.cellHalf[cell * 2] as number;
    const length = batch.cellHalf[cell * 2 + 1] as number;
    const bytes = Math.abs(length);
    this.out.varint(bytes * 2 + (length < 0 ? 1 : 0));
    this.out.raw(batch.body, offset, offset + bytes);
  }

  private begin(head: RecordHead): void {
    const { out } = this;
    out.clear();
    this.table = this.database = undefined;
    this.rows = 0;
    out.byte(RECORD_VERSION);
    out.byte(SOURCES.indexOf(head.source));
    out.halves(0, 0);
    out.at = ROWS_AT + 4;
    out.float64(head.atMs);
    out.text(head.askedBy);
  }

  private finish(): void {
    if (this.rows > 0) {
      this.out.setUint32(ROWS_AT, this.rows);
      this.records.push({ bytes: this.out.copy(), rows: this.rows });
    }
    // Or tables and fields would be kept from being forgotten.
    this.table = undefined;
    this.tagSets.clear();
    this.fields.clear();
  }
}

function areOfOneTable(batch: PointBatch, rows: readonly number[] | Int32Array): boolean {
  const table = batch.series[rows[0] ?? 0]?.tagSet.table;
  for (let i = 1; i < rows.length; i++) {
    if (batch.series[rows[i] as number]?.tagSet.table !== table) return false;
  }
  return true;
}
