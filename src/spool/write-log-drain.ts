/**
 * Writes entries of the log to the database, all of them in one piece, and then takes them off the disk. Rows that the
 * database does not take stay in order: those of a table that is not ready, or at odds with the database, move to its
 * lane with the numbers they have, those refused for good or impossible go to the dead letter, and while the database
 * fails the same rows are tried again.
 * Ends when all is done or `signal` aborts; then the rows stay on disk. Used by write-log.ts.
 */
import type { Admission } from '../model/admission.ts';
import type { PointBatch, TableGroup } from '../model/point-batch.ts';
import { WriteError, type WriteFailure } from '../model/sink.ts';
import type { NewRecord, RecordRef, SpoolCommit } from '../model/spool.ts';
import { LOG_LANE } from '../model/spool.ts';
import { tableKey } from '../model/table.ts';
import { unlessAborted } from '../util/abort.ts';
import { exponentialMs, jitterMs } from '../util/backoff.ts';
import {
  addMoved,
  applyVerdicts,
  type Fate,
  type LogPiece,
  moveTables,
  refuseValues,
} from './write-log-piece.ts';
import type { LogEntry, WriteLogDeps } from './write-log-types.ts';

/** How often rows are written before those of a table that is missing once more move to its lane. */
const MAX_ATTEMPTS = 3;
/** How long to look for a table; if it is not there by then, its rows move. */
const LOOK_MS = 1_000;
const MIN_RETRY_MS = 500;
const MAX_RETRY_MS = 10_000;

/** See the module comment. */
export interface LogDrain {
  /**
   * Resolves when the entries are off the log; may be called again when it failed.
   * @throws the reason of the piece's signal, and what nobody foresaw
   */
  drain(piece: LogPiece): Promise<SpoolCommit>;
  /** Why the database does not take rows at the moment. */
  readonly stalled: string | undefined;
}

/** Makes the drain of a log. */
export function createLogDrain(deps: WriteLogDeps): LogDrain {
  return new Drain(deps);
}

class Drain implements LogDrain {
  stalled: string | undefined;
  private readonly deps: WriteLogDeps;

  constructor(deps: WriteLogDeps) {
    this.deps = deps;
  }

  async drain(piece: LogPiece): Promise<SpoolCommit> {
    const { entries, signal } = piece;
    const batches = entries.map(({ batch }) => batch);
    let failures = 0;
    let misses = 0;
    refuseValues(piece, this.deps.values);
    for (;;) {
      signal.throwIfAborted();
      let failure = await this.admit(piece);
      if (failure === undefined) {
        const error = await this.write(batches, signal);
        if (error === undefined) break;
        if (error instanceof WriteError) {
          if (error.failure.kind === 'missing') misses++;
          if (this.learn(piece, error.failure, misses >= MAX_ATTEMPTS)) continue;
        }
        failure = error.message;
      }
      await this.backOff(failure, ++failures, signal);
    }
    this.stalled = undefined;
    return await this.finish(piece);
  }

  /** Answers the failure. */
  private async write(batches: readonly PointBatch[], signal: AbortSignal): Promise<Error | undefined> {
    if (batches.every((batch) => batch.skipped === batch.rows)) return undefined;
    try {
      await unlessAborted(this.deps.flush.writeAll(batches), signal);
      return undefined;
    } catch (error) {
      signal.throwIfAborted();
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  /** True when the rows, or those of other tables, can be tried again at once. */
  private learn(piece: LogPiece, failure: WriteFailure, missedTooOften: boolean): boolean {
    if (failure.tables === undefined) return false;
    if (failure.kind === 'missing') {
      for (const { database, table } of failure.tables) this.deps.guard.invalidate({ database, name: table });
      if (!missedTooOften) return true;
    }
    // A table that fails for a reason of its own may do so for long, and all others would wait for it.
    return moveTables(piece, new Set(failure.tables.map(tableKey)));
  }

  /** Takes out what may not be written. Answers why nothing can be found out about the tables now. */
  private async admit(piece: LogPiece): Promise<string | undefined> {
    const { guard, parking } = this.deps;
    const asked: Promise<readonly [LogEntry, TableGroup, Admission]>[] = [];
    for (const entry of piece.entries) {
      const { source, askedBy } = entry.head;
      const context = { source, askedBy, newTables: 0, signal: piece.signal, waitMs: LOOK_MS };
      const { batch } = entry;
      for (let g = 0; g < batch.groupCount; g++) {
        const group = batch.groups[g] as TableGroup;
        if (parking.holds(group.table)) piece.movedTables.add(group.table.key);
        if (guard.isReady(group) || !batch.hasRows(group)) continue;
        asked.push(guard.admit(group, context).then((admission) => [entry, group, admission]));
      }
    }
    const failure = asked.length === 0 ? undefined : applyVerdicts(piece, await Promise.all(asked));
    if (failure === undefined && piece.movedTables.size > 0) moveTables(piece, piece.movedTables);
    return failure;
  }

  private async backOff(failure: string, failures: number, signal: AbortSignal): Promise<void> {
    const { clock, logger, metrics, random, sampler } = this.deps;
    this.stalled = failure;
    metrics.retried();
    sampler.sample('write log', (suppressed) =>
      logger.warn({ reason: failure, failures, suppressed }, 'the log can not be written to the database'),
    );
    await clock.sleep(jitterMs(exponentialMs(MIN_RETRY_MS, MAX_RETRY_MS, failures), 0.2, random), signal);
  }

  /** Takes the piece off the log; what was moved comes into its lane by the same change. */
  private async finish(piece: LogPiece): Promise<SpoolCommit> {
    for (const [entry, fate] of piece.fates) await this.bury(piece, entry, fate);
    const append = [...piece.fates].flatMap(([entry, fate]) => this.movedRecords(entry, fate));
    const records = piece.entries.flatMap((entry) => entry.records);
    const commit = await this.commit(append, records, piece.signal);
    this.count(piece);
    for (const { lane } of append) if (typeof lane === 'object') this.deps.onLane(tableKey(lane));
    return commit;
  }

  /** A disk that fails takes no records; until it does again, the rows stay where they are. */
  private async commit(
    append: readonly NewRecord[],
    records: readonly RecordRef[],
    signal: AbortSignal,
  ): Promise<SpoolCommit> {
    const remove = [{ lane: LOG_LANE, records }];
    if (append.length === 0) return this.deps.disk.commit({ remove });
    for (let failures = 1; ; failures++) {
      try {
        const commit = this.deps.disk.commit({ append, remove });
        await commit.done;
        return commit;
      } catch (error) {
        await this.backOff(error instanceof Error ? error.message : String(error), failures, signal);
      }
    }
  }

  /** What the dead letter does not take waits in its table's lane. */
  private async bury(piece: LogPiece, entry: LogEntry, fate: Fate): Promise<void> {
    const { deadLetter, logger, sampler } = this.deps;
    for (const [verdict, rows] of fate.dead) {
      rows.sort((a, b) => a - b);
      const { message } = verdict;
      try {
        await deadLetter.add({ ...entry.head, batch: entry.batch, rows, reason: 'rejected', message });
      } catch (error) {
        sampler.sample('write log dead letter', (suppressed) =>
          logger.warn({ err: error, suppressed }, 'the dead letter took no rows; they are parked'),
        );
        for (const row of rows) addMoved(fate, entry.batch, row);
        fate.dead.delete(verdict);
      }
      piece.signal.throwIfAborted();
    }
  }

  private movedRecords(entry: LogEntry, fate: Fate): NewRecord[] {
    const { encoder } = this.deps;
    const records: NewRecord[] = [];
    for (const { table, rows } of fate.moved.values()) {
      const { database, name } = table;
      const lane = { tenant: database, database, table: name };
      rows.sort((a, b) => a - b);
      // A part never is larger than the whole, so there are not more records than there were.
      for (const [index, { bytes, rows: count }] of encoder.encode(entry.batch, rows, entry.head).entries()) {
        const { seq } = entry.records[Math.min(index, entry.records.length - 1)] as RecordRef;
        records.push({ lane, seq, rows: count, atMs: entry.head.atMs, bytes });
      }
    }
    return records;
  }

  private count({ entries, fates }: LogPiece): void {
    let written = 0;
    for (const { batch } of entries) written += batch.rows - batch.skipped;
    if (written > 0) this.deps.metrics.left('database', written);
    for (const { moved, dead } of fates.values()) {
      for (const { rows } of moved.values()) this.deps.metrics.left('lane', rows.length);
      for (const rows of dead.values()) this.deps.metrics.left('dead_letter', rows.length);
    }
  }
}
