/** What the DDL queue counts; no method takes a name that a client can choose. */
import type { DdlRefusal } from '../model/ddl-queue.ts';
import type { TxnLabel, WatchEnd } from './store.ts';

/** How an attempt ended, or that nothing was sent because a known failure still holds. */
export type AttemptClass = 'done' | 'invalid' | 'denied' | 'transient' | 'abandoned';

/** A statement that creates a database or table, or adds columns. */
export type StatementKind = 'database' | 'create' | 'widen';

/** Counters of the queue; every method returns at once and never throws. */
export interface DdlMetrics {
  submitted(): void;
  joined(): void;
  known(): void;
  refused(reason: DdlRefusal): void;
  /** One attempt at the database, reading included, by this gateway as leader. */
  attempted(result: AttemptClass, durationMs: number): void;
  /** A statement goes to the database, by this gateway as leader. */
  sent(kind: StatementKind): void;
  /** A task ended, by this gateway as leader. */
  completed(status: 'ok' | 'permanent' | 'transient' | 'breaker' | 'drained'): void;
  /** A statement had no clear answer. */
  ambiguous(): void;
  /** A completion was refused because another leads, or the task is another one. */
  fenced(): void;
  breakerOpened(scope: 'tenant' | 'all'): void;
  leaderChanged(leader: boolean): void;
  watchEnded(reason: WatchEnd): void;
  /** A transaction failed or was ambiguous and was tried again. */
  retried(label: TxnLabel): void;
  /** Removed by the janitor. */
  swept(what: 'slot' | 'task'): void;
}
