/**
 * The columns of every table and how values are typed (docs/databases.md): `time` to the microsecond and `time_ns`,
 * what is left of the nanoseconds; `series_id`, 128 bits of the SHA-256 of the tags; then a column per tag and field.
 * The key is (time, series_id, time_ns): a tag column that comes later changes no key and rebuilds no index. What
 * tells tags and string fields apart, both `text`, is the column's comment.
 */
import { createHash } from 'node:crypto';
import type { ColumnKind, ColumnSpec, ValueType } from '../../model/column.ts';
import type { Series } from '../../model/series.ts';
import {
  columnIdentifier,
  isMapped,
  keyIdentifier,
  literal,
  qualified,
  quote,
  schemaIdentifier,
  tableIdentifier,
} from './names.ts';

/** The types of values, by what `format_type` calls them; uint64 has no narrower type that holds it. */
export const SQL_TYPES: Readonly<Record<ValueType, string>> = {
  float64: 'double precision',
  int64: 'bigint',
  uint64: 'numeric(20,0)',
  bool: 'boolean',
  string: 'text',
};

const VALUE_TYPES = new Map(Object.entries(SQL_TYPES).map(([type, sql]) => [sql, type as ValueType]));

/** Columns of the key, in its order. */
export const KEY_COLUMNS = ['time', 'series_id', 'time_ns'] as const;

/** The fixed columns and their types. */
export const FIXED_COLUMNS: ReadonlyMap<string, string> = new Map([
  ['time', 'timestamp with time zone'],
  ['series_id', 'uuid'],
  ['time_ns', 'smallint'],
]);

/** What a row takes at most outside its page: values that are longer than this are moved out by PostgreSQL. */
const COLUMN_BYTES: Readonly<Record<ValueType, number>> = {
  float64: 8,
  int64: 8,
  uint64: 20,
  bool: 8,
  string: 18,
};
/** A page, without its header, the row's header, a bitmap of 1,600 columns and the fixed columns. */
const MAX_ROW_BYTES = 7_800;

/** The type of values that a column of this SQL type holds; undefined: none that points have. */
export function valueTypeOf(sqlType: string): ValueType | undefined {
  return VALUE_TYPES.get(sqlType);
}

/**
 * Why a table of these columns could not hold every row, or undefined. A row must fit into one page of 8 KB, so about
 * 970 numbers or 430 texts; PostgreSQL would find out row by row.
 */
export function tooWide(columns: readonly ColumnSpec[]): string | undefined {
  const bytes = columns.reduce((sum, { type }) => sum + COLUMN_BYTES[type], 0);
  if (bytes <= MAX_ROW_BYTES) return undefined;
  return `${columns.length} columns do not fit into a row of PostgreSQL: it may need ${bytes} bytes of ${MAX_ROW_BYTES}`;
}

/** The statements that make the schema of a database, to be sent as one. */
export function createSchema(database: string): string {
  const schema = schemaIdentifier(database);
  const comment = isMapped(schema) ? `; COMMENT ON SCHEMA ${quote(schema)} IS ${literal(database)}` : '';
  return `CREATE SCHEMA ${quote(schema)}${comment}`;
}

/** The statements that make the table, to be sent as one. */
export function createTable(id: { database: string; table: string }, columns: readonly ColumnSpec[]): string {
  const name = qualified(id);
  const list = [
    'time timestamptz NOT NULL',
    'series_id uuid NOT NULL',
    'time_ns smallint NOT NULL DEFAULT 0',
    ...columns.map((column) => columnDefinition(column)),
    `CONSTRAINT ${quote(keyIdentifier(id.table))} PRIMARY KEY (${KEY_COLUMNS.join(', ')})`,
  ];
  const comments = columns.flatMap((column) => columnComment(name, column));
  if (isMapped(tableIdentifier(id.table)))
    comments.unshift(`COMMENT ON TABLE ${name} IS ${literal(id.table)}`);
  return [`CREATE TABLE ${name} (${list.join(', ')})`, ...comments].join('; ');
}

/** The statements that add columns, to be sent as one. */
export function addColumns(id: { database: string; table: string }, columns: readonly ColumnSpec[]): string {
  const name = qualified(id);
  const added = columns.map((column) => `ADD COLUMN ${columnDefinition(column)}`);
  return [
    `ALTER TABLE ${name} ${added.join(', ')}`,
    ...columns.flatMap((column) => columnComment(name, column)),
  ].join('; ');
}

function columnDefinition({ name, type }: ColumnSpec): string {
  return `${quote(columnIdentifier(name))} ${SQL_TYPES[type]}`;
}

/** Only what the column itself does not say: that a text is no tag, and the name when the identifier is another. */
function columnComment(table: string, { name, kind, type }: ColumnSpec): string[] {
  const identifier = columnIdentifier(name);
  const full = isMapped(identifier);
  if (!full && (kind === 'tag' || type !== 'string')) return [];
  const comment = full ? `${kind}: ${name}` : kind;
  return [`COMMENT ON COLUMN ${table}.${quote(identifier)} IS ${literal(comment)}`];
}

/** What a column is by its identifier, type and comment; undefined: not one that holds values of points. */
export function readColumn(
  identifier: string,
  sqlType: string,
  comment: string | null,
): ColumnSpec | undefined {
  const type = valueTypeOf(sqlType);
  if (type === undefined) return undefined;
  const [, said, full] = /^(tag|field)(?:: (.*))?$/s.exec(comment ?? '') ?? [];
  const kind: ColumnKind = type !== 'string' ? 'field' : said === 'field' ? 'field' : 'tag';
  if (!isMapped(identifier)) return { name: identifier, kind, type };
  // Made by somebody else in the likeness of a mapped name: it stands for no name.
  return full !== undefined && columnIdentifier(full) === identifier ? { name: full, kind, type } : undefined;
}

/** The 16 bytes of a series' `series_id`: keys and values in the order of the keys, each with its length before it. */
export function seriesKey({ tagSet, values }: Series): Buffer {
  const hash = createHash('sha256');
  for (const [i, key] of tagSet.keys.entries()) {
    const value = values[i] as string;
    hash.update(`${Buffer.byteLength(key)}:${key}${Buffer.byteLength(value)}:${value}`);
  }
  return hash.digest().subarray(0, 16);
}
