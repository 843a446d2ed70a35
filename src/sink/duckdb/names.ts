/**
 * How names of clients become identifiers of DuckDB, which takes `CPU` and `cpu` for one name even in quotes.
 *
 * A name keeps its spelling unless that is reserved or taken by another case of the same letters; then it gets a
 * suffix that says which of its letters are upper case: the second of `cpu` and `CPU` to come is `CPU~7` or
 * `cpu~0`. Names that end like such a suffix always get one, so the mapping is reversible and two names never meet.
 * What was decided is kept in the catalog tables (docs/storage.md) and does not change.
 */
import type { NameRules } from '../../model/sink.ts';

const SUFFIXED = /~[0-9a-f]*$/i;

/** Name under which DuckDB compares identifiers: only ASCII letters are folded. */
export function fold(name: string): string {
  return name.replace(/[A-Z]+/g, (upper) => upper.toLowerCase());
}

/** The identifier for a client's name; `taken` is asked about the folded plain name. */
export function mapName(name: string, taken: (folded: string) => boolean): string {
  return SUFFIXED.test(name) || taken(fold(name)) ? `${name}~${caseMask(name)}` : name;
}

/** The identifier in quotes. */
export function quote(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`;
}

/** The text as a string literal. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** Which characters are upper-case ASCII letters, as a hexadecimal number whose lowest bit is the last character. */
function caseMask(name: string): string {
  const bits = Array.from(name, (c) => (c >= 'A' && c <= 'Z' ? '1' : '0')).join('');
  return BigInt(`0b0${bits}`).toString(16);
}

/** What no identifier can hold; everything else is quoted or mapped. */
export const nameRules: NameRules = {
  checkDatabase: (name) => impossible(name),
  checkTable: (id) => impossible(id.table),
  checkColumn: (column) => impossible(column.name),
};

function impossible(name: string): string | undefined {
  if (name === '') return 'the name is empty';
  if (name.includes('\u0000')) return 'the name holds a NUL character';
  if (/\p{Surrogate}/u.test(name)) return 'the name is not valid Unicode';
  return undefined;
}
