/**
 * Turns DuckDB's values into JSON text without losing anything: integers of any width in full, times as integers
 * of nanoseconds since the epoch, NaN and the infinities as null (JSON has none), everything else as a string.
 */
import {
  type DuckDBDataChunk,
  DuckDBDecimalValue,
  DuckDBTimestampMillisecondsValue,
  DuckDBTimestampNanosecondsValue,
  DuckDBTimestampSecondsValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  type DuckDBType,
  DuckDBTypeId,
  type DuckDBValue,
} from '@duckdb/node-api';

const NAMES: ReadonlyMap<DuckDBTypeId, string> = new Map([
  [DuckDBTypeId.SQLNULL, 'Null'],
  [DuckDBTypeId.BOOLEAN, 'Boolean'],
  [DuckDBTypeId.TINYINT, 'Int8'],
  [DuckDBTypeId.SMALLINT, 'Int16'],
  [DuckDBTypeId.INTEGER, 'Int32'],
  [DuckDBTypeId.BIGINT, 'Int64'],
  [DuckDBTypeId.HUGEINT, 'Int128'],
  [DuckDBTypeId.UTINYINT, 'UInt8'],
  [DuckDBTypeId.USMALLINT, 'UInt16'],
  [DuckDBTypeId.UINTEGER, 'UInt32'],
  [DuckDBTypeId.UBIGINT, 'UInt64'],
  [DuckDBTypeId.UHUGEINT, 'UInt128'],
  [DuckDBTypeId.FLOAT, 'Float32'],
  [DuckDBTypeId.DOUBLE, 'Float64'],
  [DuckDBTypeId.DECIMAL, 'Decimal128'],
  [DuckDBTypeId.TIMESTAMP, 'TimestampNanosecond'],
  [DuckDBTypeId.TIMESTAMP_S, 'TimestampNanosecond'],
  [DuckDBTypeId.TIMESTAMP_MS, 'TimestampNanosecond'],
  [DuckDBTypeId.TIMESTAMP_NS, 'TimestampNanosecond'],
  [DuckDBTypeId.TIMESTAMP_TZ, 'TimestampNanosecond'],
  [DuckDBTypeId.DATE, 'Date'],
]);

/** The name of a type as GreptimeDB prints it; `String` for all that is answered as text. */
export function dataTypeName(type: DuckDBType): string {
  return NAMES.get(type.typeId) ?? 'String';
}

/** JSON text of one row of a chunk, an array. */
export function rowJson(chunk: DuckDBDataChunk, row: number): string {
  const values: string[] = [];
  for (let column = 0; column < chunk.columnCount; column++) {
    values.push(valueJson(chunk.getColumnVector(column).getItem(row)));
  }
  return `[${values.join(',')}]`;
}

/** JSON text of one value. */
export function valueJson(value: DuckDBValue): string {
  if (value === null) return 'null';
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'bigint' || typeof value === 'boolean') return value.toString();
  if (typeof value === 'number') return numberJson(value);
  return timeNs(value)?.toString() ?? (value instanceof DuckDBDecimalValue ? value.toString() : text(value));
}

function numberJson(value: number): string {
  if (!Number.isFinite(value)) return 'null';
  return Object.is(value, -0) ? '-0' : String(value);
}

/** Nanoseconds of a timestamp of any unit; undefined for what is none. */
function timeNs(value: object): bigint | undefined {
  if (value instanceof DuckDBTimestampNanosecondsValue) return value.nanos;
  if (value instanceof DuckDBTimestampValue) return value.micros * 1_000n;
  if (value instanceof DuckDBTimestampTZValue) return value.micros * 1_000n;
  if (value instanceof DuckDBTimestampMillisecondsValue) return value.millis * 1_000_000n;
  if (value instanceof DuckDBTimestampSecondsValue) return value.seconds * 1_000_000_000n;
  return undefined;
}

/** All of DuckDB's value classes say how they are written. */
function text(value: { toString(): string }): string {
  return JSON.stringify(value.toString());
}
