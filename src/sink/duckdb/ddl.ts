/**
 * Creates databases, tables and columns: rows in the catalog tables and a view, in one transaction each; no table
 * of stored values is made or changed. Idempotent. Takes turns with writes; the catalog in memory follows each
 * commit, and answers `describe` and `inventory` without a query.
 */
import type { ColumnSpec } from '../../model/column.ts';
import type { DdlChange, DdlExecutor, DdlResult, TableSpec } from '../../model/sink.ts';
import type { TableId, TableSchema } from '../../model/table.ts';
import type { Catalog, CatalogColumn, CatalogDatabase, CatalogTable } from './catalog.ts';
import { ddlFailure } from './errors.ts';
import { STORE } from './layout.ts';
import { fold, literal, mapName, quote } from './names.ts';
import type { Serial } from './serial.ts';
import type { Session } from './session.ts';
import { createView } from './view.ts';

/** What the executor works with. */
export interface DdlDeps {
  readonly catalog: Catalog;
  readonly serial: Serial;
  readonly session: Session;
  /** Name of the time column of every view. */
  readonly timeColumn: string;
}

/** Schemas that DuckDB, its catalogs or the gateway own. */
const RESERVED_SCHEMAS = new Set([
  'main',
  'temp',
  'system',
  'memory',
  'information_schema',
  'pg_catalog',
  STORE,
]);

const DONE: DdlResult = { kind: 'done' };

/** Creates the executor. */
export function createDdl({ catalog, serial, session, timeColumn }: DdlDeps): DdlExecutor {
  /**
   * Looks what is to be done, and does it in a transaction, in turn. It may look twice: should the first commit have
   * gone through although it failed, then there is nothing left to do.
   */
  async function inTurn(look: () => Change | DdlResult): Promise<DdlResult> {
    try {
      return await serial.run(async () => {
        const change = await session.transaction(async ({ connection }) => {
          const found = look();
          if ('statements' in found) for (const sql of found.statements) await connection.run(sql);
          return found;
        });
        if ('kind' in change) return change;
        change.apply();
        return DONE;
      });
    } catch (error) {
      return ddlFailure(error);
    }
  }

  function changeFor(change: DdlChange, planned = false): Change | DdlResult {
    if (change.kind === 'database') return newDatabase(change.database, catalog);
    if (change.kind === 'columns') {
      const table = catalog.table(change.id);
      if (table === undefined) return missing('table', change.id.table);
      return widen(table, change.columns, { catalog, timeColumn, before: [] });
    }
    const { id, source, columns } = change.spec;
    if (catalog.table(id) !== undefined) return DONE;
    const database = catalog.databases.get(id.database) ?? (planned ? plannedDatabase(id) : undefined);
    if (database === undefined) return missing('database', id.database);
    const table = newTable(change.spec, catalog.nextTableId(), database);
    const values = [id.database, id.table, table.viewName, source].map(literal).join(', ');
    const insert = `INSERT INTO ${STORE}.tables VALUES (${table.id}, ${values})`;
    return widen(table, columns, { catalog, timeColumn, before: [insert] });
  }

  /** As it will be: what makes the table makes its database first. */
  function plannedDatabase({ database }: TableId): CatalogDatabase {
    return { schemaName: schemaNameOf(database, catalog), viewNames: new Set() };
  }

  return {
    describe: (ids) => Promise.resolve(ids.map((id) => schemaOf(catalog.table(id)))),
    inventory: () => Promise.resolve(catalog.inventory()),
    createDatabase: (database) => inTurn(() => changeFor({ kind: 'database', database })),
    createTable: (spec) => inTurn(() => changeFor({ kind: 'table', spec })),
    addColumns: (id, columns) => inTurn(() => changeFor({ kind: 'columns', id, columns })),
    explain(change) {
      const found = changeFor(change, true);
      return 'statements' in found ? found.statements : [];
    },
  };
}

/** Statements, and what to do in memory when they are committed. */
interface Change {
  readonly statements: readonly string[];
  apply(): void;
}

function newDatabase(name: string, catalog: Catalog): Change | DdlResult {
  if (catalog.databases.has(name)) return DONE;
  const schema = schemaNameOf(name, catalog);
  const insert = `INSERT INTO ${STORE}.databases VALUES (${literal(name)}, ${literal(schema)})`;
  return {
    statements: [insert, `CREATE SCHEMA ${quote(schema)}`],
    apply: () => catalog.addDatabase(name, schema),
  };
}

function schemaNameOf(name: string, catalog: Catalog): string {
  return mapName(name, (folded) => RESERVED_SCHEMAS.has(folded) || catalog.schemaNames.has(folded));
}

function newTable(spec: TableSpec, id: number, database: CatalogDatabase): CatalogTable {
  return {
    id,
    tableId: spec.id,
    source: spec.source,
    schemaName: database.schemaName,
    viewName: mapName(spec.id.table, (folded) => database.viewNames.has(folded)),
    columns: new Map(),
  };
}

interface WidenContext {
  readonly catalog: Catalog;
  readonly timeColumn: string;
  /** Statements that make the table itself. */
  readonly before: readonly string[];
}

/** The change that gives the table the columns that it lacks, or why it can't have them. */
function widen(
  table: CatalogTable,
  wanted: readonly ColumnSpec[],
  { catalog, timeColumn, before }: WidenContext,
): Change | DdlResult {
  const columns = new Map(table.columns);
  const taken = new Set(Array.from(columns.values(), (column) => fold(column.columnName)));
  taken.add(fold(timeColumn));
  const added: CatalogColumn[] = [];
  let tags = Array.from(columns.values()).filter((column) => column.kind === 'tag').length;
  for (const { name, kind, type } of wanted) {
    const known = columns.get(name);
    if (known !== undefined) {
      if (known.kind === kind && known.type === type) continue;
      return conflict(known, { name, kind, type });
    }
    const columnName = mapName(name, (folded) => taken.has(folded));
    const tagPosition = kind === 'tag' ? ++tags : 0;
    const column = { id: catalog.nextColumnId() + added.length, name, kind, type, columnName, tagPosition };
    taken.add(fold(columnName));
    columns.set(name, column);
    added.push(column);
  }
  const widened = { ...table, columns };
  const inserts = added.length === 0 ? [] : [insertColumns(table.id, added)];
  if (before.length + inserts.length === 0) return DONE;
  return {
    statements: [...before, ...inserts, createView(widened, timeColumn)],
    apply: () => catalog.putTable(widened),
  };
}

function insertColumns(tableId: number, columns: readonly CatalogColumn[]): string {
  const rows = columns.map(({ id, name, kind, type, columnName, tagPosition }) => {
    const texts = [name, kind, type, columnName].map(literal).join(', ');
    return `(${id}, ${tableId}, ${texts}, ${tagPosition})`;
  });
  return `INSERT INTO ${STORE}.columns VALUES ${rows.join(', ')}`;
}

function schemaOf(table: CatalogTable | undefined): TableSchema | undefined {
  if (table === undefined) return undefined;
  return { columns: Array.from(table.columns.values(), ({ name, kind, type }) => ({ name, kind, type })) };
}

function conflict(known: ColumnSpec, wanted: ColumnSpec): DdlResult {
  const message = `column '${known.name}' is a ${known.kind} of type ${known.type}, not a ${wanted.kind} of type ${wanted.type}`;
  return { kind: 'invalid', code: 'column_conflict', message };
}

function missing(what: 'database' | 'table', name: string): DdlResult {
  return { kind: 'transient', code: `${what}_missing`, message: `${what} '${name}' does not exist` };
}
