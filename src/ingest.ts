/**
 * The one path of all transports: a parsed batch is admitted by the guard, table by table, and what may be written
 * goes to the flush queue in one piece; refused and deferred rows are marked and reported. Rows of healthy tables
 * are stored whatever happens to the others.
 */
import { GatewayError } from './errors.ts';
import type {
  Admission,
  AdmitContext,
  DeferReason,
  Guard,
  RejectReason,
  Verdict,
} from './model/admission.ts';
import { createBatchPool } from './model/batch-pool.ts';
import type { Ingest, IngestContext, IngestResult, RowRefusal } from './model/ingest.ts';
import { MAX_REFUSALS } from './model/ingest.ts';
import type { PointBatch, TableGroup } from './model/point-batch.ts';
import type { Field, Series } from './model/series.ts';
import { type ValueRules, WriteError } from './model/sink.ts';
import { tableKey } from './model/table.ts';

/** How often a batch is written before the rows of tables that are missing once more are held back. */
const MAX_ATTEMPTS = 3;
/** When to send again after the database failed; jittered. */
const RETRY_MS = 2_000;
const NO_PARTS: Admission['parts'] = new Map();

/** What ingest needs. */
export interface IngestDeps {
  readonly guard: Guard;
  /** Undefined: the database holds every value. */
  readonly values?: ValueRules | undefined;
  readonly flush: { write(batch: PointBatch): Promise<void> };
  readonly metrics: IngestMetrics;
  readonly random?: () => number;
}

/** What ingest counts. */
export interface IngestMetrics {
  rowsRejected(reason: RejectReason, rows: number): void;
  rowsDeferred(reason: DeferReason, rows: number): void;
}

/** One request on its way. `verdicts`: by row, once there is one. */
interface Submission {
  readonly batch: PointBatch;
  readonly context: AdmitContext;
  verdicts: (Verdict | undefined)[] | undefined;
}

type Deferred = Extract<Verdict, { kind: 'deferred' }>;

/** Makes the ingest path. How many bytes are in flight is bounded where they come in, by the transports. */
export function createIngest(deps: IngestDeps): Ingest {
  return new IngestPath(deps);
}

class IngestPath implements Ingest {
  private readonly deps: IngestDeps;
  private readonly pool = createBatchPool();
  /** All batches of a flush fail with one error, and what it says about tables is to be learnt once. */
  private learntFrom: WriteError | undefined;

  constructor(deps: IngestDeps) {
    this.deps = deps;
  }

  acquire(body: Uint8Array, database: string): PointBatch {
    return this.pool.acquire(body, database);
  }

  release(batch: PointBatch): void {
    this.pool.release(batch);
  }

  async submit(batch: PointBatch, context: IngestContext): Promise<IngestResult> {
    const { source, askedBy, signal } = context;
    const submission: Submission = {
      batch,
      context: { source, askedBy, signal, newTables: 0 },
      verdicts: undefined,
    };
    this.refuseValues(submission);
    await this.store(submission);
    if (submission.verdicts === undefined) {
      return { stored: batch.rows, rejected: 0, refusals: [], deferred: 0, deferral: undefined };
    }
    this.count(submission.verdicts);
    return summarise(batch, submission.verdicts);
  }

  /** Refuses the rows that the database can't hold whatever their table is. */
  private refuseValues(submission: Submission): void {
    const { batch } = submission;
    this.deps.values?.checkRows(batch, (row, message) => {
      batch.skipRow(row);
      const verdicts = verdictsOf(submission);
      verdicts[row] = { kind: 'rejected', reason: 'impossible_value', message };
    });
  }

  /** Writes what may be written; tables that turn out to be gone are admitted again. */
  private async store(submission: Submission): Promise<void> {
    const { batch } = submission;
    for (let attempt = 1; ; attempt++) {
      await this.admit(submission);
      if (batch.skipped === batch.rows) return;
      const error = await this.write(batch);
      if (error === undefined) return;
      if (error instanceof GatewayError) return hold(submission, this.defer('overload', error.message));
      const { failure } = error;
      const down = this.defer('database_down', error.message);
      if (failure.tables === undefined) return hold(submission, down);
      this.learn(error);
      if (failure.kind === 'missing' && attempt < MAX_ATTEMPTS) continue;
      const held = batch.skipped;
      const tables = new Set(failure.tables.map(tableKey));
      const vanishing = this.defer('ddl_pending', 'the table vanishes as soon as it is made');
      hold(submission, failure.kind === 'missing' ? vanishing : down, tables);
      if (batch.skipped === held) return hold(submission, down);
    }
  }

  /** Answers the failures after which a sender should try again. */
  private async write(batch: PointBatch): Promise<WriteError | GatewayError | undefined> {
    try {
      await this.deps.flush.write(batch);
      return undefined;
    } catch (error) {
      if (error instanceof WriteError) return error;
      if (error instanceof GatewayError && error.code === 'overload') return error;
      throw error;
    }
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
    const { batch, context } = submission;
    const { guard } = this.deps;
    const pending: Promise<void>[] = [];
    for (let g = 0; g < batch.groupCount; g++) {
      const group = batch.groups[g] as TableGroup;
      if (guard.isReady(group) || !batch.hasRows(group)) continue;
      const refusal = guard.recall(group);
      if (refusal !== undefined) apply(submission, group, refusal);
      else pending.push(guard.admit(group, context).then((admission) => apply(submission, group, admission)));
    }
    if (pending.length === 0) return;
    for (const ended of await Promise.allSettled(pending)) {
      if (ended.status === 'rejected') throw ended.reason;
    }
  }

  private count(verdicts: readonly (Verdict | undefined)[]): void {
    const { metrics } = this.deps;
    const rejected = new Map<RejectReason, number>();
    const deferred = new Map<DeferReason, number>();
    for (const verdict of verdicts) {
      if (verdict?.kind === 'rejected') rejected.set(verdict.reason, (rejected.get(verdict.reason) ?? 0) + 1);
      else if (verdict !== undefined) deferred.set(verdict.reason, (deferred.get(verdict.reason) ?? 0) + 1);
    }
    for (const [reason, rows] of rejected) metrics.rowsRejected(reason, rows);
    for (const [reason, rows] of deferred) metrics.rowsDeferred(reason, rows);
  }

  private defer(reason: DeferReason, message: string): Deferred {
    const { random = Math.random } = this.deps;
    return { kind: 'deferred', reason, message, retryAfterMs: Math.round(RETRY_MS * (0.5 + random())) };
  }
}

/** Holds back what is left of the batch, or of these tables (`tableKey`s). */
function hold(submission: Submission, verdict: Deferred, tables?: ReadonlySet<string>): void {
  const { batch } = submission;
  for (let g = 0; g < batch.groupCount; g++) {
    const group = batch.groups[g] as TableGroup;
    if (tables === undefined || tables.has(group.table.key)) {
      apply(submission, group, { refused: verdict, parts: NO_PARTS });
    }
  }
}

/** Marks the rows of a group that the admission keeps out. */
function apply(submission: Submission, group: TableGroup, { refused, parts }: Admission): void {
  if (refused === undefined && parts.size === 0) return;
  const { batch } = submission;
  const verdicts = verdictsOf(submission);
  for (let row = group.firstRow; row >= 0; row = batch.nextRow[row] as number) {
    if (batch.skip[row] !== 0) continue;
    const verdict = refused ?? partVerdict(batch, row, parts);
    if (verdict === undefined) continue;
    batch.skipRow(row);
    verdicts[row] = verdict;
  }
}

function verdictsOf(submission: Submission): (Verdict | undefined)[] {
  const verdicts = (submission.verdicts ??= []);
  // A table may have its first row anywhere, and an array that grows by leaps becomes a hash table.
  verdicts.length = submission.batch.rows;
  return verdicts;
}

/** The first verdict on a part of the row; a permanent one counts more, for the row can never pass. */
function partVerdict(batch: PointBatch, row: number, parts: Admission['parts']): Verdict | undefined {
  let found = parts.get((batch.series[row] as Series).tagSet);
  const end = batch.firstCell[row + 1] as number;
  for (let cell = batch.firstCell[row] as number; cell < end && found?.kind !== 'rejected'; cell++) {
    const verdict = parts.get(batch.cellField[cell] as Field);
    if (found === undefined || verdict?.kind === 'rejected') found = verdict;
  }
  return found;
}

function summarise(batch: PointBatch, verdicts: readonly (Verdict | undefined)[]): IngestResult {
  const refusals: RowRefusal[] = [];
  let rejected = 0;
  let deferral: Deferred | undefined;
  for (let row = 0; row < batch.rows; row++) {
    const verdict = verdicts[row];
    if (verdict?.kind === 'deferred') deferral ??= verdict;
    if (verdict?.kind !== 'rejected') continue;
    rejected++;
    if (refusals.length === MAX_REFUSALS) continue;
    refusals.push({ offset: batch.offset[row] as number, reason: verdict.reason, message: verdict.message });
  }
  return {
    stored: batch.rows - batch.skipped,
    rejected,
    refusals,
    deferred: batch.skipped - rejected,
    deferral:
      deferral === undefined
        ? undefined
        : { reason: deferral.reason, message: deferral.message, retryAfterMs: deferral.retryAfterMs },
  };
}
