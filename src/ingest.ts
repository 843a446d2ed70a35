/**
 * The one path of all transports: a parsed batch is admitted by the guard, table by table, and what may be written
 * goes to the flush queue in one piece; refused and deferred rows are marked and reported. Rows of healthy tables
 * are stored whatever happens to the others.
 */
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
import type { Field } from './model/series.ts';
import { WriteError } from './model/sink.ts';

/** How often a batch is admitted anew because the database said that a table or column is gone. */
const MAX_ATTEMPTS = 3;
/** When to send again after the database failed; jittered. */
const RETRY_MS = 2_000;

/** What ingest needs. */
export interface IngestDeps {
  readonly guard: Guard;
  readonly flush: { write(batch: PointBatch): Promise<void> };
  readonly metrics: IngestMetrics;
  readonly random?: () => number;
}

/** What ingest counts. */
export interface IngestMetrics {
  rowsRejected(reason: RejectReason, rows: number): void;
  rowsDeferred(reason: DeferReason, rows: number): void;
}

type Verdicts = (Verdict | undefined)[];

/** Makes the ingest path. How many bytes are in flight is bounded where they come in, by the transports. */
export function createIngest(deps: IngestDeps): Ingest {
  return new IngestPath(deps);
}

class IngestPath implements Ingest {
  private readonly deps: IngestDeps;
  private readonly pool = createBatchPool();

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
    const verdicts: Verdicts = [];
    await this.store(batch, { source, askedBy, signal, newTables: 0 }, verdicts);
    if (batch.skipped === 0) {
      return { stored: batch.rows, rejected: 0, refusals: [], deferred: 0, deferral: undefined };
    }
    this.count(verdicts);
    return summarise(batch, verdicts);
  }

  /** Writes what may be written; tables that turn out to be gone are admitted again. */
  private async store(batch: PointBatch, context: AdmitContext, verdicts: Verdicts): Promise<void> {
    const { guard, flush } = this.deps;
    for (let attempt = 1; ; attempt++) {
      await this.admit(batch, context, verdicts);
      if (batch.skipped === batch.rows) return;
      try {
        await flush.write(batch);
        return;
      } catch (error) {
        if (!(error instanceof WriteError)) throw error;
        const { failure } = error;
        if (failure.kind !== 'missing') return this.deferRest(batch, verdicts, failure.message);
        if (attempt === MAX_ATTEMPTS)
          return this.deferRest(batch, verdicts, 'tables vanish as soon as they are made');
        for (const { database, table } of failure.tables) guard.invalidate({ database, name: table });
      }
    }
  }

  /** Asks the guard about every table that is not known; marks and reports the rows that may not be written. */
  private async admit(batch: PointBatch, context: AdmitContext, verdicts: Verdicts): Promise<void> {
    const { guard } = this.deps;
    const pending: Promise<void>[] = [];
    for (let g = 0; g < batch.groupCount; g++) {
      const group = batch.groups[g] as TableGroup;
      if (guard.isReady(group)) continue;
      pending.push(guard.admit(group, context).then((admission) => apply(batch, group, admission, verdicts)));
    }
    if (pending.length > 0) await Promise.all(pending);
  }

  private count(verdicts: Verdicts): void {
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

  private deferRest(batch: PointBatch, verdicts: Verdicts, message: string): void {
    const { random = Math.random } = this.deps;
    const retryAfterMs = Math.round(RETRY_MS * (0.5 + random()));
    const verdict: Verdict = { kind: 'deferred', reason: 'database_down', message, retryAfterMs };
    for (let row = 0; row < batch.rows; row++)
      if (batch.skip[row] === 0) refuse(batch, row, verdict, verdicts);
  }
}

function refuse(batch: PointBatch, row: number, verdict: Verdict, verdicts: Verdicts): void {
  batch.skipRow(row);
  verdicts[row] = verdict;
}

/** Marks the rows of a group that the admission keeps out. */
function apply(batch: PointBatch, group: TableGroup, admission: Admission, verdicts: Verdicts): void {
  const { refused, parts } = admission;
  if (refused === undefined && parts.size === 0) return;
  for (let row = group.firstRow; row >= 0; row = batch.nextRow[row] as number) {
    if (batch.skip[row] !== 0) continue;
    const verdict = refused ?? parts.get(batch.series[row]!.tagSet) ?? cellVerdict(batch, row, parts);
    if (verdict !== undefined) refuse(batch, row, verdict, verdicts);
  }
}

/** The first verdict on a field of the row; a permanent one counts more, for the row can never pass. */
function cellVerdict(batch: PointBatch, row: number, parts: Admission['parts']): Verdict | undefined {
  let found: Verdict | undefined;
  for (let cell = batch.firstCell[row] as number; cell < (batch.firstCell[row + 1] as number); cell++) {
    const verdict = parts.get(batch.cellField[cell] as Field);
    if (verdict?.kind === 'rejected') return verdict;
    found ??= verdict;
  }
  return found;
}

function summarise(batch: PointBatch, verdicts: Verdicts): IngestResult {
  const refusals: RowRefusal[] = [];
  let rejected = 0;
  let deferral: Extract<Verdict, { kind: 'deferred' }> | undefined;
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
