/**
 * Creates databases, tables and columns by `/v1/sql`. What is there is looked at before anything is sent: what has the
 * name already is for the catalog to judge, and a server that is away is noticed before a statement could be lost on it.
 */
import { type ColumnSpec, wantedTwice } from '../../model/column.ts';
import type { DdlExecutor, DdlResult, TableSpec } from '../../model/sink.ts';
import type { TableId } from '../../model/table.ts';
import { type Catalog, conflictOf, type Relation } from './catalog.ts';
import { ddlFailure, failureClass } from './errors.ts';
import { addColumns, createDatabase, createTable } from './layout.ts';

const DONE: DdlResult = { kind: 'done' };

/** Creates the executor. */
export function createDdl(catalog: Catalog, timeColumn: string): DdlExecutor {
  /** Reads before it sends: what fails before the statement is not ambiguous. */
  async function attempt(
    signal: AbortSignal,
    plan: () => Promise<{ readonly sql: string } | DdlResult>,
  ): Promise<DdlResult> {
    let sent = false;
    try {
      const next = await plan();
      if ('kind' in next) return next;
      sent = true;
      await catalog.execute(next.sql, signal);
      return DONE;
    } catch (error) {
      // Another gateway was first: the caller reads the schema.
      if (failureClass(error) === 'exists') return DONE;
      const failure = ddlFailure(error);
      return failure.kind === 'ambiguous' && !sent ? { ...failure, kind: 'transient' } : failure;
    }
  }
  const look = async (id: TableId, signal: AbortSignal): Promise<Relation> =>
    (await catalog.describe([id], signal))[0] ?? { kind: 'absent' };

  return {
    async describe(ids, signal) {
      const relations = await catalog.describe(ids, signal);
      return relations.map((relation) =>
        relation.kind === 'table' ? { columns: relation.columns } : undefined,
      );
    },
    inventory: (signal) => catalog.inventory(signal),
    createDatabase: (database, signal) =>
      attempt(signal, async () => {
        const there = (await catalog.inventory(signal)).some((one) => one.database === database);
        return there ? DONE : { sql: createDatabase(database) };
      }),
    createTable: (spec, signal) =>
      attempt(signal, async () => create(spec, await look(spec.id, signal), timeColumn)),
    addColumns: (id, columns, signal) =>
      attempt(signal, async () => widen(id, columns, await look(id, signal))),
    explain(change) {
      if (change.kind === 'database') return [createDatabase(change.database)];
      if (change.kind === 'columns') return [addColumns(change.id, change.columns)];
      return [createTable(change.spec, timeColumn)];
    },
  };
}

function create(
  spec: TableSpec,
  relation: Relation,
  timeColumn: string,
): { readonly sql: string } | DdlResult {
  const conflict = wantedTwice(spec.columns);
  if (conflict !== undefined) return invalid('column_conflict', conflict);
  if (relation.kind === 'foreign') return foreign(spec.id, relation.reason);
  return relation.kind === 'table' ? DONE : { sql: createTable(spec, timeColumn) };
}

function widen(
  id: TableId,
  columns: readonly ColumnSpec[],
  relation: Relation,
): { readonly sql: string } | DdlResult {
  if (relation.kind === 'foreign') return foreign(id, relation.reason);
  if (relation.kind === 'absent') {
    return { kind: 'transient', code: 'table_missing', message: `table '${id.table}' does not exist` };
  }
  const conflict = columns.flatMap((column) => conflictOf(relation, column) ?? [])[0] ?? wantedTwice(columns);
  if (conflict !== undefined) return invalid('column_conflict', conflict);
  const names = new Set(relation.columns.map(({ name }) => name));
  const added = columns.filter(({ name }) => !names.has(name));
  return added.length === 0 ? DONE : { sql: addColumns(id, added) };
}

function foreign({ database, table }: TableId, reason: string): DdlResult {
  return invalid('foreign_table', `'${table}' in '${database}' can't hold points: ${reason}`);
}

function invalid(code: string, message: string): DdlResult {
  return { kind: 'invalid', code, message };
}
