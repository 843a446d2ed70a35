/**
 * The view under a metric's own name: one row per series and time, per field the value written last (the highest
 * row number among its cells), tags by name. Conditions on `time` and on tags reach the scans; docs/storage.md has
 * what a read costs.
 */
import type { ValueType } from '../../model/column.ts';
import type { CatalogColumn, CatalogTable } from './catalog.ts';
import { cellTable, SQL_TYPES, STORE, VALUE_TYPES } from './layout.ts';
import { quote } from './names.ts';

/**
 * From so many fields on, points are put together by maps: an aggregate per field costs the square of their number
 * (500 fields: 30 s where maps take 0.1 s), and maps are slower below.
 */
const WIDE_FIELDS = 50;

/** The statement that makes or replaces the view of a table. */
export function createView(table: CatalogTable, timeColumn: string): string {
  const columns = [...table.columns.values()];
  const fields = columns.filter((column) => column.kind === 'field');
  const output = columns.map((column) => {
    const value = column.kind === 'tag' ? `s.tags[${column.tagPosition}]` : `p.f${column.id}`;
    return `, ${value} AS ${quote(column.columnName)}`;
  });
  const name = `${quote(table.schemaName)}.${quote(table.viewName)}`;
  return `CREATE OR REPLACE VIEW ${name} AS SELECT p.time AS ${quote(timeColumn)}${output.join('')}
    FROM (${points(fields)}) p JOIN ${STORE}.series s ON s.id = p.series`;
}

function points(fields: readonly CatalogColumn[]): string {
  const first = fields[0];
  if (first === undefined) return 'SELECT NULL::TIMESTAMP_NS AS time, 0 AS series WHERE false';
  const grouped = 'GROUP BY series, time';
  if (fields.length === 1) {
    return `SELECT series, time, arg_max(value, rowid) AS f${first.id}
      FROM ${STORE}.${cellTable(first.type)} WHERE field = ${first.id} ${grouped}`;
  }
  const types = VALUE_TYPES.filter((type) => fields.some((field) => field.type === type));
  const cells = types.map((type) => cellsOf(type, types, fields)).join(' UNION ALL ');
  if (fields.length >= WIDE_FIELDS) return widePoints(fields, types, cells);
  const last = fields.map((f) => `, arg_max(${f.type}, row) FILTER (field = ${f.id}) AS f${f.id}`);
  return `SELECT series, time${last.join('')} FROM (${cells}) ${grouped}`;
}

/** First the last value of each field, then per type a map of a point's fields, then the fields out of the maps. */
function widePoints(fields: readonly CatalogColumn[], types: readonly ValueType[], cells: string): string {
  const last = types.map((type) => `, arg_max(${type}, row) AS ${type}`).join('');
  const maps = types.map((type) => {
    const entries = `list({k: field, v: ${type}}) FILTER (${type} IS NOT NULL)`;
    return `, map_from_entries(${entries}) AS ${type}`;
  });
  const values = fields.map((field) => `, ${field.type}[${field.id}] AS f${field.id}`);
  return `SELECT series, time${values.join('')} FROM (
      SELECT series, time${maps.join('')} FROM (
        SELECT series, time, field${last} FROM (${cells}) GROUP BY series, time, field
      ) GROUP BY series, time)`;
}

/** The cells of one type, their value in the column of that type. */
function cellsOf(type: ValueType, types: readonly ValueType[], fields: readonly CatalogColumn[]): string {
  const values = types.map((t) => `, ${t === type ? 'value' : 'NULL'}::${SQL_TYPES[t]} AS ${t}`);
  const ids = fields.filter((field) => field.type === type).map((field) => field.id);
  return `SELECT series, time, field, rowid AS row${values.join('')}
    FROM ${STORE}.${cellTable(type)} WHERE field IN (${ids.join(', ')})`;
}
