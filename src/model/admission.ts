/** What ingest asks of the guard. The guard itself lives in guard/. */

import type { TableGroup } from './point-batch.ts';
import type { Field, Table, TagSet } from './series.ts';
import type { TableSource } from './table.ts';

/** Why rows are refused for good, or held back for now; the value set is closed, so it can be a metric label. */
export type RejectReason =
  | 'type_conflict'
  | 'auto_create_off'
  | 'no_create_right'
  | 'denied_name'
  | 'not_allowed'
  | 'impossible_name'
  | 'impossible_value'
  | 'reserved_column'
  | 'table_budget'
  | 'column_budget'
  | 'database_budget'
  | 'ddl_failed'
  | 'whole_request';

export type DeferReason =
  | 'ddl_pending'
  | 'ddl_backoff'
  | 'breaker'
  | 'throttled'
  | 'request_cap'
  | 'queue_full'
  | 'control_plane'
  | 'paused'
  | 'database_down'
  | 'overload'
  | 'parked'
  | 'spool_failing';

/** `rejected` is permanent (4xx), `deferred` temporary (parked or 503). */
export type Verdict =
  | { readonly kind: 'rejected'; readonly reason: RejectReason; readonly message: string }
  | {
      readonly kind: 'deferred';
      readonly reason: DeferReason;
      readonly message: string;
      readonly retryAfterMs: number;
    };

/**
 * The guard's answer for one table's rows. `refused` undefined and `parts` empty: all may be written. `refused`:
 * none may. Else the rows that use a tag set or field in `parts` may not, the others may.
 */
export interface Admission {
  readonly refused: Verdict | undefined;
  readonly parts: ReadonlyMap<TagSet | Field, Verdict>;
}

/** One request's dealings with the guard. */
export interface AdmitContext {
  readonly source: TableSource;
  readonly askedBy: string;
  /** Whose share of the creates is used; undefined: that of the database. */
  readonly tenant?: string | undefined;
  /** False: what is missing is refused, not created. Undefined: as true. */
  readonly mayCreate?: boolean | undefined;
  /** New tables this request has already asked for; the guard counts it up and stops at its cap. */
  newTables: number;
  readonly signal: AbortSignal;
  /**
   * Longest time that `admit` takes; undefined: the guard's own. 0: it answers at once what is known, and goes on by
   * itself until what is missing is submitted or joined.
   */
  readonly waitMs?: number;
}

/** The admission check; see design: guard. */
export interface Guard {
  /** True when every column of the group is known to be there. Synchronous, allocates nothing. */
  isReady(group: TableGroup): boolean;
  /**
   * The refusal for good that `admit` gave for the same table, tag sets and fields within the last second, if nothing
   * has been learnt of the table since; else undefined: ask `admit`. Synchronous, allocates nothing.
   */
  recall(group: TableGroup): Admission | undefined;
  /**
   * The whole check; takes at most the guard's wait time, or `context.waitMs`. Never rejects except when
   * `context.signal` aborts. The group is not used after the answer.
   */
  admit(group: TableGroup, context: AdmitContext): Promise<Admission>;
  /** The database said that the table or a column is gone: forget what is known of it. */
  invalidate(table: Pick<Table, 'database' | 'name'>): void;
  close(): Promise<void>;
}
