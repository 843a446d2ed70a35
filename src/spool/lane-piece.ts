/**
 * Records of a lane, decoded into one batch, and what the guard's answers mean for them: which records can be done
 * with now, which of their rows are written, which go to the dead letter. A record is done as a whole or not at all.
 * Used by lane-writer.ts.
 */
import type { Admission, Verdict } from '../model/admission.ts';
import type { PointBatch } from '../model/point-batch.ts';
import { verdictOf } from '../model/row-verdict.ts';
import type { Series, Table } from '../model/series.ts';
import type { DeadReason } from '../model/spool.ts';
import type { DecodedRecords } from './record-decode.ts';

/** Rows of one record that go to the dead letter for one reason. */
export interface DeadPart {
  /** Index of the record. */
  readonly record: number;
  readonly reason: DeadReason;
  readonly message: string;
  readonly rows: number[];
}

type Deferred = Extract<Verdict, { kind: 'deferred' }>;

/** What becomes of a piece. */
export interface PiecePlan {
  /** The first records, which can be done with. */
  readonly records: number;
  readonly dead: readonly DeadPart[];
  /** Why the next record has to wait; undefined: there is none. */
  readonly deferred: Deferred | undefined;
}

/** What is known of a piece before it is written. */
export interface PieceVerdicts {
  /** Of the tables that are not ready. */
  readonly admissions: ReadonlyMap<Table, Admission>;
  /** By row: values that the database can't hold. */
  readonly impossible: ReadonlyMap<number, Verdict>;
}

/** The records of a piece in its batch. */
export interface LanePiece extends DecodedRecords {
  readonly batch: PointBatch;
}

/**
 * Marks the rows that are not to be written: those of records from the first one on that has a deferred row, and
 * those refused for good. A deferred row whose record is too old is refused, too.
 */
export function planPiece(
  piece: LanePiece,
  { admissions, impossible }: PieceVerdicts,
  isExpired: (atMs: number) => boolean,
): PiecePlan {
  const { batch, heads, rowEnds } = piece;
  const dead: DeadPart[] = [];
  let parts = new Map<Verdict, DeadPart>();
  let first = 0;
  for (let record = 0; record < heads.length; record++) {
    const end = rowEnds[record] as number;
    if (parts.size > 0) parts = new Map();
    const expired = isExpired(heads[record]?.atMs as number);
    for (let row = first; row < end; row++) {
      const verdict = impossible.get(row) ?? verdictOfRow(batch, row, admissions);
      if (verdict === undefined) continue;
      if (verdict.kind === 'deferred' && !expired) {
        for (let rest = first; rest < batch.rows; rest++) batch.skipRow(rest);
        return { records: record, dead, deferred: verdict };
      }
      partOf(parts, record, verdict).rows.push(row);
    }
    for (const part of parts.values()) {
      dead.push(part);
      for (const row of part.rows) batch.skipRow(row);
    }
    first = end;
  }
  return { records: heads.length, dead, deferred: undefined };
}

/** What becomes of a planned piece that the database did not take: the first records are done with that are too old. */
export function planExpired(
  { batch, heads, rowEnds }: LanePiece,
  plan: PiecePlan,
  { message, isExpired }: { readonly message: string; readonly isExpired: (atMs: number) => boolean },
): Pick<PiecePlan, 'records' | 'dead'> {
  let records = 0;
  while (records < plan.records && isExpired(heads[records]?.atMs as number)) records++;
  const dead = plan.dead.filter(({ record }) => record < records);
  for (let record = 0, row = 0; record < records; record++) {
    const rows: number[] = [];
    for (; row < (rowEnds[record] as number); row++) if (batch.skip[row] === 0) rows.push(row);
    if (rows.length > 0) dead.push({ record, reason: 'expired', message: waitedFor(message), rows });
  }
  return { records, dead: dead.toSorted((a, b) => a.record - b.record) };
}

function waitedFor(message: string): string {
  return `waited for too long; the last reason was: ${message}`;
}

function verdictOfRow(
  batch: PointBatch,
  row: number,
  admissions: ReadonlyMap<Table, Admission>,
): Verdict | undefined {
  const admission = admissions.get((batch.series[row] as Series).tagSet.table);
  return admission === undefined ? undefined : verdictOf(batch, row, admission);
}

function partOf(parts: Map<Verdict, DeadPart>, record: number, verdict: Verdict): DeadPart {
  let part = parts.get(verdict);
  if (part === undefined) {
    const { kind, message } = verdict;
    part =
      kind === 'rejected'
        ? { record, reason: 'rejected', message, rows: [] }
        : { record, reason: 'expired', message: waitedFor(message), rows: [] };
    parts.set(verdict, part);
  }
  return part;
}
