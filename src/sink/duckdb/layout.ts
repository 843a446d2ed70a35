/**
 * The tables that hold everything, whatever metrics there are (docs/storage.md): values in long form, one table per
 * type, a row per field value; tags once per series; and the catalog of names. No metric has a table of its own,
 * so a flush costs the same for 20 metrics as for 2,000, and creating a metric only adds names and a view.
 */
import type { ValueType } from '../../model/column.ts';
import { literal } from './names.ts';

/** Alias under which the database file is attached; no schema can have this name, so nothing is ambiguous. */
export const CATALOG = 'sluice~0';
/** Schema of the gateway's own tables. */
export const STORE = '_sluice';
/** Version of this layout, checked when a file is opened. */
export const LAYOUT_VERSION = '1';

/** Value types in the order of their tables, with DuckDB's names for them. */
export const SQL_TYPES: Readonly<Record<ValueType, string>> = {
  float64: 'DOUBLE',
  int64: 'BIGINT',
  uint64: 'UBIGINT',
  bool: 'BOOLEAN',
  string: 'VARCHAR',
};

/** All value types. */
export const VALUE_TYPES = Object.keys(SQL_TYPES) as readonly ValueType[];

/** The table with the values of one type. */
export function cellTable(type: ValueType): string {
  return `cells_${type}`;
}

/** Statements that make an empty file ready; run in one transaction. */
export function createStore(timeColumn: string): readonly string[] {
  return [
    `CREATE SCHEMA ${STORE}`,
    `CREATE TABLE ${STORE}.meta (key VARCHAR, value VARCHAR)`,
    `INSERT INTO ${STORE}.meta VALUES ('layout', ${literal(LAYOUT_VERSION)}), ('time_column', ${literal(timeColumn)})`,
    `CREATE TABLE ${STORE}.databases (name VARCHAR, schema_name VARCHAR)`,
    `CREATE TABLE ${STORE}.tables (id INTEGER, database VARCHAR, name VARCHAR, view_name VARCHAR, source VARCHAR)`,
    `CREATE TABLE ${STORE}.columns (id INTEGER, table_id INTEGER, name VARCHAR, kind VARCHAR, type VARCHAR,
      column_name VARCHAR, tag_position INTEGER)`,
    `CREATE TABLE ${STORE}.series (id INTEGER, table_id INTEGER, hash UBIGINT, tags VARCHAR[])`,
    ...VALUE_TYPES.map(
      (type) =>
        `CREATE TABLE ${STORE}.${cellTable(type)}
          (field INTEGER, series INTEGER, time TIMESTAMP_NS, value ${SQL_TYPES[type]})`,
    ),
  ];
}
