/** What an operator sees of the DDL queue, and does to it, beyond what the guard asks of it. */
import type { DdlQueue, DdlRequest, DdlTarget } from './ddl-queue.ts';

/** A task that has not ended. */
export interface OpenTask extends DdlRequest {
  /** The gateway that put it, and when by its wall clock. */
  readonly gateway: string;
  readonly atMs: number;
  /** Undefined: this gateway does not lead, and only the leader knows. */
  readonly progress: TaskProgress | undefined;
}

/** How far the leader is with a task, in its present term. */
export interface TaskProgress {
  readonly state: 'ready' | 'running' | 'waiting';
  readonly attempts: number;
  /** Undefined: no attempt has failed yet. */
  readonly lastError: { readonly code: string; readonly message: string } | undefined;
}

/**
 * How an attempt to cancel a task ended. `none`: there is no such task. `running`: its statement can't be taken back.
 * `elsewhere`: another gateway leads, and only the leader ends tasks.
 */
export type Cancellation = 'cancelled' | 'none' | 'running' | 'elsewhere';

/** A failure that holds. */
export interface HeldBack {
  readonly class: 'permanent' | 'transient';
  readonly code: string;
  readonly message: string;
  readonly attempts: number;
  /** Until one attempt may be made. */
  readonly leftMs: number;
}

/** What is held against one target; at least one failure. */
export interface NegativeResult extends DdlTarget {
  readonly failures: readonly HeldBack[];
}

/** Who stopped all creates, why, and when by that gateway's wall clock. */
export interface Pause {
  readonly by: string;
  readonly reason: string;
  readonly atMs: number;
}

/** Why nothing is created for a tenant, or for anybody (`tenant` undefined). */
export interface HeldBreaker {
  readonly tenant: string | undefined;
  readonly code: string;
  readonly message: string;
  readonly leftMs: number;
}

/** The queue as its operator sees it: the whole cluster, as of the newest revision that this gateway has. */
export interface DdlControl {
  /** The name of the gateway that leads; undefined: none does, as far as is known. */
  leader(): string | undefined;
  /** Undefined: creates are not paused. Synchronous, cheap enough for every admission. */
  isPaused(): boolean;
  pause(): Pause | undefined;
  list(): {
    readonly tasks: readonly OpenTask[];
    readonly negatives: readonly NegativeResult[];
    readonly breakers: readonly HeldBreaker[];
  };
  /**
   * Stops all creates in the whole cluster, restarts included, or with undefined lets them go on; answers whether
   * that changed anything. Statements that run are not cut off. @throws {GatewayError} unavailable: ask again.
   */
  setPause(pause: Omit<Pause, 'atMs'> | undefined, signal: AbortSignal): Promise<boolean>;
  /**
   * Ends an open task with a transient failure that says who did it, so that it is not asked for again at once.
   * `signal` ends the waiting, not the cancelling.
   */
  cancel(
    target: Pick<DdlTarget, 'database' | 'table'>,
    by: string,
    signal: AbortSignal,
  ): Promise<Cancellation>;
}

/** A queue with its controls. */
export interface ControlledQueue extends DdlQueue {
  readonly control: DdlControl;
}
