/**
 * Writes a flush: per table one INSERT that replaces what is there, all sent at once, in one transaction. A flush
 * over very many tables is several: PostgreSQL keeps two locks per table until the commit, and has few thousand for
 * everybody. What such a flush has stored before it fails does no harm, for the same rows again replace it.
 *
 * The writer has a connection of its own with the statements it has prepared there. The first time it writes to a
 * table in a session, and whenever a statement finds it changed, it asks the catalog how all tables of the flush look.
 */
import type pg from 'pg';
import type { PointBatch } from '../../model/point-batch.ts';
import { WriteError, type WriteFailure, type Writer } from '../../model/sink.ts';
import { type TableId, tableKey } from '../../model/table.ts';
import { unlessAborted } from '../../util/abort.ts';
import { conflictOf, describeRelations, type Relation } from './catalog.ts';
import type { Connections } from './connections.ts';
import { failureClass, isSessionUsable, wordsOf } from './errors.ts';
import { createHeldTables, type HeldTables } from './held-tables.ts';
import { PipelineError, sendSheets } from './pipeline.ts';
import { type Sheet, sheetsOf } from './sheet.ts';
import { columnsOf, PreparedStatements } from './statements.ts';

/** Sheets of one transaction. */
const MAX_SHEETS = 500;

/** What the writer works with. */
export interface WriterDeps {
  readonly connections: Connections;
  /** Milliseconds that a write waits for the lock of a table. */
  readonly lockTimeoutMs: number;
  readonly clock: { now(): number };
}

/** The writer, and what is to be ended with it. */
export interface PostgresWriter extends Writer {
  stats(): { readonly statements: number; readonly heldTables: number };
  /** Resolves when the write that runs has ended. Idempotent. */
  close(): Promise<void>;
}

interface Session {
  readonly client: pg.PoolClient;
  readonly statements: PreparedStatements;
}

interface Flush {
  readonly session: Session;
  readonly sheets: readonly Sheet[];
  /** Rows may have been sent. */
  readonly sent: boolean;
  readonly signal: AbortSignal;
}

/** Creates the writer; it connects with the first write. */
export function createWriter(deps: WriterDeps): PostgresWriter {
  return new SessionWriter(deps);
}

class SessionWriter implements PostgresWriter {
  private readonly deps: WriterDeps;
  private session: Session | undefined;
  private running: Promise<void> = Promise.resolve();
  private readonly held: HeldTables;

  constructor(deps: WriterDeps) {
    this.deps = deps;
    this.held = createHeldTables(deps.clock);
  }

  stats(): { readonly statements: number; readonly heldTables: number } {
    return { statements: this.session?.statements.size ?? 0, heldTables: this.held.size };
  }

  write(batches: readonly PointBatch[], signal: AbortSignal): Promise<void> {
    const written = this.flush(batches, signal);
    this.running = written.catch(() => undefined);
    return written;
  }

  async close(): Promise<void> {
    await this.running;
    this.end(false);
  }

  private async flush(batches: readonly PointBatch[], signal: AbortSignal): Promise<void> {
    const sheets = sheetsOf(batches);
    if (sheets.length === 0) return;
    const ids = sheets.map(({ id }) => id);
    const held = this.held.among(ids);
    if (held !== undefined) throw new WriteError(held);
    const session = await this.open(signal);
    let sent = false;
    try {
      await unlessAborted(checkNew(session, sheets), signal);
      sent = true;
      for (let first = 0; first < sheets.length; first += MAX_SHEETS) {
        const part = sheets.slice(first, first + MAX_SHEETS);
        await unlessAborted(sendSheets(session.client, session.statements, part, batches), signal);
      }
      this.held.succeeded(ids);
    } catch (error) {
      if (error instanceof WriteError) throw error;
      const failure = await this.failureOf(error, { session, sheets, sent, signal });
      if (failure.kind !== 'missing' && failure.kind !== 'ambiguous' && failure.tables !== undefined) {
        this.held.failed(failure.tables, { ...failure, kind: failure.kind });
      }
      throw new WriteError(failure, { cause: error });
    }
  }

  private async open(signal: AbortSignal): Promise<Session> {
    if (this.session !== undefined) return this.session;
    try {
      const client = await this.deps.connections.take(signal);
      const session = { client, statements: new PreparedStatements() };
      // An idle connection may end at any time; then the next write is to have another.
      client.once('end', () => {
        if (this.session === session) this.end(true);
      });
      this.session = session;
      await unlessAborted(client.query(`SET lock_timeout = ${this.deps.lockTimeoutMs}`), signal);
      return session;
    } catch (error) {
      this.end(true);
      throw new WriteError(lost(error, false), { cause: error });
    }
  }

  private end(broken: boolean): void {
    const session = this.session;
    this.session = undefined;
    session?.client.release(broken);
  }

  /** Whom a failure concerns. */
  private async failureOf(error: unknown, flush: Flush): Promise<WriteFailure> {
    const cause = error instanceof PipelineError ? error.cause : error;
    if (flush.signal.aborted || !isSessionUsable(cause)) {
      this.end(true);
      return lost(cause, flush.sent);
    }
    const sheet = error instanceof PipelineError ? error.sheet : undefined;
    try {
      return await unlessAborted(explain(cause, sheet, flush), flush.signal);
    } catch (lookError) {
      this.end(true);
      return lost(lookError, false);
    }
  }
}

/** What the server has said, and whom it concerns; asks the catalog when that may be more tables than one. */
async function explain(cause: unknown, sheet: Sheet | undefined, flush: Flush): Promise<WriteFailure> {
  const { session, sheets } = flush;
  const words = wordsOf(cause);
  const found = failureClass(cause);
  const own = sheet === undefined ? {} : { tables: [sheet.id] };
  if (found === 'missing') {
    for (const one of sheets) session.statements.forget(one.key);
    const tables = await missingTables(session, sheets);
    // Changed, and changed back: the sender tries again.
    return tables.length > 0 ? { kind: 'missing', tables } : { kind: 'transient', ...words, ...own };
  }
  if (words.code === '42501') {
    const tables = await forbiddenTables(session, sheets);
    return tables.length > 0 ? { kind: 'denied', ...words, tables } : { kind: 'denied', ...words };
  }
  if (found === 'denied') return { kind: 'denied', ...words };
  // What the server or its disk has too little of concerns everybody; all else is of one table.
  const isGeneral = found === 'transient' && !['55P03', '57014'].includes(words.code);
  return { kind: 'transient', ...words, ...(isGeneral ? {} : own) };
}

/** Tables that were not looked at yet may look otherwise than the guard believes. */
async function checkNew(session: Session, sheets: readonly Sheet[]): Promise<void> {
  const unknown = sheets.filter((sheet) => !session.statements.isChecked(sheet.key));
  if (unknown.length === 0) return;
  const tables = await missingTables(session, unknown);
  if (tables.length > 0) throw new WriteError({ kind: 'missing', tables });
  for (const sheet of unknown) session.statements.check(sheet.key);
}

/** The tables that are not there, or lack a column as the sheet has it. */
function missingTables(session: Session, sheets: readonly Sheet[]): Promise<readonly TableId[]> {
  return tablesWhere(session, sheets, (relation, sheet) => {
    if (relation?.kind !== 'table') return true;
    const names = new Set(relation.columns.map(({ name }) => name));
    return columnsOf(sheet).some(
      (column) => !names.has(column.name) || conflictOf(relation, column) !== undefined,
    );
  });
}

function forbiddenTables(session: Session, sheets: readonly Sheet[]): Promise<readonly TableId[]> {
  return tablesWhere(session, sheets, (relation) => relation?.kind === 'table' && !relation.writable);
}

async function tablesWhere(
  { client }: Session,
  sheets: readonly Sheet[],
  test: (relation: Relation | undefined, sheet: Sheet) => boolean,
): Promise<readonly TableId[]> {
  const relations = await describeRelations(
    client,
    sheets.map(({ id }) => id),
  );
  const found = new Map<string, TableId>();
  for (const [i, sheet] of sheets.entries()) {
    if (test(relations[i], sheet)) found.set(tableKey(sheet.id), sheet.id);
  }
  return [...found.values()];
}

/** A write whose connection failed, or never came to be. */
function lost(error: unknown, sent: boolean): WriteFailure {
  const words = wordsOf(error);
  const found = failureClass(error);
  if (found === 'lost') return { kind: sent ? 'ambiguous' : 'transient', ...words };
  return { kind: found === 'denied' ? 'denied' : 'transient', ...words };
}
