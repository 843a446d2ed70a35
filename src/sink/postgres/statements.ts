/**
 * The INSERT of a sheet and the prepared statements of a session: one per table and set of columns, the least
 * recently used forgotten beyond a bound, for each takes some 50 KB of the server's memory.
 */
import type { ColumnSpec } from '../../model/column.ts';
import { SQL_TYPES } from './layout.ts';
import { columnIdentifier, qualified, quote } from './names.ts';
import type { Sheet } from './sheet.ts';

/** Statements that a session keeps. */
const MAX_STATEMENTS = 3_000;
const MAX_CHECKED_CHARS = 16 * 1024 * 1024;

/** What a sheet needs to be there: the columns, tags first, in the order of the statement's parameters. */
export function columnsOf(sheet: Sheet): readonly ColumnSpec[] {
  const tags = sheet.tagKeys().map((name): ColumnSpec => ({ name, kind: 'tag', type: 'string' }));
  return [
    ...tags,
    ...sheet.fields.map(({ field: { name, type } }): ColumnSpec => ({ name, kind: 'field', type })),
  ];
}

/**
 * Inserts rows out of arrays; where the row is there, fields that are given replace the old ones. The last condition
 * is always true and never computed. It fails when the statement is analysed and a column has another type, into
 * which the server would convert in silence: a double into an integer, for instance.
 */
export function insertSql(sheet: Sheet): string {
  const columns = columnsOf(sheet);
  const names = columns.map(({ name }) => quote(columnIdentifier(name)));
  const arrays = [
    '$1::timestamptz[]',
    '$2::uuid[]',
    '$3::smallint[]',
    ...columns.map(({ type }, i) => `$${i + 4}::${SQL_TYPES[type]}[]`),
  ];
  const fields = columns.flatMap(({ kind }, i) => (kind === 'field' ? [names[i] as string] : []));
  const updates = fields.map((name) => `${name} = coalesce(excluded.${name}, t.${name})`);
  const types = [
    ['time', 'timestamptz'] as const,
    ...columns.map(({ type }, i) => [names[i] as string, SQL_TYPES[type]] as const),
  ].map(([name, type]) => `ARRAY[t.${name}] = ARRAY[NULL::${type}]`);
  return `INSERT INTO ${qualified(sheet.id)} AS t (${['time', 'series_id', 'time_ns', ...names].join(', ')})
SELECT * FROM unnest(${arrays.join(', ')})
ON CONFLICT (time, series_id, time_ns) DO UPDATE SET ${updates.join(', ')}
WHERE true OR ${types.join(' OR ')}`;
}

/**
 * The statements that one session has prepared, by `Sheet.key`, and for which the tables were found to be as they
 * must: more of those, for the catalog is asked about the others.
 */
export class PreparedStatements {
  /** Names by key, the least recently used first. */
  private readonly names = new Map<string, string>();
  private readonly checked = new Set<string>();
  private readonly forgotten: string[] = [];
  private checkedChars = 0;
  private count = 0;

  get size(): number {
    return this.names.size;
  }

  /** The name of a statement that was prepared, which now is the most recently used. */
  find(key: string): string | undefined {
    const name = this.names.get(key);
    if (name !== undefined && this.names.size > MAX_STATEMENTS / 2) {
      this.names.delete(key);
      this.names.set(key, name);
    }
    return name;
  }

  isChecked(key: string): boolean {
    return this.checked.has(key);
  }

  /** The table is as it must be. */
  check(key: string): void {
    if (this.checked.has(key)) return;
    this.checked.add(key);
    this.checkedChars += key.length;
    for (const oldest of this.checked) {
      if (this.checkedChars <= MAX_CHECKED_CHARS) break;
      this.uncheck(oldest);
    }
  }

  /** The table is to be looked at again, and the statement to be prepared anew, under another name. */
  forget(key: string): void {
    this.uncheck(key);
    const name = this.names.get(key);
    if (name === undefined) return;
    this.names.delete(key);
    this.forgotten.push(name);
  }

  newName(): string {
    return `s${++this.count}`;
  }

  add(key: string, name: string): void {
    this.names.set(key, name);
  }

  /** Names to close: forgotten, or more than the bound allows. */
  evict(): readonly string[] {
    const evicted = this.forgotten.splice(0);
    for (const [key, name] of this.names) {
      if (this.names.size <= MAX_STATEMENTS) break;
      this.names.delete(key);
      evicted.push(name);
    }
    return evicted;
  }

  private uncheck(key: string): void {
    if (this.checked.delete(key)) this.checkedChars -= key.length;
  }
}
