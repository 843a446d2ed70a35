/** What the guard asks of the DDL queue. The queue itself lives in ddl/. */
import { createHash } from 'node:crypto';
import { type ColumnSpec, columnKey } from './column.ts';
import type { TableSource } from './table.ts';

/** What a task makes: a database (`table` undefined) or a table with at least these columns. */
export interface DdlTarget {
  /** Whose budget and turn it is; the database's name unless authentication says otherwise. */
  readonly tenant: string;
  readonly database: string;
  readonly table: string | undefined;
}

/** A request to create or widen. */
export interface DdlRequest extends DdlTarget {
  readonly source: TableSource;
  readonly columns: readonly ColumnSpec[];
  /** Who asked, for people: protocol and peer address. */
  readonly askedBy: string;
}

/** How a task ended; an error is a negative result that every gateway keeps for `ttlMs`. */
export type DdlOutcome =
  | { readonly kind: 'ok' }
  | {
      readonly kind: 'error';
      readonly class: 'permanent' | 'transient';
      /** The database's own code and text, cut to 512 bytes. */
      readonly code: string;
      readonly message: string;
      readonly attempts: number;
      /** From now; one new attempt is allowed after it. */
      readonly ttlMs: number;
      /** Fingerprint of the columns that were wanted (see `fingerprint`). */
      readonly wants: string;
    };

/** Why nothing was queued. All of them are temporary. */
export type DdlRefusal = 'full' | 'tenant_full' | 'breaker' | 'not_live' | 'unavailable' | 'closed';

/** The answer to `submit`. `outcome` never rejects; undefined: the task ended unseen, or the queue closed. */
export type DdlSubmission =
  | { readonly kind: 'submitted' | 'joined'; readonly outcome: Promise<DdlOutcome | undefined> }
  | { readonly kind: 'known'; readonly outcome: DdlOutcome }
  | { readonly kind: 'refused'; readonly reason: DdlRefusal; readonly retryAfterMs: number };

/** Which negative results to forget. */
export type ForgetScope =
  | { readonly kind: 'all' }
  | { readonly kind: 'prefix' | 'table'; readonly database: string; readonly table: string };

/** What the queue tells everyone, in the order of the store's revisions. */
export type DdlEvent =
  | { readonly kind: 'outcome'; readonly target: DdlTarget; readonly outcome: DdlOutcome }
  /** A negative result went away: expired, forgotten, or replaced. */
  | { readonly kind: 'cleared'; readonly target: DdlTarget }
  /** Creates are stopped (`tenant` undefined: of everyone) until `untilMs` on the monotonic clock. */
  | {
      readonly kind: 'breaker';
      readonly tenant: string | undefined;
      readonly code: string;
      readonly message: string;
      readonly untilMs: number;
    };

/** Numbers for metrics and health. */
export interface DdlQueueStats {
  readonly openTasks: number;
  readonly maxOpenTasks: number;
  readonly outcomes: number;
  readonly leader: boolean;
  /** False: the view of the store is not current, so every submit is refused. */
  readonly live: boolean;
  /** Share of the store's quota that is used, 1 under an alarm; undefined: no quota, or not known yet. */
  readonly storeFill: number | undefined;
}

/** The queue as one gateway sees it. */
export interface DdlQueue {
  /**
   * Makes sure that one task for the target is open, in the whole cluster; joins the one that is there. A joined
   * task may want other columns: look at the schema after its outcome and submit again what is still missing.
   */
  submit(request: DdlRequest, signal: AbortSignal): Promise<DdlSubmission>;
  /** Calls back for every event until the returned function is called. */
  subscribe(listener: (event: DdlEvent) => void): () => void;
  /** Drops negative results and breakers, in the whole cluster; answers how many. */
  forget(scope: ForgetScope, signal: AbortSignal): Promise<number>;
  stats(): DdlQueueStats;
  /** Idempotent. Waits for a running DDL statement, within `signal`. */
  close(signal?: AbortSignal): Promise<void>;
}

/** Stands for a set of wanted columns, whatever their order; at most 128 characters, so that it can be stored. */
export function fingerprint(columns: readonly ColumnSpec[]): string {
  const text = columns.map(columnKey).sort().join('\u0001');
  return text.length <= 128 ? text : createHash('sha256').update(text, 'utf16le').digest('hex');
}
