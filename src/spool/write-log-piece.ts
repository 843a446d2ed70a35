/**
 * Entries of the log that are written together, and what was decided about rows of theirs that the database does not
 * take. A row that was decided about is marked as skipped in its batch; its fate must not get lost before the piece is
 * off the log. Used by write-log-drain.ts.
 */
import type { Admission, Verdict } from '../model/admission.ts';
import type { PointBatch, TableGroup } from '../model/point-batch.ts';
import { checkValues, type Rejected, verdictOf } from '../model/row-verdict.ts';
import type { Series, Table } from '../model/series.ts';
import type { ValueRules } from '../model/sink.ts';
import type { LogEntry } from './write-log-types.ts';

/** Rows of an entry that are not written. */
export interface Fate {
  /** By `tableKey`. */
  readonly moved: Map<string, { readonly table: Table; readonly rows: number[] }>;
  readonly dead: Map<Verdict, number[]>;
}

/** Entries on their way, which are written together. What was decided about their rows stays with them. */
export interface LogPiece {
  readonly entries: readonly LogEntry[];
  readonly fates: Map<LogEntry, Fate>;
  /** Tables (keys) of which rows were moved: all later ones follow them. */
  readonly movedTables: Set<string>;
  readonly signal: AbortSignal;
}

/** Makes a piece of entries. */
export function createPiece(entries: readonly LogEntry[], signal: AbortSignal): LogPiece {
  return { entries, signal, fates: new Map(), movedTables: new Set() };
}

/** Marks what the guard refused. Answers why it could not be asked. */
export function applyVerdicts(
  piece: LogPiece,
  answers: readonly (readonly [LogEntry, TableGroup, Admission])[],
): string | undefined {
  const down = answers.find(([, , { refused }]) => isUnanswered(refused))?.[2].refused;
  if (down !== undefined) return down.message;
  for (const [{ batch }, group, admission] of answers) {
    for (let row = group.firstRow; row >= 0; row = batch.nextRow[row] as number) {
      if (batch.skip[row] !== 0) continue;
      if (verdictOf(batch, row, admission)?.kind === 'deferred') piece.movedTables.add(group.table.key);
    }
  }
  for (const [entry, group, admission] of answers) {
    const { batch } = entry;
    for (let row = group.firstRow; row >= 0; row = batch.nextRow[row] as number) {
      const verdict = batch.skip[row] === 0 ? verdictOf(batch, row, admission) : undefined;
      if (verdict?.kind !== 'rejected') continue;
      refuse(piece, entry, row, verdict);
    }
  }
  return undefined;
}

/**
 * Takes out the rows that the database can never hold. What this run accepted was checked before; what an earlier one
 * left may have been accepted for another database.
 */
export function refuseValues(piece: LogPiece, values: ValueRules | undefined): void {
  if (values === undefined) return;
  for (const entry of piece.entries) {
    checkValues(values, entry.batch, (row, verdict) => refuse(piece, entry, row, verdict));
  }
}

function refuse(piece: LogPiece, entry: LogEntry, row: number, verdict: Rejected): void {
  const { dead } = fateOf(piece, entry);
  const rows = dead.get(verdict);
  if (rows === undefined) dead.set(verdict, [row]);
  else rows.push(row);
  entry.batch.skipRow(row);
}

/** The database could not tell, so nothing is known of the table. */
function isUnanswered(verdict: Verdict | undefined): boolean {
  return (
    verdict?.kind === 'deferred' && (verdict.reason === 'database_down' || verdict.reason === 'overload')
  );
}

/**
 * Takes the rows of these tables (`tableKey`s) out: those of a table of which some were moved may not overtake them.
 * False when there are none.
 */
export function moveTables(piece: LogPiece, tables: ReadonlySet<string>): boolean {
  let found = false;
  for (const entry of piece.entries) {
    for (let g = 0; g < entry.batch.groupCount; g++) {
      const group = entry.batch.groups[g] as TableGroup;
      if (tables.has(group.table.key)) found = move(piece, entry, group) || found;
    }
  }
  return found;
}

/** Takes the rows of the group that were to be written; false when there are none. */
function move(piece: LogPiece, entry: LogEntry, group: TableGroup): boolean {
  const { batch } = entry;
  let found = false;
  for (let row = group.firstRow; row >= 0; row = batch.nextRow[row] as number) {
    if (batch.skip[row] !== 0) continue;
    addMoved(fateOf(piece, entry), batch, row);
    batch.skipRow(row);
    found = true;
  }
  if (found) piece.movedTables.add(group.table.key);
  return found;
}

/** The row waits in its table's lane. */
export function addMoved({ moved }: Fate, batch: PointBatch, row: number): void {
  const { table } = (batch.series[row] as Series).tagSet;
  const rows = moved.get(table.key)?.rows;
  if (rows !== undefined) rows.push(row);
  else moved.set(table.key, { table, rows: [row] });
}

function fateOf({ fates }: LogPiece, entry: LogEntry): Fate {
  let fate = fates.get(entry);
  if (fate === undefined) {
    fate = { moved: new Map(), dead: new Map() };
    fates.set(entry, fate);
  }
  return fate;
}
