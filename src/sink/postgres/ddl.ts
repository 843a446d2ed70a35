/**
 * Creates schemas, tables and columns. No statement says IF NOT EXISTS: that what is there is as it should be is for
 * the catalog to tell, and a comment must never be put on what somebody else made. A statement waits only shortly for
 * its lock, for writers queue up behind it; it fails as transient then and is tried again later.
 */
import type pg from 'pg';
import type { Clock } from '../../model/clock.ts';
import { wantedTwice } from '../../model/column.ts';
import type { DdlChange, DdlExecutor, DdlResult, TableSpec } from '../../model/sink.ts';
import type { TableId } from '../../model/table.ts';
import { conflictOf, describeRelations, readInventory } from './catalog.ts';
import type { Connections } from './connections.ts';
import { ddlFailure, failureClass } from './errors.ts';
import { addColumns, createSchema, createTable, tooWide } from './layout.ts';
import { schemaIdentifier } from './names.ts';
import { createHypertable, type HypertableOptions } from './timescale.ts';

/** What the executor works with. */
export interface DdlDeps {
  readonly connections: Connections;
  readonly hypertables: HypertableOptions;
  readonly clock: Pick<Clock, 'sleep'>;
}

/** Between two looks at a statement whose connection was lost. */
const LOOK_MS = 200;

/** Sends one statement, or several that are one transaction. */
type Send = (sql: string) => Promise<void>;

const DONE: DdlResult = { kind: 'done' };

/** Creates the executor. */
export function createDdl({ connections, hypertables, clock }: DdlDeps): DdlExecutor {
  async function attempt(
    signal: AbortSignal,
    work: (client: pg.PoolClient, send: Send) => Promise<DdlResult>,
  ): Promise<DdlResult> {
    let sentBy: number | undefined;
    try {
      return await connections.run(signal, (client) =>
        work(client, async (sql) => {
          sentBy = processIdOf(client);
          await client.query(sql);
        }),
      );
    } catch (error) {
      const failure = ddlFailure(error, sentBy !== undefined);
      if (failure.kind !== 'ambiguous' || sentBy === undefined) return failure;
      // Whether it has worked, the schema shows from now on.
      return (await hasEnded(sentBy, signal)) ? { ...failure, kind: 'transient' } : failure;
    }
  }

  /**
   * Waits for the end of the server's process that had the statement when its connection was lost. A statement that
   * may still run would keep its table's rows waiting for as long as the queue holds what is unknown: minutes.
   */
  async function hasEnded(processId: number, signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      try {
        const { rowCount } = await connections.run(signal, (client) =>
          client.query('SELECT FROM pg_stat_activity WHERE pid = $1', [processId]),
        );
        if (rowCount === 0) return true;
      } catch {
        // The server is not there, or has no connection for us: asked again.
      }
      await clock.sleep(LOOK_MS, signal).catch(() => undefined);
    }
    return false;
  }

  return {
    describe: (ids, signal) =>
      connections.run(signal, async (client) =>
        (await describeRelations(client, ids)).map((relation) =>
          relation.kind === 'table' ? { columns: relation.columns } : undefined,
        ),
      ),
    inventory: (signal) => connections.run(signal, readInventory),
    createDatabase: (database, signal) =>
      attempt(signal, (client, send) => createDatabase(client, database, send)),
    createTable: (spec, signal) => attempt(signal, (client, send) => create(client, spec, send, hypertables)),
    addColumns: (id, columns, signal) =>
      attempt(signal, (client, send) => widen(client, { id, columns }, send)),
    explain: (change) => [statementOf(change)],
  };
}

/** Without what makes a hypertable of it: whether the extension is there, the server knows. */
function statementOf(change: DdlChange): string {
  if (change.kind === 'database') return createSchema(change.database);
  if (change.kind === 'columns') return addColumns(change.id, change.columns);
  return createTable(change.spec.id, change.spec.columns);
}

async function createDatabase(client: pg.PoolClient, database: string, send: Send): Promise<DdlResult> {
  const schema = schemaIdentifier(database);
  // Asked for first: the right to create schemas is needed even for one that is there.
  const { rowCount } = await client.query('SELECT FROM pg_namespace WHERE nspname = $1', [schema]);
  if (rowCount === 1) return DONE;
  return unlessExists(send(createSchema(database)), () => DONE);
}

async function create(
  client: pg.PoolClient,
  { id, columns }: TableSpec,
  send: Send,
  hypertables: HypertableOptions,
): Promise<DdlResult> {
  const reason = wantedTwice(columns) ?? tooWide(columns);
  if (reason !== undefined) return invalid('impossible_table', reason);
  const sql = createTable(id, columns) + (await createHypertable(client, id, hypertables));
  try {
    return await unlessExists(send(sql), () => adopt(client, id));
  } catch (error) {
    if (failureClass(error) === 'missing') return missing('database', id.database);
    throw error;
  }
}

async function widen(
  client: pg.PoolClient,
  { id, columns }: Pick<TableSpec, 'id' | 'columns'>,
  send: Send,
): Promise<DdlResult> {
  const [relation] = await describeRelations(client, [id]);
  if (relation?.kind === 'foreign') return foreign(id, relation.reason);
  if (relation?.kind !== 'table') return missing('table', id.table);
  const conflict = columns.flatMap((column) => conflictOf(relation, column) ?? [])[0] ?? wantedTwice(columns);
  if (conflict !== undefined) return invalid('column_conflict', conflict);
  const names = new Set(relation.columns.map(({ name }) => name));
  const added = columns.filter(({ name }) => !names.has(name));
  if (added.length === 0) return DONE;
  const wide = tooWide([...relation.columns, ...added]);
  if (wide !== undefined) return invalid('impossible_table', wide);
  // The right of one table, so no reason to stop the creates of all.
  if (!relation.owned)
    return invalid('not_owner', `the table belongs to ${relation.owner}: only its owner can add columns`);
  // Should another gateway have added one meanwhile, then the schema is to be read anew.
  return unlessExists(send(addColumns(id, added)), () => DONE);
}

/** The server's process behind a connection, which the driver's types do not show. */
function processIdOf(client: pg.ClientBase): number {
  return (client as unknown as { processID: number }).processID;
}

/** What it is that has the name already: what of it is missing, the caller finds out by describing it. */
async function adopt(client: pg.PoolClient, id: TableId): Promise<DdlResult> {
  const [relation] = await describeRelations(client, [id]);
  if (relation?.kind === 'table') return DONE;
  if (relation?.kind === 'foreign') return foreign(id, relation.reason);
  return { kind: 'transient', code: 'vanished', message: `table '${id.table}' was there, and is gone` };
}

/** Another gateway may create the same at the same moment, which ends in a unique violation in a catalog. */
async function unlessExists(
  sent: Promise<void>,
  otherwise: () => DdlResult | Promise<DdlResult>,
): Promise<DdlResult> {
  try {
    await sent;
    return DONE;
  } catch (error) {
    const raced = error instanceof Error && 'code' in error && error.code === '23505';
    if (failureClass(error) !== 'exists' && !raced) throw error;
    return otherwise();
  }
}

function foreign({ database, table }: TableId, reason: string): DdlResult {
  return invalid('foreign_table', `'${table}' in '${database}' can't hold points: ${reason}`);
}

function invalid(code: string, message: string): DdlResult {
  return { kind: 'invalid', code, message };
}

function missing(what: 'database' | 'table', name: string): DdlResult {
  return { kind: 'transient', code: `${what}_missing`, message: `${what} '${name}' does not exist` };
}
