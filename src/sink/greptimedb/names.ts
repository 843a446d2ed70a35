/**
 * Which names GreptimeDB takes. Nothing is mapped: tables are to be those that its own auto-create would make, so a name
 * that it would refuse is refused here, with the reason. Beyond its own rules stand two more, or names would be merged
 * or changed on the way: it folds the case of a database that a request names, and rows travel as line protocol.
 */
import type { NameRules } from '../../model/sink.ts';

/** Of GreptimeDB's `NAME_PATTERN` (src/common/base/src/regex_pattern.rs). */
const NAME = /^[a-zA-Z_:-][a-zA-Z0-9_:.@#-]*$/;
const NAME_RULE = 'it must begin with a letter, _, : or -, and hold only these, digits and . @ #';
const SYSTEM_DATABASES = new Set(['information_schema', 'pg_catalog', 'greptime_private']);
/** GreptimeDB's default catalog, the only one that has databases of clients. */
const CATALOG = 'greptime';
/** Bytes of a name; etcd holds it as part of a key. */
const MAX_NAME_BYTES = 1_024;
/** Line breaks and tabs end a name, lone surrogates are no UTF-8, and readers differ in what such a backslash means. */
const UNSPELLABLE = /[\p{Cc}\p{Cs}]|\\(?=[\\,= ]|$)/u;

/** True when a tag, tag value or field can be spelled in line protocol so that every reader sees the same. */
export function isSpellable(text: string): boolean {
  return text !== '' && !UNSPELLABLE.test(text);
}

/** The columns that auto-create makes, by GreptimeDB's `default_column_prefix`: `x` gives `x_value`, `` gives `value`. */
export function defaultColumn(prefix: string, name: 'timestamp' | 'value'): string {
  return prefix === '' ? name : `${prefix}_${name}`;
}

/** What no name may be; `timeColumn` is every table's time index. */
export function createNameRules(timeColumn: string): NameRules {
  return {
    checkDatabase(name) {
      if (isSystemDatabase(name)) return "the database is GreptimeDB's own";
      if (/[A-Z]/.test(name)) return 'GreptimeDB does not tell upper case from lower case in a database';
      return impossible(name);
    },
    checkTable: (id) => impossible(id.table),
    checkColumn({ name }) {
      if (name === timeColumn) return `'${timeColumn}' is the time column of every table`;
      if (Buffer.byteLength(name) > MAX_NAME_BYTES) return `the name is longer than ${MAX_NAME_BYTES} bytes`;
      return isSpellable(name) ? undefined : 'the name is empty or can not be spelled in line protocol';
    },
  };
}

/** True for the databases that are there without anybody's doing and hold no points. */
export function isSystemDatabase(database: string): boolean {
  return SYSTEM_DATABASES.has(database);
}

/** The database as requests name it: with the catalog, for a `-` would else part one from the other. */
export function databaseParameter(database: string): string {
  return `${CATALOG}-${database}`;
}

/** The identifier in quotes. */
export function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Database and table, in quotes. */
export function qualified({ database, table }: { database: string; table: string }): string {
  return `${quote(database)}.${quote(table)}`;
}

/** The text as a string literal. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function impossible(name: string): string | undefined {
  if (name.length > MAX_NAME_BYTES) return `the name is longer than ${MAX_NAME_BYTES} bytes`;
  return NAME.test(name) ? undefined : `GreptimeDB can not have this name: ${NAME_RULE}`;
}
