/**
 * The one path of all transports: a parsed batch is admitted by the guard, table by table, and what may be written
 * goes to the flush queue in one piece; refused and deferred rows are marked and reported. Rows of healthy tables
 * are stored whatever happens to the others.
 */
import { GatewayError } from './errors.ts';
import type { Admission, AdmitContext, DeferReason, Guard, Verdict } from './model/admission.ts';
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

/** Bounds of ingest. */
export interface IngestOptions {
  /** Bytes of bodies that are being handled; more are refused. At least 1. */
  readonly maxInflightBytes: number;
}

/** What ingest needs. */
export interface IngestDeps {
  readonly guard: Guard;
  readonly flush: { write(batch: PointBatch): Promise<void> };
  readonly metrics: { ingestRefused(): void; deferred(reason: DeferReason, rows: number): void };
  readonly random?: () => number;
}

/** Ingest with its sizes for gauges. */
export interface MeteredIngest extends Ingest {
  stats(): { inflightBytes: number; inflightBatches: number };
}

type Verdicts = (Verdict | undefined)[];

/** Makes the ingest path. */
export function createIngest(options: IngestOptions, deps: IngestDeps): MeteredIngest {
  return new IngestPath(options, deps);
}

class IngestPath implements MeteredIngest {
  private readonly options: IngestOptions;
  private readonly deps: IngestDeps;
  private readonly pool = createBatchPool();
  private inflightBytes = 0;
  private inflightBatches = 0;

  constructor(options: IngestOptions, deps: IngestDeps) {
    this.options = options;
    this.deps = deps;
  }

  acquire(body: Uint8Array, database: string): PointBatch {
    // A body larger than the bound may pass alone, or it could never pass.
    if (this.inflightBytes > 0 && this.inflightBytes + body.length > this.options.maxInflightBytes) {
      this.deps.metrics.ingestRefused();
      throw new GatewayError('overload', 'too many bytes are in flight');
    }
    this.inflightBytes += body.length;
    this.inflightBatches++;
    return this.pool.acquire(body, database);
  }

  release(batch: PointBatch): void {
    this.inflightBytes -= batch.body.length;
    this.inflightBatches--;
    this.pool.release(batch);
  }

  stats(): { inflightBytes: number; inflightBatches: number } {
    return { inflightBytes: this.inflightBytes, inflightBatches: this.inflightBatches };
  }

  async submit(batch: PointBatch, context: IngestContext): Promise<IngestResult> {
    const { source, askedBy, signal } = context;
    const verdicts: Verdicts = [];
    await this.store(batch, { source, askedBy, signal, newTables: 0 }, verdicts);
    if (batch.skipped === 0) {
      return { stored: batch.rows, rejected: 0, refusals: [], deferred: 0, deferral: undefined };
    }
    const result = summarise(batch, verdicts);
    if (result.deferral !== undefined) this.deps.metrics.deferred(result.deferral.reason, result.deferred);
    return result;
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
