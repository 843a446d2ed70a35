/** Reads from PostgreSQL's catalogs how tables look and which there are: one query, however many tables are asked for. */
import type pg from 'pg';
import type { ColumnSpec } from '../../model/column.ts';
import type { DatabaseInventory } from '../../model/sink.ts';
import type { TableId } from '../../model/table.ts';
import { FIXED_COLUMNS, KEY_COLUMNS, readColumn } from './layout.ts';
import { columnIdentifier, isMapped, schemaIdentifier, tableIdentifier } from './names.ts';

/** What a name stands for. */
export type Relation =
  | { readonly kind: 'no_schema' | 'absent' }
  /** Something is there that points can't be written to. */
  | { readonly kind: 'foreign'; readonly reason: string }
  | PresentTable;

/** A table that points can be written to. */
export interface PresentTable {
  readonly kind: 'table';
  readonly columns: readonly ColumnSpec[];
  /** Types of the columns that hold no values of points, by identifier. */
  readonly others: ReadonlyMap<string, string>;
  /** The gateway may add columns. */
  readonly owned: boolean;
  readonly owner: string;
  /** The gateway may insert and update. */
  readonly writable: boolean;
}

type Row = readonly [
  place: number,
  relkind: string | null,
  owner: string | null,
  owned: boolean | null,
  writable: boolean | null,
  keyed: boolean | null,
  column: string | null,
  type: string | null,
  comment: string | null,
];

const COLUMNS_OF_KEY = KEY_COLUMNS.map((name) => `'${name}'`).join(', ');

const DESCRIBE = `
SELECT w.place::int, c.relkind, pg_get_userbyid(c.relowner), pg_has_role(c.relowner, 'USAGE'),
  has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'INSERT')
    AND has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'UPDATE'),
  EXISTS (SELECT FROM pg_index x
    WHERE x.indrelid = c.oid AND x.indisunique AND x.indisvalid AND x.indpred IS NULL AND x.indexprs IS NULL
      AND x.indnkeyatts = ${KEY_COLUMNS.length} AND (SELECT count(*) FROM pg_attribute k
        WHERE k.attrelid = c.oid AND k.attnum = ANY (x.indkey) AND k.attname IN (${COLUMNS_OF_KEY})
      ) = ${KEY_COLUMNS.length}),
  a.attname, format_type(a.atttypid, a.atttypmod), d.description
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (schema_name, table_name, place)
JOIN pg_namespace n ON n.nspname = w.schema_name::name
LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.table_name::name
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_description d ON d.classoid = 'pg_class'::regclass AND d.objoid = c.oid AND d.objsubid = a.attnum
ORDER BY w.place, a.attnum`;

/** What the names stand for, in their order. */
export async function describeRelations(
  client: pg.ClientBase,
  ids: readonly TableId[],
): Promise<readonly Relation[]> {
  const schemas = ids.map(({ database }) => schemaIdentifier(database));
  const tables = ids.map(({ table }) => tableIdentifier(table));
  const { rows } = await client.query<Row & unknown[]>({
    // Prepared once per connection: planning it costs more than running it.
    name: 'describe',
    text: DESCRIBE,
    values: [schemas, tables],
    rowMode: 'array',
  });
  const byPlace: Row[][] = ids.map(() => []);
  for (const row of rows) byPlace[row[0] - 1]?.push(row);
  return byPlace.map(relationOf);
}

function relationOf(rows: readonly Row[]): Relation {
  const first = rows[0];
  if (first === undefined) return { kind: 'no_schema' };
  const [, relkind, owner, owned, writable, keyed] = first;
  if (relkind === null) return { kind: 'absent' };
  if (relkind !== 'r' && relkind !== 'p') return { kind: 'foreign', reason: 'it is not a table' };
  const types = new Map(rows.map((row) => [row[6] ?? '', row[7] ?? '']));
  for (const [name, type] of FIXED_COLUMNS) {
    if (types.get(name) === type) continue;
    return { kind: 'foreign', reason: `it has no column ${name} of type ${type}` };
  }
  if (keyed !== true)
    return { kind: 'foreign', reason: `it has no unique key of exactly ${KEY_COLUMNS.join(', ')}` };
  const columns: ColumnSpec[] = [];
  const others = new Map<string, string>();
  for (const [, , , , , , name, type, comment] of rows) {
    if (name === null || type === null || FIXED_COLUMNS.has(name)) continue;
    const column = readColumn(name, type, comment);
    if (column === undefined) others.set(name, type);
    else columns.push(column);
  }
  const rights = { owned: owned === true, writable: writable === true, owner: owner ?? '' };
  return { kind: 'table', columns, others, ...rights };
}

/** Why the table can't have the column as it is wanted, or undefined. */
export function conflictOf({ columns, others }: PresentTable, wanted: ColumnSpec): string | undefined {
  const known = columns.find(({ name }) => name === wanted.name);
  const asked = `not a ${wanted.kind} of type ${wanted.type}`;
  if (known !== undefined) {
    if (known.kind === wanted.kind && known.type === wanted.type) return undefined;
    return `column '${known.name}' is a ${known.kind} of type ${known.type}, ${asked}`;
  }
  const other = others.get(columnIdentifier(wanted.name));
  return other === undefined
    ? undefined
    : `column '${wanted.name}' is of PostgreSQL's type ${other}, ${asked}`;
}

const INVENTORY = `
SELECT n.nspname, obj_description(n.oid, 'pg_namespace'), count(c.oid)::int
FROM pg_namespace n
LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p') AND NOT c.relispartition
WHERE n.nspname !~ '^(pg_|_timescaledb_|timescaledb_)' AND n.nspname <> 'information_schema'
GROUP BY n.oid, n.nspname`;

/** Every schema that can be a database, with its number of tables. */
export async function readInventory(client: pg.ClientBase): Promise<readonly DatabaseInventory[]> {
  const { rows } = await client.query<[schema: string, comment: string | null, tables: number]>({
    text: INVENTORY,
    rowMode: 'array',
  });
  return rows.flatMap(([schema, comment, tables]) => {
    if (!isMapped(schema)) return [{ database: schema, tables }];
    return comment !== null && schemaIdentifier(comment) === schema ? [{ database: comment, tables }] : [];
  });
}
