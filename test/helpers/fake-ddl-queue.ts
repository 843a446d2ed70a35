/**
 * A DDL queue for one process without a store: one task per target, one outcome per target that holds for its TTL
 * on the fake clock, events before promises. `run` decides what a task comes to: an outcome, or undefined to leave
 * it open until `finish` is called.
 */
import type { Clock } from '../../src/model/clock.ts';
import {
  type DdlEvent,
  type DdlOutcome,
  type DdlQueue,
  type DdlRefusal,
  type DdlRequest,
  type DdlSubmission,
  type DdlTarget,
  fingerprint,
} from '../../src/model/ddl-queue.ts';
import { createDeferred, type Deferred } from '../../src/util/deferred.ts';

interface OpenTask {
  readonly request: DdlRequest;
  readonly outcome: Deferred<DdlOutcome | undefined>;
}

/** See the module comment. */
export class FakeDdlQueue implements DdlQueue {
  /** Every submit that made a task. */
  readonly submitted: DdlRequest[] = [];
  submits = 0;
  /** The most tasks that were open at once. */
  maxOpen = 0;
  /** Set: every submit is refused for this reason. */
  refuse: DdlRefusal | undefined;
  run: (request: DdlRequest) => DdlOutcome | undefined = () => undefined;
  readonly #clock: Clock;
  readonly #open = new Map<string, OpenTask>();
  readonly #failures = new Map<string, { outcome: DdlOutcome & { kind: 'error' }; untilMs: number }>();
  readonly #listeners = new Set<(event: DdlEvent) => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async submit(request: DdlRequest, signal: AbortSignal): Promise<DdlSubmission> {
    signal.throwIfAborted();
    this.submits++;
    if (this.refuse !== undefined) return { kind: 'refused', reason: this.refuse, retryAfterMs: 500 };
    const key = keyOf(request);
    const open = this.#open.get(key);
    if (open !== undefined) return { kind: 'joined', outcome: open.outcome.promise };
    const failure = this.#failures.get(key);
    if (failure !== undefined && failure.untilMs > this.#clock.now()) return known(request, failure.outcome);
    const task: OpenTask = { request, outcome: createDeferred() };
    this.#open.set(key, task);
    this.submitted.push(request);
    this.maxOpen = Math.max(this.maxOpen, this.#open.size);
    const outcome = this.run(request);
    if (outcome !== undefined) queueMicrotask(() => this.finish(request, outcome));
    return { kind: 'submitted', outcome: task.outcome.promise };
  }

  /** Ends the open task of a target. */
  finish(target: DdlTarget, outcome: DdlOutcome): void {
    const task = this.#open.get(keyOf(target));
    this.#open.delete(keyOf(target));
    if (outcome.kind === 'error') {
      this.#failures.set(keyOf(target), { outcome, untilMs: this.#clock.now() + outcome.ttlMs });
    }
    this.emit({ kind: 'outcome', target, outcome });
    task?.outcome.resolve(outcome);
  }

  /** Forgets a target's failure, as a purge or its expiry in the store does. */
  clear(target: DdlTarget): void {
    this.#failures.delete(keyOf(target));
    this.emit({ kind: 'cleared', target });
  }

  emit(event: DdlEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  subscribe(listener: (event: DdlEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  forget(): Promise<number> {
    return Promise.resolve(0);
  }

  stats() {
    return {
      openTasks: this.#open.size,
      maxOpenTasks: 256,
      storeFill: undefined,
      outcomes: this.#failures.size,
      leader: true,
      live: true,
    };
  }

  close(): Promise<void> {
    for (const task of this.#open.values()) task.outcome.resolve(undefined);
    this.#open.clear();
    return Promise.resolve();
  }
}

function keyOf({ database, table }: DdlTarget): string {
  return `${database}\u0000${table ?? '\u0000'}`;
}

function known(request: DdlRequest, outcome: DdlOutcome & { kind: 'error' }): DdlSubmission {
  const wants = fingerprint(request.columns);
  if (wants === outcome.wants) return { kind: 'known', outcome };
  return { kind: 'known', outcome: { ...outcome, class: 'transient', wants } };
}
