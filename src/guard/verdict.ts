/** The guard's answers and their wording. Names come from clients, so they are cut before they enter a message. */
import type { Admission, DeferReason, RejectReason, Verdict } from '../model/admission.ts';
import type { ColumnSpec, ValueType } from '../model/column.ts';
import type { Field, TagSet } from '../model/series.ts';

const MAX_NAME = 128;
const NO_PARTS: ReadonlyMap<TagSet | Field, Verdict> = new Map();

/** InfluxDB's names of the types. */
const TYPE_NAMES: Record<ValueType, string> = {
  float64: 'float',
  int64: 'integer',
  uint64: 'unsigned',
  bool: 'boolean',
  string: 'string',
};

/** Every row of the group may be written. */
export const ADMITTED: Admission = { refused: undefined, parts: NO_PARTS };

/** A refusal for good. */
export function rejected(reason: RejectReason, message: string): Verdict {
  return { kind: 'rejected', reason, message };
}

/** Makes deferrals whose retry time is `retryAfterMs` and up to half more, so that clients spread out. */
export type Defer = (reason: DeferReason, message: string, retryAfterMs: number) => Verdict;

/** See `Defer`. */
export function createDefer(random: () => number): Defer {
  return (reason, message, retryAfterMs) => ({
    kind: 'deferred',
    reason,
    message,
    retryAfterMs: Math.ceil(Math.max(1, retryAfterMs) * (1 + random() / 2)),
  });
}

/** The verdict on what the throttle does not let through. */
export function throttled(defer: Defer, retryAfterMs: number): Verdict {
  return defer('throttled', 'too many new tables at once', retryAfterMs);
}

/** The answer for a whole group. */
export function refused(verdict: Verdict): Admission {
  return { refused: verdict, parts: NO_PARTS };
}

/** A client's name in quotes, at most 128 characters of it. */
export function quote(name: string): string {
  return name.length <= MAX_NAME ? `"${name}"` : `"${name.slice(0, MAX_NAME)}…"`;
}

/** The verdict on a column that exists, or was asked for first, with another type or as the other kind. */
export function typeConflict(table: string, wanted: ColumnSpec, existing: ColumnSpec): Verdict {
  const message =
    `${wanted.kind} type conflict: input ${wanted.kind} ${quote(wanted.name)} on measurement ${quote(table)} ` +
    `is type ${typeName(wanted)}, already exists as type ${typeName(existing)}`;
  return rejected('type_conflict', message);
}

function typeName(column: ColumnSpec): string {
  return column.kind === 'tag' ? 'tag' : TYPE_NAMES[column.type];
}
