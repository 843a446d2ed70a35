/** One call of `Guard.admit`: what it knows, what it may wait for, and how its answer is put together. */
import type { Admission, AdmitContext, RejectReason, Verdict } from '../model/admission.ts';
import type { TableGroup } from '../model/point-batch.ts';
import type { Table } from '../model/series.ts';
import type { TableId } from '../model/table.ts';
import { type Assessment, needs, type Part } from './assess.ts';
import type { KnownTable } from './registry.ts';
import { ADMITTED, refused } from './verdict.ts';

/** One call of `admit`; `known` and `need` are as of the last decision. */
export interface Call {
  readonly group: TableGroup;
  readonly table: Table;
  readonly context: AdmitContext;
  /** How long it may wait, for each thing and for all of them. */
  readonly waitMs: number;
  readonly deadlineMs: number;
  /** Reasons for which it would have been refused; see observe mode. */
  observed: Set<RejectReason> | undefined;
  /** The request's count of new tables has this one. */
  counted: boolean;
  known: KnownTable | undefined;
  need: Assessment;
}

/**
 * Something to wait for: a verdict on what is missing, or undefined to decide anew. `startedMs`: others have waited
 * for it since then. `doubts`: the refusals rest on old knowledge, so the verdict is on them too.
 */
export interface Wait {
  readonly verdict: Promise<Verdict | undefined>;
  readonly startedMs?: number;
  readonly doubts?: boolean;
}

/** What a decision comes to. */
export type Step = Admission | Wait;

/** A call at its beginning. */
export function createCall(group: TableGroup, context: AdmitContext, waitMs: number, nowMs: number): Call {
  return {
    group,
    table: group.table,
    context,
    waitMs,
    deadlineMs: nowMs + waitMs,
    observed: undefined,
    counted: false,
    known: undefined,
    need: NOTHING,
  };
}

/** Before the first assessment. */
const NOTHING: Assessment = { parts: new Map(), missing: new Map(), useful: true };

/**
 * The answer that follows from the last assessment and a verdict on what is missing. Parts that may be written are
 * marked, so that the next batch which uses them takes the fast path. `doubts`: see `Wait`.
 */
export function answer(
  { group, known, need }: Call,
  verdict: Verdict | undefined,
  doubts = false,
): Admission {
  const { parts, missing } = need;
  if (known === undefined) return verdict === undefined ? { refused: undefined, parts } : refused(verdict);
  if (verdict !== undefined && doubts) for (const part of parts.keys()) parts.set(part, verdict);
  group.table.admittedBy = known;
  const settle = (part: Part) => {
    if (parts.has(part)) return;
    if (!needs(part, missing)) part.admittedBy = known;
    else if (verdict !== undefined) parts.set(part, verdict);
  };
  group.tagSets.forEach(settle);
  group.fields.forEach(settle);
  return parts.size === 0 ? ADMITTED : { refused: undefined, parts };
}

/** The table's names as the database's side has them. */
export function idOf({ database, name }: Pick<Table, 'database' | 'name'>): TableId {
  return { database, table: name };
}
