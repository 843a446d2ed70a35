/** Names and schemas of tables. No name holds NUL: parsers refuse it, so NUL separates parts of keys. */
import type { ColumnSpec } from './column.ts';

/** A table of the database behind the gateway, by the names clients use. */
export interface TableId {
  readonly database: string;
  readonly table: string;
}

/** The columns of a table that exists, the time column left out. */
export interface TableSchema {
  readonly columns: readonly ColumnSpec[];
}

/** The protocol family a table was first asked for by; decides details of its schema in some databases. */
export type TableSource = 'opentsdb' | 'influx';

/** One string that stands for a table in maps and keys. */
export function tableKey(id: TableId): string {
  return `${id.database}\u0000${id.table}`;
}
