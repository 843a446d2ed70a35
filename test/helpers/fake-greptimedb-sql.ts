/**
 * The statements of `/v1/sql` that the gateway issues, as the fake GreptimeDB understands them: read token by token, and
 * refused as a syntax error (2000) when anything is not exactly as expected.
 */

/** A column as the fake keeps it; `dataType` is what `greptime_data_type` says. */
export interface FakeColumn {
  readonly name: string;
  readonly dataType: string;
  readonly semantic: 'TAG' | 'FIELD' | 'TIMESTAMP';
}

/** A statement that was understood. */
export type FakeStatement =
  | { readonly kind: 'database'; readonly database: string }
  | {
      readonly kind: 'create';
      readonly database: string;
      readonly table: string;
      readonly columns: readonly FakeColumn[];
      readonly primaryKey: readonly string[];
      readonly lastNonNull: boolean;
    }
  | {
      readonly kind: 'alter';
      readonly database: string;
      readonly table: string;
      readonly columns: readonly FakeColumn[];
    }
  | { readonly kind: 'describe'; readonly wanted: ReadonlySet<string> }
  | { readonly kind: 'schemata' | 'tables' | 'procedures' | 'one' };

const DATA_TYPES: readonly (readonly [sql: string, dataType: string])[] = [
  ['BIGINT UNSIGNED', 'UInt64'],
  ['BIGINT', 'Int64'],
  ['DOUBLE', 'Float64'],
  ['BOOLEAN', 'Boolean'],
  ['STRING', 'String'],
];
const TIMES = new Map([
  ['0', 'TimestampSecond'],
  ['3', 'TimestampMillisecond'],
  ['6', 'TimestampMicrosecond'],
  ['9', 'TimestampNanosecond'],
]);
const FIXED = new Map<string, FakeStatement>([
  ['SELECT 1', { kind: 'one' }],
  ['SELECT schema_name FROM information_schema.schemata', { kind: 'schemata' }],
  ['SELECT table_schema, count(*) FROM information_schema.tables GROUP BY table_schema', { kind: 'tables' }],
  [
    "SELECT count(*) FROM information_schema.procedure_info WHERE status IN ('Running', 'Retrying')",
    { kind: 'procedures' },
  ],
]);

/** Key of a table in `wanted`. */
export const fakeKey = (database: string, table: string): string => JSON.stringify([database, table]);

/** Understands a statement. @throws {Error} at the first thing it does not know */
export function readStatement(sql: string): FakeStatement {
  const fixed = FIXED.get(sql);
  if (fixed !== undefined) return fixed;
  const reader = new Reader(sql);
  if (reader.has('CREATE DATABASE IF NOT EXISTS ')) {
    return reader.end({ kind: 'database', database: reader.quoted('"') });
  }
  if (reader.has('CREATE TABLE IF NOT EXISTS ')) return readCreate(reader);
  if (reader.has('ALTER TABLE ')) return readAlter(reader);
  reader.need(
    'SELECT table_schema, table_name, column_name, greptime_data_type, semantic_type\n' +
      'FROM information_schema.columns WHERE ',
  );
  return readDescribe(reader);
}

function readCreate(reader: Reader): FakeStatement {
  const [database, table] = reader.qualified();
  const columns: FakeColumn[] = [];
  const primaryKey: string[] = [];
  reader.need(' (');
  while (!reader.has('TIME INDEX (')) {
    columns.push(readColumn(reader));
    reader.need(', ');
  }
  const timeIndex = reader.quoted('"');
  reader.need(')');
  if (reader.has(', PRIMARY KEY (')) {
    do primaryKey.push(reader.quoted('"'));
    while (reader.has(', '));
    reader.need(')');
  }
  reader.need(') ENGINE=mito');
  const lastNonNull = reader.has(" WITH ('merge_mode'='last_non_null')");
  const typed = columns.map(({ name, dataType }): FakeColumn => {
    const semantic = name === timeIndex ? 'TIMESTAMP' : primaryKey.includes(name) ? 'TAG' : 'FIELD';
    return { name, dataType, semantic };
  });
  return reader.end({ kind: 'create', database, table, columns: typed, primaryKey, lastNonNull });
}

function readAlter(reader: Reader): FakeStatement {
  const [database, table] = reader.qualified();
  const columns: FakeColumn[] = [];
  let mark = ' ';
  while (reader.has(`${mark}ADD COLUMN IF NOT EXISTS `)) {
    const column = readColumn(reader);
    columns.push(reader.has(' PRIMARY KEY') ? { ...column, semantic: 'TAG' } : column);
    mark = ', ';
  }
  return reader.end({ kind: 'alter', database, table, columns });
}

function readColumn(reader: Reader): FakeColumn {
  const name = reader.quoted('"');
  if (reader.has(' TIMESTAMP(')) {
    const dataType = TIMES.get(reader.until(')'));
    reader.need(' NOT NULL');
    if (dataType !== undefined) return { name, dataType, semantic: 'TIMESTAMP' };
  }
  const type = DATA_TYPES.find(([sql]) => reader.has(` ${sql} NULL`));
  if (type === undefined) throw new Error(`unknown type of column ${name}`);
  return { name, dataType: type[1], semantic: 'FIELD' };
}

function readDescribe(reader: Reader): FakeStatement {
  const wanted = new Set<string>();
  do {
    reader.need('(table_schema = ');
    const database = reader.quoted("'");
    reader.need(' AND table_name IN (');
    do wanted.add(fakeKey(database, reader.quoted("'")));
    while (reader.has(', '));
    reader.need('))');
  } while (reader.has(' OR '));
  reader.need('\nORDER BY table_schema, table_name, ordinal_position');
  return reader.end({ kind: 'describe', wanted });
}

/** Goes through a text from front to back. */
class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  has(words: string): boolean {
    if (!this.#text.startsWith(words, this.#at)) return false;
    this.#at += words.length;
    return true;
  }

  need(words: string): void {
    if (!this.has(words))
      throw new Error(`expected ${words} at: ${this.#text.slice(this.#at, this.#at + 80)}`);
  }

  until(mark: string): string {
    const end = this.#text.indexOf(mark, this.#at);
    const found = this.#text.slice(this.#at, end);
    this.#at = end + mark.length;
    return found;
  }

  /** A text in quotes, in which the quote itself is doubled. */
  quoted(quote: string): string {
    this.need(quote);
    let text = this.until(quote);
    while (this.has(quote)) text += quote + this.until(quote);
    return text;
  }

  qualified(): [database: string, table: string] {
    const database = this.quoted('"');
    this.need('.');
    return [database, this.quoted('"')];
  }

  end(statement: FakeStatement): FakeStatement {
    if (this.#at !== this.#text.length) throw new Error(`unexpected: ${this.#text.slice(this.#at)}`);
    return statement;
  }
}
