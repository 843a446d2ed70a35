/**
 * Writes the first records of a lane to the database: decodes them, asks the guard, writes what may be written, and
 * buries what never may. Says how many records are done with, and why not more. First the database gets its rows, then
 * the dead letter: writing rows again does no harm, burying them again would leave them there twice. Nothing here
 * removes records; that is the caller's, afterwards. Used by lane-drainer.ts.
 */
import { GatewayError } from '../errors.ts';
import type { Admission, Verdict } from '../model/admission.ts';
import type { PointBatch, TableGroup } from '../model/point-batch.ts';
import { checkValues } from '../model/row-verdict.ts';
import type { Table } from '../model/series.ts';
import { WriteError } from '../model/sink.ts';
import type { StoredRecord } from '../model/spool.ts';
import { unlessAborted } from '../util/abort.ts';
import { type DeadPart, type LanePiece, type PiecePlan, planExpired, planPiece } from './lane-piece.ts';
import type { LaneDrainerDeps, LaneDrainerOptions } from './lane-types.ts';
import { decode } from './record-decode.ts';
import { RecordError } from './record-reader.ts';

/** What is next for the lane. */
export type LaneNext =
  | { readonly kind: 'more' }
  /** Its table, or a part of it, is not ready. `databaseDown`: nobody could tell. */
  | {
      readonly kind: 'deferred';
      readonly retryAfterMs: number;
      readonly message: string;
      readonly databaseDown: boolean;
    }
  /** The database takes no rows. */
  | { readonly kind: 'down'; readonly message: string }
  /** The table vanished. */
  | { readonly kind: 'missing' }
  /** The database takes rows, but none of this table. */
  | { readonly kind: 'faulty'; readonly message: string }
  /** Too much waits to be written. */
  | { readonly kind: 'busy' }
  | { readonly kind: 'dead_letter_failed'; readonly error: unknown };

/** How far it came. */
export interface LaneProgress {
  /** So many of the records given, the first ones, can be removed. */
  readonly done: number;
  /** The database took rows. */
  readonly wrote: boolean;
  readonly next: LaneNext;
}

/** Signals of the drainer's end. */
export interface LaneSignals {
  /** Nothing new is to be begun. */
  readonly closing: AbortSignal;
  /** What is under way is not waited for any more. */
  readonly abandoned: AbortSignal;
}

/** See the module comment. */
export interface LaneWriter {
  /** Batches that it has given to the flush queue. */
  readonly writing: number;
  /**
   * Never twice at a time for one lane. `waitMs`: how long to wait for the table.
   * @throws the signals' reasons
   */
  write(records: readonly StoredRecord[], waitMs: number): Promise<LaneProgress>;
}

/** Rows in one batch: decoding one takes about 2 µs, and meanwhile nothing else happens. */
const MAX_ROWS = 5_000;
const MORE: LaneNext = { kind: 'more' };
const NONE = new Uint8Array(0);

/** Makes a writer for all lanes. */
export function createLaneWriter(
  options: Pick<LaneDrainerOptions, 'expireAfterMs'>,
  deps: LaneDrainerDeps,
  signals: LaneSignals,
): LaneWriter {
  return new Writer(options, deps, signals);
}

class Writer implements LaneWriter {
  writing = 0;
  private readonly expireAfterMs: number;
  private readonly deps: LaneDrainerDeps;
  private readonly signals: LaneSignals;

  constructor(
    { expireAfterMs }: Pick<LaneDrainerOptions, 'expireAfterMs'>,
    deps: LaneDrainerDeps,
    signals: LaneSignals,
  ) {
    this.expireAfterMs = expireAfterMs;
    this.deps = deps;
    this.signals = signals;
  }

  async write(records: readonly StoredRecord[], waitMs: number): Promise<LaneProgress> {
    const { batches } = this.deps;
    const batch = batches.acquire(NONE, '');
    const piece = this.decode(records, batch);
    if ('message' in piece) {
      batches.release(batch);
      return await this.bury(records[0] as StoredRecord, piece.message);
    }
    const progress = await this.writePiece(piece, waitMs);
    // Not when it was abandoned: the flush queue may have it still.
    batches.release(batch);
    return progress;
  }

  /** As many records as can be read; the message of why the first one can't. */
  private decode(
    records: readonly StoredRecord[],
    batch: PointBatch,
  ): LanePiece | { readonly message: string } {
    let readable: Uint8Array[] = [];
    for (const { data } of records) {
      if (data === undefined) break;
      readable.push(data);
    }
    while (readable.length > 0) {
      try {
        return { batch, ...decode(readable, batch, this.deps.interner, MAX_ROWS) };
      } catch (error) {
        if (!(error instanceof RecordError)) throw error;
        if (error.record === 0) return { message: error.message };
        readable = readable.slice(0, error.record);
      }
    }
    return { message: 'the checksum is wrong' };
  }

  private async bury({ seq, raw }: StoredRecord, message: string): Promise<LaneProgress> {
    const { deadLetter, logger, metrics, sampler } = this.deps;
    sampler.sample('replay unreadable', (suppressed) =>
      logger.error({ seq, reason: message, suppressed }, 'a parked record can not be read'),
    );
    try {
      await unlessAborted(deadLetter.addRaw(raw, message), this.signals.abandoned);
    } catch (error) {
      this.signals.abandoned.throwIfAborted();
      return { done: 0, wrote: false, next: { kind: 'dead_letter_failed', error } };
    }
    metrics.dead('unreadable', 1);
    return { done: 1, wrote: false, next: MORE };
  }

  private async writePiece(piece: LanePiece, waitMs: number): Promise<LaneProgress> {
    const { batch } = piece;
    const admissions = await this.admit(piece, waitMs);
    // They were checked when they came, but perhaps for another database.
    const impossible = new Map<number, Verdict>();
    checkValues(this.deps.values, batch, (row, verdict) => impossible.set(row, verdict));
    const plan = planPiece(piece, { admissions, impossible }, (atMs) => this.isExpired(atMs));
    const rows = batch.rows - batch.skipped;
    const failure = rows === 0 ? undefined : await this.flush(batch);
    if (failure?.kind === 'faulty') return await this.expire(piece, plan, failure);
    if (failure !== undefined) return { done: 0, wrote: false, next: failure };
    const buried = await this.buryRows(piece, plan.dead);
    const done = Math.min(plan.records, buried.records);
    if (rows > 0) this.deps.metrics.replayed(countWritten(piece, done));
    return { done, wrote: rows > 0, next: buried.failure ?? deferral(plan.deferred) ?? MORE };
  }

  /** Rows that a ready table does not take wait no longer than those of one that is not ready. */
  private async expire(
    piece: LanePiece,
    plan: PiecePlan,
    failure: Extract<LaneNext, { kind: 'faulty' }>,
  ): Promise<LaneProgress> {
    const { records, dead } = planExpired(piece, plan, {
      ...failure,
      isExpired: (atMs) => this.isExpired(atMs),
    });
    const buried = await this.buryRows(piece, dead);
    return { done: Math.min(records, buried.records), wrote: false, next: buried.failure ?? failure };
  }

  /** Answers for the tables that are not ready; a lane has one table, of which there may be two objects. */
  private async admit({ batch, head }: LanePiece, waitMs: number): Promise<ReadonlyMap<Table, Admission>> {
    const { guard } = this.deps;
    const { source, askedBy } = head;
    const context = { source, askedBy, newTables: 0, signal: this.signals.closing, waitMs };
    const admissions = new Map<Table, Admission>();
    for (let g = 0; g < batch.groupCount; g++) {
      const group = batch.groups[g] as TableGroup;
      if (guard.isReady(group)) continue;
      admissions.set(group.table, guard.recall(group) ?? (await guard.admit(group, context)));
    }
    return admissions;
  }

  /** Answers why the rows were not written. */
  private async flush(batch: PointBatch): Promise<LaneNext | undefined> {
    this.signals.closing.throwIfAborted();
    const { flush, guard } = this.deps;
    this.writing++;
    try {
      await unlessAborted(flush.write(batch), this.signals.abandoned);
      return undefined;
    } catch (error) {
      this.signals.abandoned.throwIfAborted();
      if (error instanceof GatewayError && error.code === 'overload') return { kind: 'busy' };
      if (!(error instanceof WriteError)) throw error;
      const { failure } = error;
      if (failure.kind !== 'missing') {
        return { kind: failure.tables === undefined ? 'down' : 'faulty', message: failure.message };
      }
      for (const { database, table } of failure.tables) guard.invalidate({ database, name: table });
      return { kind: 'missing' };
    } finally {
      this.writing--;
    }
  }

  /** Answers how many of the first records have their rows in the dead letter, as far as they have to go there. */
  private async buryRows(
    { batch, heads }: LanePiece,
    dead: readonly DeadPart[],
  ): Promise<{ readonly records: number; readonly failure: LaneNext | undefined }> {
    const { deadLetter, logger, metrics, sampler } = this.deps;
    const added = dead.map(({ record, reason, message, rows }) => {
      const head = heads[record] as LanePiece['head'];
      return deadLetter.add({ ...head, batch, rows, reason, message });
    });
    // All at once share a sync.
    const ends = await unlessAborted(Promise.allSettled(added), this.signals.abandoned);
    for (const [i, end] of ends.entries()) {
      const { record, reason, message, rows } = dead[i] as DeadPart;
      if (end.status === 'rejected') {
        return { records: record, failure: { kind: 'dead_letter_failed', error: end.reason } };
      }
      metrics.dead(reason, rows.length);
      sampler.sample(`replay ${reason}`, (suppressed) =>
        logger.warn({ rows: rows.length, reason: message, suppressed }, `parked rows were ${reason}`),
      );
    }
    return { records: heads.length, failure: undefined };
  }

  private isExpired(atMs: number): boolean {
    return this.expireAfterMs > 0 && this.deps.clock.wallNow() - atMs > this.expireAfterMs;
  }
}

function deferral(verdict: ReturnType<typeof planPiece>['deferred']): LaneNext | undefined {
  if (verdict === undefined) return undefined;
  const { reason, retryAfterMs, message } = verdict;
  return { kind: 'deferred', retryAfterMs, message, databaseDown: reason === 'database_down' };
}

/** Rows of the first records that were written. */
function countWritten({ batch, rowEnds }: LanePiece, records: number): number {
  const end = records === 0 ? 0 : (rowEnds[records - 1] as number);
  let rows = 0;
  for (let row = 0; row < end; row++) if (batch.skip[row] === 0) rows++;
  return rows;
}
