/**
 * The one path of all transports: a parsed batch is admitted by the guard, table by table; what may be written goes to
 * the log or to the database in one piece, what has to wait is parked beside it, and only what could not be kept is
 * reported to be sent again. Rows of healthy tables are stored whatever happens to the others. Rows of a table of which
 * earlier ones are parked join them.
 */
import { GatewayError } from './errors.ts';
import { type Deferred, Submission, type VerdictCounts } from './ingest/submission.ts';
import type { DeferReason, Guard } from './model/admission.ts';
import type { BatchPool } from './model/batch-pool.ts';
import type { Clock } from './model/clock.ts';
import type { Ingest, IngestContext, IngestResult, RefusedCreates } from './model/ingest.ts';
import type { PointBatch, TableGroup } from './model/point-batch.ts';
import { checkValues } from './model/row-verdict.ts';
import { type ValueRules, WriteError, type WriteFailure } from './model/sink.ts';
import type { DeadLetter, Parking, WriteLog } from './model/spool.ts';
import { tableKey } from './model/table.ts';
import { withTimeLimit } from './util/abort.ts';

/** How often a batch is written before the rows of tables that are missing once more are held back. */
const MAX_ATTEMPTS = 3;
/** How often, a retry time apart, rows are offered of a sender who can't be told to come again. */
const MAX_UNTOLD_ATTEMPTS = 30;
/** When to send again after the database failed; jittered. */
const RETRY_MS = 2_000;

/** What ingest needs. */
export interface IngestDeps {
  readonly guard: Guard;
  /** Undefined: the database holds every value. */
  readonly values?: ValueRules | undefined;
  readonly batches: BatchPool;
  readonly flush: { write(batch: PointBatch): Promise<void> };
  readonly parking: Parking;
  /** Rows that have to wait may be parked, unless their sender wants storage's own acknowledgement. */
  readonly parks: boolean;
  /** Undefined: there is none. */
  readonly log: (WriteLog & { readonly isEmpty: boolean }) | undefined;
  /** Which of both acknowledges; `log` needs one. */
  readonly ack: 'log' | 'database';
  /** Gets a copy of the rows that are refused for good; undefined: nobody does. */
  readonly rejects: DeadLetter | undefined;
  /** Gets the rows that were not taken of senders who can't be told; undefined: there is none. */
  readonly untold: DeadLetter | undefined;
  readonly clock: Pick<Clock, 'wallNow' | 'sleep'>;
  /** How long a write waits for what the log acknowledged before it. */
  readonly drainTimeoutMs: number;
  readonly metrics: IngestMetrics;
  readonly refusedCreates: RefusedCreates;
  readonly random?: () => number;
}

/** What ingest counts. */
export type IngestMetrics = VerdictCounts;

/** Makes the ingest path. How many bytes are in flight is bounded where they come in, by the transports. */
export function createIngest(deps: IngestDeps): Ingest {
  return new IngestPath(deps);
}

class IngestPath implements Ingest {
  private readonly deps: IngestDeps;
  /** All batches of a flush fail with one error, and what it says about tables is to be learnt once. */
  private learntFrom: WriteError | undefined;

  constructor(deps: IngestDeps) {
    this.deps = deps;
  }

  acquire(body: Uint8Array, database: string): PointBatch {
    return this.deps.batches.acquire(body, database);
  }

  release(batch: PointBatch): void {
    this.deps.batches.release(batch);
  }

  async submit(batch: PointBatch, context: IngestContext): Promise<IngestResult> {
    const { source, askedBy, signal, sync, tenant, mayCreate } = context;
    const head = { source, askedBy, atMs: this.deps.clock.wallNow() };
    const submission = new Submission(
      batch,
      { source, askedBy, signal, tenant, mayCreate, newTables: 0 },
      head,
      this.deps.parks && !sync,
    );
    // First of all, so that nothing is acknowledged that can never be stored.
    checkValues(this.deps.values, batch, (row, verdict) => submission.refuse(row, verdict));
    const parking: Promise<void>[] = [];
    try {
      await this.store(submission, context, parking);
    } finally {
      // Also when the rest failed: what is being parked still reads the batch.
      if (parking.length > 0) await Promise.all(parking);
    }
    if (submission.isWhole) return submission.result();
    const { rejects, untold } = this.deps;
    if (context.tellable === false) await this.keepUntold(submission, untold);
    else if (rejects !== undefined) await this.copyRejected(submission, rejects);
    submission.count(this.deps.metrics, this.deps.refusedCreates);
    return submission.result();
  }

  /** Writes what may be written; tables that turn out to be gone are admitted again. */
  private async store(
    submission: Submission,
    { sync, allOrNothing, tellable, signal }: IngestContext,
    parking: Promise<void>[],
  ): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      await this.admit(submission);
      if (allOrNothing === true) submission.refuseAll();
      this.park(submission, parking);
      if (submission.isEmpty) return;
      const error = await this.write(submission, sync);
      if (error === undefined) return;
      if (error instanceof GatewayError) {
        if (tellable === false && attempt < MAX_UNTOLD_ATTEMPTS) {
          await this.deps.clock.sleep(RETRY_MS, signal);
          continue;
        }
        const reason = error.code === 'overload' ? 'overload' : 'spool_failing';
        return submission.hold(this.defer(reason, error.message), false);
      }
      this.learn(error);
      if (error.failure.kind === 'missing' && attempt < MAX_ATTEMPTS) continue;
      if (this.holdTables(submission, error.failure)) continue;
      submission.hold(this.defer('database_down', error.message), true);
      return this.park(submission, parking);
    }
  }

  /** Answers the failures after which a sender should try again, or rows be parked. */
  private async write(
    { batch, head, context }: Submission,
    sync: boolean,
  ): Promise<WriteError | GatewayError | undefined> {
    const { ack, flush, log } = this.deps;
    try {
      if (log !== undefined && ack === 'log' && !sync) await log.write(batch, head);
      else {
        // What was acknowledged before has to be written before.
        if (log?.isEmpty === false) await this.drained(log, context.signal);
        await flush.write(batch);
      }
      return undefined;
    } catch (error) {
      if (error instanceof WriteError) return error;
      if (error instanceof GatewayError && error.code !== 'closed') return error;
      throw error;
    }
  }

  /** @throws {WriteError} transient when the database is too far behind */
  private async drained(log: WriteLog, signal: AbortSignal): Promise<void> {
    const { clock, drainTimeoutMs: limitMs } = this.deps;
    const message = 'the database does not have earlier rows yet';
    const late = (): Error => new WriteError({ kind: 'transient', code: 'timeout', message });
    await withTimeLimit(signal, { limitMs, clock, late }, (limited) => log.drained(limited));
  }

  /** Holds back what is left of the tables at fault, if it is only they that are; false: nothing is. */
  private holdTables(submission: Submission, failure: WriteFailure): boolean {
    if (failure.tables === undefined) return false;
    const { batch } = submission;
    const held = batch.skipped;
    const verdict =
      failure.kind === 'missing'
        ? this.defer('ddl_pending', 'the table vanishes as soon as it is made')
        : this.defer('database_down', failure.message);
    submission.hold(verdict, true, new Set(failure.tables.map(tableKey)));
    return batch.skipped > held;
  }

  private learn(error: WriteError): void {
    if (this.learntFrom === error || error.failure.kind !== 'missing') return;
    this.learntFrom = error;
    for (const { database, table } of error.failure.tables) {
      this.deps.guard.invalidate({ database, name: table });
    }
  }

  /**
   * Asks the guard about every table that is not known; marks the rows that may not be written. A request that is
   * aborted ends only when no answer can come that would touch its batch.
   */
  private async admit(submission: Submission): Promise<void> {
    const { batch } = submission;
    const { guard, parking } = this.deps;
    let pending: Promise<void>[] | undefined;
    for (let g = 0; g < batch.groupCount; g++) {
      const group = batch.groups[g] as TableGroup;
      const held = parking.holds(group.table);
      if ((!held && guard.isReady(group)) || !batch.hasRows(group)) continue;
      const asked = this.admitGroup(submission, group, held);
      if (asked !== undefined) (pending ??= []).push(asked);
    }
    if (pending === undefined) return;
    for (const ended of await Promise.allSettled(pending)) {
      if (ended.status === 'rejected') throw ended.reason;
    }
    // Meanwhile others may have parked rows.
    for (let g = 0; g < batch.groupCount; g++) {
      const group = batch.groups[g] as TableGroup;
      if (parking.holds(group.table)) submission.applyToHeld(group, undefined, this.held());
    }
  }

  /** Resolves, or answers undefined, once the group's rows are marked. */
  private admitGroup(submission: Submission, group: TableGroup, held: boolean): Promise<void> | undefined {
    const { guard } = this.deps;
    const { context } = submission;
    const ready = held && guard.isReady(group) ? NOTHING_REFUSED : guard.recall(group);
    if (!held) {
      if (ready !== undefined) return submission.apply(group, ready) as undefined;
      return guard.admit(group, context).then((admission) => submission.apply(group, admission));
    }
    if (ready !== undefined) return submission.applyToHeld(group, ready, this.held()) as undefined;
    const impatient = { ...context, waitMs: 0 };
    return guard
      .admit(group, impatient)
      .then((admission) => submission.applyToHeld(group, admission, this.held()));
  }

  /** Begins to park what is to be parked. */
  private park(submission: Submission, parking: Promise<void>[]): void {
    const rows = submission.takeToPark();
    if (rows.length === 0) return;
    parking.push(
      this.deps.parking
        .park(submission.batch, rows, submission.head)
        .then(({ parked }) => submission.markParked(parked)),
    );
  }

  /** The senders are told anyway, so a dead letter that takes nothing changes nothing; it counts that itself. */
  private async copyRejected(submission: Submission, rejects: DeadLetter): Promise<void> {
    const { batch, head } = submission;
    for (const [{ message }, rows] of submission.rejected()) {
      await rejects.add({ ...head, batch, rows, reason: 'rejected', message }).catch(() => undefined);
    }
  }

  /** What can't be kept either is counted there as lost, and here by its verdict. */
  private async keepUntold(submission: Submission, untold: DeadLetter | undefined): Promise<void> {
    if (untold === undefined) return;
    await this.copyRejected(submission, untold);
    const { batch, head } = submission;
    for (const [{ message }, rows] of submission.heldBack()) {
      await untold.add({ ...head, batch, rows, reason: 'full', message }).catch(() => undefined);
    }
  }

  private held(): Deferred {
    return this.defer('parked', 'earlier rows of this table wait on disk');
  }

  private defer(reason: DeferReason, message: string): Deferred {
    const { random = Math.random } = this.deps;
    return { kind: 'deferred', reason, message, retryAfterMs: Math.round(RETRY_MS * (0.5 + random())) };
  }
}

const NOTHING_REFUSED = { refused: undefined, parts: new Map() };
