/**
 * Copies the cells of batches into DuckDB's data chunks: a table per value type, each with a chunk that is filled
 * from typed arrays and appended when full, so memory does not grow with the flush. 64-bit values and times are
 * moved as halves or by whole blocks, never as BigInt; a string is copied from the request's body as it is.
 */
import { isUtf8 } from 'node:buffer';
import {
  BIGINT,
  BOOLEAN,
  DOUBLE,
  type DuckDBAppender,
  DuckDBDataChunk,
  type DuckDBType,
  INTEGER,
  TIMESTAMP_NS,
  UBIGINT,
  VARCHAR,
} from '@duckdb/node-api';
import duckdb from '@duckdb/node-bindings';
import type { ValueType } from '../../model/column.ts';
import type { PointBatch } from '../../model/point-batch.ts';
import type { Field, Series } from '../../model/series.ts';

/** Rows of a full chunk. */
const CHUNK_ROWS = duckdb.vector_size();
const VALUE = 3;

const TYPES: Readonly<Record<ValueType, DuckDBType>> = {
  float64: DOUBLE,
  int64: BIGINT,
  uint64: UBIGINT,
  bool: BOOLEAN,
  string: VARCHAR,
};

/** Where the cells of one type gather until their chunk is full. */
interface CellBuffer {
  readonly type: ValueType;
  readonly chunk: DuckDBDataChunk;
  readonly field: Int32Array<ArrayBuffer>;
  readonly series: Int32Array<ArrayBuffer>;
  /** Halves, two per row; so are 64-bit values. */
  readonly time: Int32Array<ArrayBuffer>;
  readonly values: Int32Array<ArrayBuffer>;
  readonly flags: Uint8Array<ArrayBuffer>;
  rows: number;
  /** Of the transaction that is filled. */
  appender: DuckDBAppender;
}

/** Appends cells; one flush at a time. */
export interface CellWriter {
  /** Appends all cells of rows not skipped; every field and series must have its number. */
  append(
    batches: readonly PointBatch[],
    seriesIds: ReadonlyMap<Series, number>,
    appenders: CellAppenders,
  ): void;
}

/** The appenders of the types that the batches hold. */
export type CellAppenders = ReadonlyMap<ValueType, DuckDBAppender>;

/** Creates a writer of cells; the chunk of a type is made when the type is first met. */
export function createCellWriter(): CellWriter {
  const buffers: Partial<Record<ValueType, CellBuffer>> = {};
  return {
    append(batches, seriesIds, appenders) {
      const used: CellBuffer[] = [];
      for (const [type, appender] of appenders) {
        const buffer = (buffers[type] ??= createBuffer(type, appender));
        buffer.appender = appender;
        buffer.rows = 0;
        used.push(buffer);
      }
      for (const batch of batches) {
        for (let g = 0; g < batch.groupCount; g++) {
          const first = batch.groups[g]?.firstRow ?? -1;
          for (let row = first; row !== -1; row = batch.nextRow[row] as number) {
            if (batch.skip[row] === 0) appendRow(batch, row, seriesIds, buffers);
          }
        }
      }
      for (const buffer of used) drain(buffer);
    },
  };
}

function appendRow(
  batch: PointBatch,
  row: number,
  seriesIds: ReadonlyMap<Series, number>,
  buffers: Partial<Record<ValueType, CellBuffer>>,
): void {
  const series = batch.series[row] as Series;
  const seriesId = series.storageId >= 0 ? series.storageId : (seriesIds.get(series) as number);
  const end = batch.firstCell[row + 1] as number;
  for (let cell = batch.firstCell[row] as number; cell < end; cell++) {
    const field = batch.cellField[cell] as Field;
    const to = buffers[field.type] as CellBuffer;
    const at = to.rows;
    to.field[at] = field.storageId;
    to.series[at] = seriesId;
    to.time[at * 2] = batch.time[row * 2] as number;
    to.time[at * 2 + 1] = batch.time[row * 2 + 1] as number;
    copyValue(batch, cell, to);
    to.rows = at + 1;
    if (to.rows === CHUNK_ROWS) drain(to);
  }
}

function copyValue(batch: PointBatch, cell: number, to: CellBuffer): void {
  const at = to.rows;
  switch (to.type) {
    case 'string':
      duckdb.vector_assign_string_element_len(vectorOf(to, VALUE), at, stringBytes(batch, cell));
      break;
    case 'bool':
      to.flags[at] = batch.cellFloat[cell] as number;
      break;
    case 'float64':
    case 'int64':
    case 'uint64':
      to.values[at * 2] = batch.cellHalf[cell * 2] as number;
      to.values[at * 2 + 1] = batch.cellHalf[cell * 2 + 1] as number;
  }
}

/** DuckDB stores NULL for bytes that are not UTF-8, so those go through the decoder, which replaces them. */
function stringBytes(batch: PointBatch, cell: number): Uint8Array {
  const offset = batch.cellHalf[cell * 2] as number;
  const length = batch.cellHalf[cell * 2 + 1] as number;
  const bytes = batch.body.subarray(offset, offset + Math.max(length, 0));
  return length >= 0 && isUtf8(bytes) ? bytes : Buffer.from(batch.stringAt(cell));
}

function createBuffer(type: ValueType, appender: DuckDBAppender): CellBuffer {
  return {
    type,
    chunk: DuckDBDataChunk.create([INTEGER, INTEGER, TIMESTAMP_NS, TYPES[type]]),
    field: new Int32Array(CHUNK_ROWS),
    series: new Int32Array(CHUNK_ROWS),
    time: new Int32Array(CHUNK_ROWS * 2),
    values: new Int32Array(CHUNK_ROWS * 2),
    flags: new Uint8Array(CHUNK_ROWS),
    rows: 0,
    appender,
  };
}

function drain(buffer: CellBuffer): void {
  if (buffer.rows === 0) return;
  buffer.chunk.rowCount = buffer.rows;
  fill(buffer, 0, buffer.field);
  fill(buffer, 1, buffer.series);
  fill(buffer, 2, buffer.time);
  if (buffer.type === 'bool') fill(buffer, VALUE, buffer.flags);
  else if (buffer.type !== 'string') fill(buffer, VALUE, buffer.values);
  buffer.appender.appendDataChunk(buffer.chunk);
  // Frees the strings and makes the vectors flat again.
  buffer.chunk.reset();
  buffer.rows = 0;
}

function fill(
  buffer: CellBuffer,
  column: number,
  from: Int32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>,
): void {
  const bytes = (from.byteLength / CHUNK_ROWS) * buffer.rows;
  duckdb.copy_data_to_vector(vectorOf(buffer, column), 0, from.buffer, 0, bytes);
}

function vectorOf(buffer: CellBuffer, column: number): ReturnType<typeof duckdb.data_chunk_get_vector> {
  return duckdb.data_chunk_get_vector(buffer.chunk.chunk, column);
}
