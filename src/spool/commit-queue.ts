/**
 * Group commit: one batch is written at a time, and all that is handed over meanwhile is the next one. Nothing waits
 * for company. When a batch fails, whether it happened is unknown: all that waits with appends is refused, and the
 * queue stands still until it is resumed; removals stay in it, for they may happen late.
 */
import { GatewayError } from '../errors.ts';
import type { SpoolChange } from '../model/spool.ts';
import { createDeferred, type Deferred } from '../util/deferred.ts';
import type { LevelOp } from './level.ts';

/** A change that waits for its batch. */
export interface PendingChange {
  readonly change: SpoolChange;
  readonly ops: readonly LevelOp[];
  /** Bytes of appended records. */
  readonly bytes: number;
  /** Without appends: not worth a sync. */
  readonly removalOnly: boolean;
  readonly done: Deferred<void>;
}

/** What the queue needs. */
export interface CommitQueueDeps {
  /** Writes a batch. `sync` is false when it only removes. */
  readonly write: (changes: readonly PendingChange[], sync: boolean) => Promise<void>;
  /** Called when a batch has failed, with those of it that only remove; the queue stands still from then on. */
  readonly failed: (error: unknown, removals: readonly PendingChange[]) => void;
}

/** See the module comment. */
export interface CommitQueue {
  /** Bytes of appended records that are not synced yet. */
  readonly pendingBytes: number;
  push(change: Omit<PendingChange, 'done'>): Promise<void>;
  /** Goes on after a failure. */
  resume(): void;
  /** Puts changes before all that waits. */
  requeue(changes: readonly PendingChange[]): void;
  /** Takes out what waits, which are removals while the queue stands still. */
  takeWaiting(): readonly PendingChange[];
  /** Resolves once nothing is being written, and nothing waits unless the queue stands still. */
  idle(): Promise<void>;
}

/** Makes a queue. */
export function createCommitQueue(deps: CommitQueueDeps): CommitQueue {
  return new Queue(deps);
}

class Queue implements CommitQueue {
  private readonly deps: CommitQueueDeps;
  private waiting: PendingChange[] = [];
  private running: Promise<void> | undefined;
  private stopped = false;
  pendingBytes = 0;

  constructor(deps: CommitQueueDeps) {
    this.deps = deps;
  }

  push(change: Omit<PendingChange, 'done'>): Promise<void> {
    const done = createDeferred<void>();
    // Nobody need wait for a removal, and its failure shall not end the process.
    done.promise.catch(() => undefined);
    this.waiting.push({ ...change, done });
    this.pendingBytes += change.bytes;
    this.start();
    return done.promise;
  }

  resume(): void {
    this.stopped = false;
    this.start();
  }

  requeue(changes: readonly PendingChange[]): void {
    this.waiting.unshift(...changes);
  }

  takeWaiting(): readonly PendingChange[] {
    return this.waiting.splice(0);
  }

  async idle(): Promise<void> {
    await this.running;
  }

  private start(): void {
    if (!this.stopped && this.waiting.length > 0) this.running ??= this.drain();
  }

  private async drain(): Promise<void> {
    // Changes of the same turn go together.
    await Promise.resolve();
    while (!this.stopped && this.waiting.length > 0) {
      const group = this.waiting.splice(0);
      try {
        await this.deps.write(
          group,
          group.some(({ removalOnly }) => !removalOnly),
        );
      } catch (error) {
        this.fail(group, error);
        break;
      }
      for (const { bytes, done } of group) {
        this.pendingBytes -= bytes;
        done.resolve();
      }
    }
    this.running = undefined;
  }

  private fail(group: readonly PendingChange[], error: unknown): void {
    this.stopped = true;
    const waiting = this.waiting.splice(0);
    for (const pending of [...group, ...waiting]) if (!pending.removalOnly) this.refuse(pending, error);
    this.waiting = waiting.filter(({ removalOnly }) => removalOnly);
    this.deps.failed(
      error,
      group.filter(({ removalOnly }) => removalOnly),
    );
  }

  private refuse({ bytes, done }: PendingChange, cause: unknown): void {
    this.pendingBytes -= bytes;
    const message = cause instanceof Error ? cause.message : String(cause);
    done.reject(new GatewayError('unavailable', `the spool's disk failed: ${message}`, { cause }));
  }
}
