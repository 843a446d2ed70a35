/**
 * All names of the file, in memory: which tables and columns exist, under which identifiers and numbers. The process
 * owns the file, so this copy is the truth: describing and resolving names costs no query. Bounded by the guard's
 * budgets of databases, tables and columns. Changed by ddl.ts alone, after its transaction has committed; and read
 * again when the file is opened anew, for a commit that failed may be in its log all the same.
 */
import type { ColumnKind, ColumnSpec, ValueType } from '../../model/column.ts';
import type { DatabaseInventory } from '../../model/sink.ts';
import { type TableId, type TableSource, tableKey } from '../../model/table.ts';
import { STORE } from './layout.ts';
import { fold } from './names.ts';

/** A column; tags have a 1-based position in the tag lists of their series, fields have 0. */
export interface CatalogColumn extends ColumnSpec {
  readonly id: number;
  readonly columnName: string;
  readonly tagPosition: number;
}

/** A table: the view `viewName` in `schemaName`. */
export interface CatalogTable {
  readonly id: number;
  readonly tableId: TableId;
  readonly source: TableSource;
  readonly schemaName: string;
  readonly viewName: string;
  /** By the client's name. */
  readonly columns: ReadonlyMap<string, CatalogColumn>;
}

/** A database: a schema and the folded names of its views. */
export interface CatalogDatabase {
  readonly schemaName: string;
  readonly viewNames: Set<string>;
}

/** The names of the file. */
export interface Catalog {
  /** By the client's name. */
  readonly databases: ReadonlyMap<string, CatalogDatabase>;
  /** Folded names of the schemas. */
  readonly schemaNames: ReadonlySet<string>;
  readonly tableCount: number;
  table(id: TableId): CatalogTable | undefined;
  inventory(): readonly DatabaseInventory[];
  /** The number that the next new table or column gets. */
  nextTableId(): number;
  nextColumnId(): number;
  addDatabase(name: string, schemaName: string): void;
  /** Adds the table or replaces the one of the same name. */
  putTable(table: CatalogTable): void;
  /** Replaces everything by what the file says, at once. */
  reload(read: ReadRows): Promise<void>;
}

/** Runs a query and answers its rows as values of JavaScript. */
export type ReadRows = (sql: string) => Promise<readonly (readonly unknown[])[]>;

/** Reads the catalog tables. */
export async function loadCatalog(read: ReadRows): Promise<Catalog> {
  const catalog = createCatalog();
  await catalog.reload(read);
  return catalog;
}

/** What the catalog tables hold. */
interface CatalogRows {
  readonly databases: readonly [name: string, schemaName: string][];
  readonly tables: readonly CatalogTable[];
}

async function readCatalog(read: ReadRows): Promise<CatalogRows> {
  const databases = (await read(
    `SELECT name, schema_name FROM ${STORE}.databases`,
  )) as CatalogRows['databases'];
  const schemas = new Map(databases);
  const columns = await readColumns(read);
  const tables: CatalogTable[] = [];
  for (const row of await read(
    `SELECT id, database, name, view_name, source FROM ${STORE}.tables ORDER BY id`,
  )) {
    const [id, database, table, viewName, source] = row as [number, string, string, string, TableSource];
    tables.push({
      id,
      tableId: { database, table },
      source,
      schemaName: schemas.get(database) ?? '',
      viewName,
      columns: columns.get(id) ?? new Map(),
    });
  }
  return { databases, tables };
}

async function readColumns(read: ReadRows): Promise<Map<number, Map<string, CatalogColumn>>> {
  const columns = new Map<number, Map<string, CatalogColumn>>();
  const sql = `SELECT table_id, id, name, kind, type, column_name, tag_position FROM ${STORE}.columns ORDER BY id`;
  for (const [tableId, id, name, kind, type, columnName, tagPosition] of await read(sql)) {
    const ofTable = columns.get(tableId as number) ?? new Map<string, CatalogColumn>();
    columns.set(tableId as number, ofTable);
    ofTable.set(name as string, {
      id: id as number,
      name: name as string,
      kind: kind as ColumnKind,
      type: type as ValueType,
      columnName: columnName as string,
      tagPosition: tagPosition as number,
    });
  }
  return columns;
}

function createCatalog(): Catalog {
  const databases = new Map<string, CatalogDatabase>();
  const schemaNames = new Set<string>();
  const tables = new Map<string, CatalogTable>();
  let lastTableId = 0;
  let lastColumnId = 0;

  function addDatabase(name: string, schemaName: string): void {
    databases.set(name, { schemaName, viewNames: new Set() });
    schemaNames.add(fold(schemaName));
  }

  function putTable(table: CatalogTable): void {
    tables.set(tableKey(table.tableId), table);
    databases.get(table.tableId.database)?.viewNames.add(fold(table.viewName));
    lastTableId = Math.max(lastTableId, table.id);
    for (const column of table.columns.values()) lastColumnId = Math.max(lastColumnId, column.id);
  }

  return {
    databases,
    schemaNames,
    get tableCount() {
      return tables.size;
    },
    table: (id) => tables.get(tableKey(id)),
    inventory: () =>
      Array.from(databases, ([database, { viewNames }]) => ({ database, tables: viewNames.size })),
    nextTableId: () => lastTableId + 1,
    nextColumnId: () => lastColumnId + 1,
    addDatabase,
    putTable,
    async reload(read) {
      const rows = await readCatalog(read);
      databases.clear();
      schemaNames.clear();
      tables.clear();
      for (const [name, schemaName] of rows.databases) addDatabase(name, schemaName);
      for (const table of rows.tables) putTable(table);
    },
  };
}
