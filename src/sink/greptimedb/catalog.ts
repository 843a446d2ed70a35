/**
 * Asks GreptimeDB's information_schema how tables look, which there are, and how many procedures run. The time units of
 * the tables it has seen are remembered, bounded: writer and value rules go by them.
 */
import { LRUCache } from 'lru-cache';
import type { ColumnSpec } from '../../model/column.ts';
import type { DatabaseInventory } from '../../model/sink.ts';
import { type TableId, tableKey } from '../../model/table.ts';
import type { HttpClient } from './http.ts';
import { type TimeUnit, timeUnitOf, valueTypeOf } from './layout.ts';
import { isSystemDatabase, literal } from './names.ts';

/** What a name stands for. */
export type Relation =
  | { readonly kind: 'absent' }
  /** Something is there that points can't be written to. */
  | { readonly kind: 'foreign'; readonly reason: string }
  | PresentTable;

/** A table that points can be written to. */
export interface PresentTable {
  readonly kind: 'table';
  readonly unit: TimeUnit;
  readonly columns: readonly ColumnSpec[];
  /** Types of the columns that hold no values of points, by name. */
  readonly others: ReadonlyMap<string, string>;
}

/** See the module comment. */
export interface Catalog {
  /** What the names stand for, in their order. */
  describe(ids: readonly TableId[], signal: AbortSignal): Promise<readonly Relation[]>;
  inventory(signal: AbortSignal): Promise<readonly DatabaseInventory[]>;
  /** Procedures that have one of the 128 slots. */
  runningProcedures(signal: AbortSignal): Promise<number>;
  /** Sends a statement that answers no rows. */
  execute(sql: string, signal: AbortSignal): Promise<void>;
  /** The unit of a table's time index, by `tableKey`, as it was seen last; undefined: not seen, or forgotten. */
  unitOf(key: string): TimeUnit | undefined;
}

const MAX_TABLES = 100_000;

type Cell = string | number | boolean | null;

/** Makes the catalog; `timeColumn` is what every table's time index must be called. */
export function createCatalog(http: HttpClient, timeColumn: string): Catalog {
  const units = new LRUCache<string, TimeUnit>({ max: MAX_TABLES });

  const send = (sql: string, repeatable: boolean, signal: AbortSignal): Promise<string> => {
    const body = Buffer.from(new URLSearchParams({ sql }).toString());
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    return http.send({ method: 'POST', path: '/v1/sql', headers, body, repeatable }, signal);
  };
  const query = async (sql: string, signal: AbortSignal): Promise<Cell[][]> =>
    rowsOf(await send(sql, true, signal));

  return {
    async describe(ids, signal) {
      if (ids.length === 0) return [];
      const byKey = new Map<string, Cell[][]>(ids.map((id) => [tableKey(id), []]));
      for (const row of await query(describeSql(ids), signal)) {
        byKey.get(tableKey({ database: String(row[0]), table: String(row[1]) }))?.push(row);
      }
      return ids.map((id) => {
        const key = tableKey(id);
        const relation = relationOf(byKey.get(key) ?? [], timeColumn);
        if (relation.kind === 'table') units.set(key, relation.unit);
        else units.delete(key);
        return relation;
      });
    },
    async inventory(signal) {
      const databases = await query('SELECT schema_name FROM information_schema.schemata', signal);
      const counts = new Map(
        (
          await query(
            'SELECT table_schema, count(*) FROM information_schema.tables GROUP BY table_schema',
            signal,
          )
        ).map(([database, tables]) => [database, Number(tables)]),
      );
      return databases.flatMap(([name]) => {
        const database = String(name);
        return isSystemDatabase(database) ? [] : [{ database, tables: counts.get(database) ?? 0 }];
      });
    },
    async runningProcedures(signal) {
      const [row] = await query(
        "SELECT count(*) FROM information_schema.procedure_info WHERE status IN ('Running', 'Retrying')",
        signal,
      );
      return Number(row?.[0]);
    },
    execute: async (sql, signal) => void (await send(sql, false, signal)),
    unitOf: (key) => units.get(key),
  };
}

/** Why the table can't have the column as it is wanted, or undefined. */
export function conflictOf({ columns, others }: PresentTable, wanted: ColumnSpec): string | undefined {
  const known = columns.find(({ name }) => name === wanted.name);
  const asked = `not a ${wanted.kind} of type ${wanted.type}`;
  if (known !== undefined) {
    if (known.kind === wanted.kind && known.type === wanted.type) return undefined;
    return `column '${known.name}' is a ${known.kind} of type ${known.type}, ${asked}`;
  }
  const other = others.get(wanted.name);
  return other === undefined
    ? undefined
    : `column '${wanted.name}' is of GreptimeDB's type ${other}, ${asked}`;
}

/** By database, for names of one may be those of tables in another. */
function describeSql(ids: readonly TableId[]): string {
  const byDatabase = new Map<string, string[]>();
  for (const { database, table } of ids) {
    const tables = byDatabase.get(database) ?? [];
    byDatabase.set(database, tables);
    tables.push(literal(table));
  }
  const wanted = [...byDatabase].map(
    ([database, tables]) => `(table_schema = ${literal(database)} AND table_name IN (${tables.join(', ')}))`,
  );
  return `SELECT table_schema, table_name, column_name, greptime_data_type, semantic_type
FROM information_schema.columns WHERE ${wanted.join(' OR ')}
ORDER BY table_schema, table_name, ordinal_position`;
}

function relationOf(rows: readonly Cell[][], timeColumn: string): Relation {
  if (rows.length === 0) return { kind: 'absent' };
  const columns: ColumnSpec[] = [];
  const others = new Map<string, string>();
  let unit: TimeUnit | undefined;
  for (const row of rows) {
    const [name, dataType, semantic] = row.slice(2).map(String) as [string, string, string];
    const type = valueTypeOf(dataType);
    if (semantic === 'TIMESTAMP') {
      if (name === timeColumn) unit = timeUnitOf(dataType);
    } else if (type === undefined || (semantic === 'TAG' && type !== 'string')) others.set(name, dataType);
    else columns.push({ name, kind: semantic === 'TAG' ? 'tag' : 'field', type });
  }
  if (unit === undefined) return { kind: 'foreign', reason: `its time index is not called ${timeColumn}` };
  return { kind: 'table', unit, columns, others };
}

function rowsOf(text: string): Cell[][] {
  const answer = JSON.parse(text) as { output?: { records?: { rows?: Cell[][] } }[] };
  const rows = answer.output?.[0]?.records?.rows;
  if (rows === undefined) throw new Error('an answer without rows');
  return rows;
}
