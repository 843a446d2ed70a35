/**
 * How names of clients become identifiers of PostgreSQL, which have at most 63 bytes; beyond, the server would cut
 * them off in silence.
 *
 * A name stays as it is, case included, if it fits and is not reserved. Any other becomes its first bytes, `~` and 32
 * hexadecimal digits of its SHA-256, and the full name is kept in the comment of the object (layout.ts). A name
 * that itself ends like this is mapped too, so an identifier tells by its looks whether it was mapped, and two names
 * never meet. The mapping depends on nothing but the name: no gateway has to ask which it is.
 */
import { createHash } from 'node:crypto';
import type { NameRules } from '../../model/sink.ts';

const MAX_IDENTIFIER_BYTES = 63;
const PREFIX_BYTES = 30;
const MAPPED = /~[0-9a-f]{32}$/;

/** The gateway's own columns and what PostgreSQL has in every table. */
const RESERVED_COLUMNS = new Set('time time_ns series_id tableoid xmin cmin xmax cmax ctid'.split(' '));

/** True when the identifier is not the name it stands for. */
export function isMapped(identifier: string): boolean {
  return MAPPED.test(identifier);
}

/** The schema of a database. Names that begin with `pg_` are PostgreSQL's own. */
export function schemaIdentifier(database: string): string {
  if (database.startsWith('pg_')) return `_${mapped(database)}`;
  return database === 'information_schema' ? mapped(database) : identifier(database);
}

/** The table of a metric, within its schema. */
export function tableIdentifier(table: string): string {
  return identifier(table);
}

/** The column of a tag or field, within its table. */
export function columnIdentifier(column: string): string {
  return RESERVED_COLUMNS.has(column) ? mapped(column) : identifier(column);
}

/** The primary key of a table; as an index it shares the names of tables, so it has one that no metric can have. */
export function keyIdentifier(table: string): string {
  return `~key~${hash(table)}`;
}

/** The identifier in quotes. */
export function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** The text as a string literal; `standard_conforming_strings` must be on. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** Schema and table, in quotes. */
export function qualified({ database, table }: { database: string; table: string }): string {
  return `${quote(schemaIdentifier(database))}.${quote(tableIdentifier(table))}`;
}

/** What no identifier can stand for; everything else is quoted or mapped. */
export const nameRules: NameRules = {
  checkDatabase: (name) => impossible(name),
  checkTable: (id) => impossible(id.table),
  checkColumn: (column) => impossible(column.name),
};

function identifier(name: string): string {
  // Most names are short, and no character has more than three bytes per UTF-16 unit.
  const fits = name.length * 3 <= MAX_IDENTIFIER_BYTES || Buffer.byteLength(name) <= MAX_IDENTIFIER_BYTES;
  return fits && !isMapped(name) ? name : mapped(name);
}

function mapped(name: string): string {
  return `${prefix(name)}~${hash(name)}`;
}

/** As many whole characters as fit. */
function prefix(name: string): string {
  let text = '';
  let bytes = 0;
  for (const character of name) {
    bytes += Buffer.byteLength(character);
    if (bytes > PREFIX_BYTES) break;
    text += character;
  }
  return text;
}

function hash(name: string): string {
  return createHash('sha256').update(name).digest('hex').slice(0, 32);
}

function impossible(name: string): string | undefined {
  if (name === '') return 'the name is empty';
  if (name.includes('\u0000')) return 'the name holds a NUL character';
  if (/\p{Surrogate}/u.test(name)) return 'the name is not valid Unicode';
  return undefined;
}
