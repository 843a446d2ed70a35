/**
 * The tables as GreptimeDB's own auto-create makes them (src/operator/src/expr_helper.rs): the tags are the primary
 * key, here in the order of their names where its own order is left to chance; the time index is in milliseconds for
 * OpenTSDB and in nanoseconds for line protocol; everything else may be NULL.
 */
import type { ColumnSpec, ValueType } from '../../model/column.ts';
import type { TableSpec } from '../../model/sink.ts';
import type { TableId } from '../../model/table.ts';
import { qualified, quote } from './names.ts';

/** The unit of a table's time index, by the names of the write route's `precision`. */
export type TimeUnit = 's' | 'ms' | 'us' | 'ns';

const SQL_TYPES: Readonly<Record<ValueType, string>> = {
  float64: 'DOUBLE',
  int64: 'BIGINT',
  uint64: 'BIGINT UNSIGNED',
  bool: 'BOOLEAN',
  string: 'STRING',
};

/** What `greptime_data_type` of information_schema.columns calls them. */
const VALUE_TYPES = new Map<string, ValueType>([
  ['Float64', 'float64'],
  ['Int64', 'int64'],
  ['UInt64', 'uint64'],
  ['Boolean', 'bool'],
  ['String', 'string'],
]);
const UNITS = new Map<string, TimeUnit>([
  ['TimestampSecond', 's'],
  ['TimestampMillisecond', 'ms'],
  ['TimestampMicrosecond', 'us'],
  ['TimestampNanosecond', 'ns'],
]);

/** The type of values in a column of this type; undefined: none that points have. */
export function valueTypeOf(dataType: string): ValueType | undefined {
  return VALUE_TYPES.get(dataType);
}

/** The unit of a time index of this type; undefined: it is not of a time. */
export function timeUnitOf(dataType: string): TimeUnit | undefined {
  return UNITS.get(dataType);
}

/** The statement that makes a database. */
export function createDatabase(database: string): string {
  return `CREATE DATABASE IF NOT EXISTS ${quote(database)}`;
}

/** The statement that makes a table. */
export function createTable({ id, source, columns }: TableSpec, timeColumn: string): string {
  const time = quote(timeColumn);
  const tags = columns.filter(({ kind }) => kind === 'tag').map(({ name }) => name);
  const list = [
    ...columns.map(columnDefinition),
    `${time} TIMESTAMP(${source === 'opentsdb' ? 3 : 9}) NOT NULL`,
    `TIME INDEX (${time})`,
    ...(tags.length === 0 ? [] : [`PRIMARY KEY (${tags.sort().map(quote).join(', ')})`]),
  ];
  const options = source === 'influx' ? " WITH ('merge_mode'='last_non_null')" : '';
  return `CREATE TABLE IF NOT EXISTS ${qualified(id)} (${list.join(', ')}) ENGINE=mito${options}`;
}

/** The statement that adds columns; tags become part of the primary key. */
export function addColumns(id: TableId, columns: readonly ColumnSpec[]): string {
  const added = columns.map(
    (column) =>
      `ADD COLUMN IF NOT EXISTS ${columnDefinition(column)}${column.kind === 'tag' ? ' PRIMARY KEY' : ''}`,
  );
  return `ALTER TABLE ${qualified(id)} ${added.join(', ')}`;
}

function columnDefinition({ name, type }: ColumnSpec): string {
  return `${quote(name)} ${SQL_TYPES[type]} NULL`;
}
