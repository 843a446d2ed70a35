/**
 * One request on its way: which of its rows may not be written and why, and which of those are to be parked. Rows are
 * marked in the batch (`skip`), verdicts are kept by row. Used by ingest.ts.
 */
import type { Admission, AdmitContext, DeferReason, RejectReason, Verdict } from '../model/admission.ts';
import { type IngestResult, MAX_REFUSALS, type RefusedCreates, type RowRefusal } from '../model/ingest.ts';
import type { PointBatch, TableGroup } from '../model/point-batch.ts';
import { type Rejected, verdictOf } from '../model/row-verdict.ts';
import type { Table } from '../model/series.ts';
import type { RecordHead } from '../model/spool.ts';

/** A verdict on rows that are to be sent again, or parked. */
export type Deferred = Extract<Verdict, { kind: 'deferred' }>;

/** Rows by why they were refused. */
export interface VerdictCounts {
  rowsRejected(reason: RejectReason, rows: number): void;
  rowsDeferred(reason: DeferReason, rows: number): void;
}

const ANOTHER_REFUSED: Rejected = {
  kind: 'rejected',
  reason: 'whole_request',
  message: 'not stored, because another point of the request was refused',
};

/** Refusals of something new for a reason that lies with whoever asks for it, not with the state of a part. */
const CREATE_REASONS: ReadonlySet<RejectReason | DeferReason> = new Set([
  'type_conflict',
  'auto_create_off',
  'no_create_right',
  'denied_name',
  'not_allowed',
  'impossible_name',
  'reserved_column',
  'table_budget',
  'column_budget',
  'database_budget',
  'ddl_failed',
  'ddl_backoff',
  'throttled',
  'request_cap',
  'queue_full',
]);

/** See the module comment. */
export class Submission {
  readonly batch: PointBatch;
  readonly context: AdmitContext;
  readonly head: RecordHead;
  /** Deferred rows may be parked. */
  readonly parks: boolean;
  /** By row; undefined before there is one. A parked row has none. */
  private verdicts: (Verdict | undefined)[] | undefined;
  private toPark: number[] = [];
  private refusedCreates: Table[] | undefined;
  private parked = 0;

  constructor(batch: PointBatch, context: AdmitContext, head: RecordHead, parks: boolean) {
    this.batch = batch;
    this.context = context;
    this.head = head;
    this.parks = parks;
  }

  /** True while every row may be written. */
  get isWhole(): boolean {
    return this.verdicts === undefined;
  }

  /** True when no row is left to be written. */
  get isEmpty(): boolean {
    return this.batch.skipped === this.batch.rows;
  }

  /** Takes out a row for good. */
  refuse(row: number, verdict: Rejected): void {
    this.takeOut(row, verdict, false);
  }

  /**
   * Takes out the rows of a group that the admission keeps out. Where rows are parked, those that come after one in the
   * same table go with it, for what is written now would be overwritten by it later.
   */
  apply(group: TableGroup, admission: Admission): void {
    if (admission.refused === undefined && admission.parts.size === 0) return;
    this.noteCreate(group, admission);
    const { batch } = this;
    let deferred: Deferred | undefined;
    for (let row = group.firstRow; row >= 0; row = batch.nextRow[row] as number) {
      if (batch.skip[row] !== 0) continue;
      const verdict = verdictOf(batch, row, admission) ?? deferred;
      if (verdict === undefined) continue;
      if (verdict.kind === 'deferred' && this.parksNew) deferred ??= verdict;
      this.takeOut(row, verdict, this.parksNew);
    }
  }

  /** Takes out only the rows of a group that can never pass, then all others with `verdict`. */
  applyToHeld(group: TableGroup, admission: Admission | undefined, verdict: Deferred): void {
    if (admission !== undefined) this.noteCreate(group, admission);
    const { batch } = this;
    for (let row = group.firstRow; row >= 0; row = batch.nextRow[row] as number) {
      if (batch.skip[row] !== 0) continue;
      const own = admission && verdictOf(batch, row, admission);
      this.takeOut(
        row,
        own?.kind === 'rejected' ? own : verdict,
        own === undefined ? this.parks : this.parksNew,
      );
    }
  }

  /** What is parked is created by the gateway itself: never for a sender without that right. */
  private get parksNew(): boolean {
    return this.parks && this.context.mayCreate !== false;
  }

  /** Holds back what is left, or of it these tables (`tableKey`s). `parks`: it may be parked, if anything may. */
  hold(verdict: Deferred, parks: boolean, tables?: ReadonlySet<string>): void {
    const { batch } = this;
    for (let g = 0; g < batch.groupCount; g++) {
      const group = batch.groups[g] as TableGroup;
      if (tables !== undefined && !tables.has(group.table.key)) continue;
      for (let row = group.firstRow; row >= 0; row = batch.nextRow[row] as number) {
        if (batch.skip[row] === 0) this.takeOut(row, verdict, parks && this.parks);
      }
    }
  }

  /** One refusal for good refuses every row: nothing is left to be written or parked. Without one, nothing happens. */
  refuseAll(): void {
    const { batch, verdicts } = this;
    if (verdicts?.some((verdict) => verdict?.kind === 'rejected') !== true) return;
    for (let row = 0; row < batch.rows; row++) {
      if (verdicts[row]?.kind !== 'rejected') this.takeOut(row, ANOTHER_REFUSED, false);
    }
    this.toPark = [];
  }

  /** The rows to be parked that were not answered before, ascending. */
  takeToPark(): readonly number[] {
    const rows = this.toPark;
    if (rows.length === 0) return rows;
    this.toPark = [];
    return rows.sort((a, b) => a - b);
  }

  /** These rows are safe on disk. */
  markParked(rows: readonly number[]): void {
    for (const row of rows) (this.verdicts as (Verdict | undefined)[])[row] = undefined;
    this.parked += rows.length;
  }

  /** The rows that were refused for good, by verdict. */
  rejected(): ReadonlyMap<Verdict, readonly number[]> {
    return this.rowsBy('rejected');
  }

  /** The rows that were neither written nor parked, and may be sent again. */
  heldBack(): ReadonlyMap<Verdict, readonly number[]> {
    return this.rowsBy('deferred');
  }

  private rowsBy(kind: Verdict['kind']): ReadonlyMap<Verdict, readonly number[]> {
    const found = new Map<Verdict, number[]>();
    for (const [row, verdict] of this.verdicts?.entries() ?? []) {
      if (verdict?.kind !== kind) continue;
      const rows = found.get(verdict);
      if (rows === undefined) found.set(verdict, [row]);
      else rows.push(row);
    }
    return found;
  }

  /** Counts the rows that were refused or held back, and tells of the creates. */
  count(counts: VerdictCounts, creates: RefusedCreates): void {
    if (this.refusedCreates !== undefined) creates.note(this.refusedCreates, this.context);
    const rejected = new Map<RejectReason, number>();
    const deferred = new Map<DeferReason, number>();
    for (const verdict of this.verdicts ?? []) {
      if (verdict?.kind === 'rejected') rejected.set(verdict.reason, (rejected.get(verdict.reason) ?? 0) + 1);
      else if (verdict !== undefined) deferred.set(verdict.reason, (deferred.get(verdict.reason) ?? 0) + 1);
    }
    for (const [reason, rows] of rejected) counts.rowsRejected(reason, rows);
    for (const [reason, rows] of deferred) counts.rowsDeferred(reason, rows);
  }

  result(): IngestResult {
    const { batch, verdicts, parked } = this;
    const stored = batch.rows - batch.skipped;
    if (verdicts === undefined)
      return { stored, parked, rejected: 0, refusals: [], deferred: 0, deferral: undefined };
    const refusals: RowRefusal[] = [];
    let rejected = 0;
    let deferral: Deferred | undefined;
    for (let row = 0; row < batch.rows; row++) {
      const verdict = verdicts[row];
      if (verdict?.kind === 'deferred') deferral ??= verdict;
      if (verdict?.kind !== 'rejected') continue;
      rejected++;
      if (refusals.length === MAX_REFUSALS) continue;
      refusals.push({
        offset: batch.offset[row] as number,
        reason: verdict.reason,
        message: verdict.message,
      });
    }
    const deferred = batch.skipped - rejected - parked;
    return { stored, parked, rejected, refusals, deferred, deferral: deferral && deferralOf(deferral) };
  }

  private noteCreate({ table }: TableGroup, admission: Admission): void {
    if (refusesCreate(admission)) (this.refusedCreates ??= []).push(table);
  }

  private takeOut(row: number, verdict: Verdict, parks: boolean): void {
    const verdicts = (this.verdicts ??= []);
    // A table may have its first row anywhere, and an array that grows by leaps becomes a hash table.
    if (verdicts.length < this.batch.rows) verdicts.length = this.batch.rows;
    this.batch.skipRow(row);
    verdicts[row] = verdict;
    if (parks && verdict.kind === 'deferred') this.toPark.push(row);
  }
}

function deferralOf({ reason, message, retryAfterMs }: Deferred): NonNullable<IngestResult['deferral']> {
  return { reason, message, retryAfterMs };
}

function refusesCreate({ refused, parts }: Admission): boolean {
  if (refused !== undefined) return CREATE_REASONS.has(refused.reason);
  for (const { reason } of parts.values()) if (CREATE_REASONS.has(reason)) return true;
  return false;
}
