/** The schemas that a discarding sink pretends to have, in memory and bounded. */
import type { ColumnSpec } from '../../model/column.ts';
import type { DdlExecutor, DdlResult } from '../../model/sink.ts';
import { type TableId, tableKey } from '../../model/table.ts';

/** The columns of a table by name. */
export type Columns = ReadonlyMap<string, ColumnSpec>;

/** A bounded catalog that the guard and the DDL worker use like a database's. */
export interface DiscardCatalog extends DdlExecutor {
  columns(id: TableId): Columns | undefined;
  readonly tableCount: number;
}

const DONE: DdlResult = { kind: 'done' };

/** Creates an empty catalog; creating more than `maxTables` tables is `denied`. */
export function createDiscardCatalog(maxTables: number): DiscardCatalog {
  const databases = new Map<string, number>();
  const tables = new Map<string, Columns>();

  function createTable(id: TableId, columns: readonly ColumnSpec[]): DdlResult {
    const count = databases.get(id.database);
    if (count === undefined) return missing('database', id.database);
    if (tables.has(tableKey(id))) return DONE;
    if (tables.size >= maxTables) {
      return { kind: 'denied', code: 'full', message: `the catalog holds ${maxTables} tables already` };
    }
    const widened = widen(new Map(), columns);
    if ('kind' in widened) return widened;
    tables.set(tableKey(id), widened);
    databases.set(id.database, count + 1);
    return DONE;
  }

  function addColumns(id: TableId, columns: readonly ColumnSpec[]): DdlResult {
    const table = tables.get(tableKey(id));
    if (table === undefined) return missing('table', id.table);
    const widened = widen(table, columns);
    if ('kind' in widened) return widened;
    tables.set(tableKey(id), widened);
    return DONE;
  }

  return {
    columns: (id) => tables.get(tableKey(id)),
    get tableCount() {
      return tables.size;
    },
    describe: (ids) =>
      Promise.resolve(
        ids.map((id) => {
          const columns = tables.get(tableKey(id));
          return columns && { columns: [...columns.values()] };
        }),
      ),
    inventory: () =>
      Promise.resolve(Array.from(databases, ([database, count]) => ({ database, tables: count }))),
    createDatabase(database) {
      if (!databases.has(database)) databases.set(database, 0);
      return Promise.resolve(DONE);
    },
    createTable: (spec) => Promise.resolve(createTable(spec.id, spec.columns)),
    addColumns: (id, columns) => Promise.resolve(addColumns(id, columns)),
  };
}

function widen(known: Columns, wanted: readonly ColumnSpec[]): Map<string, ColumnSpec> | DdlResult {
  const columns = new Map(known);
  for (const { name, kind, type } of wanted) {
    const old = columns.get(name);
    if (old === undefined) columns.set(name, { name, kind, type });
    else if (old.kind !== kind || old.type !== type) {
      return {
        kind: 'invalid',
        code: 'column_conflict',
        message: `column '${name}' is a ${old.kind} ${old.type}`,
      };
    }
  }
  return columns;
}

function missing(what: 'database' | 'table', name: string): DdlResult {
  return { kind: 'transient', code: `${what}_missing`, message: `${what} '${name}' does not exist` };
}
