/**
 * The promises of those who wait for a task to end, by the task's nonce. An outcome of that nonce settles
 * them; a task that is gone without one (its breaker opened, it was drained, or its end was not seen) settles them as
 * unknown. At most one entry per open task.
 */
import type { DdlOutcome } from '../model/ddl-queue.ts';
import { createDeferred, type Deferred } from '../util/deferred.ts';
import type { FailureValue, OutValue } from './codec.ts';
import type { DdlView, ViewChange } from './view.ts';

interface Waiter {
  readonly outcome: Deferred<DdlOutcome | undefined>;
  /** Key of the task; undefined until the store has told in which revision the task was seen. */
  seen: { readonly task: string; readonly out: string; readonly rev: number } | undefined;
}

/** See the module comment. */
export class Waiters {
  readonly #view: DdlView;
  readonly #byNonce = new Map<string, Waiter>();
  #rev = 0;

  constructor(view: DdlView) {
    this.#view = view;
  }

  get size(): number {
    return this.#byNonce.size;
  }

  /** Begins to wait; to be called before the task can end, so that its end is not missed. */
  expect(nonce: string): Promise<DdlOutcome | undefined> {
    let waiter = this.#byNonce.get(nonce);
    if (waiter === undefined) {
      waiter = { outcome: createDeferred(), seen: undefined };
      this.#byNonce.set(nonce, waiter);
    }
    return waiter.outcome.promise;
  }

  /** The task was in the store at `rev`: from there on, its absence means that it has ended. */
  confirm(nonce: string, seen: { readonly task: string; readonly out: string; readonly rev: number }): void {
    const waiter = this.#byNonce.get(nonce);
    if (waiter === undefined) return;
    waiter.seen = seen;
    this.#settleIfGone(nonce, waiter);
  }

  /** The task was never made. */
  drop(nonce: string): void {
    this.#settle(nonce, undefined);
  }

  /** To be called after the view has applied the changes. */
  apply(changes: readonly ViewChange[], rev: number, listed: boolean): void {
    this.#rev = rev;
    for (const change of changes) {
      if (change.kind === 'out') this.#settle(change.out.value.nonce, outcomeOf(change.out.value));
      else if (change.kind === 'task_gone') this.#settle(change.task.value.nonce, undefined);
    }
    if (!listed) return;
    for (const [nonce, waiter] of this.#byNonce) this.#settleIfGone(nonce, waiter, listed);
  }

  /** Settles all as unknown. */
  close(): void {
    for (const nonce of this.#byNonce.keys()) this.#settle(nonce, undefined);
  }

  #settleIfGone(nonce: string, waiter: Waiter, listed = false): void {
    const { seen } = waiter;
    if (seen === undefined || (this.#rev < seen.rev && !listed)) return;
    if (this.#view.tasks.get(seen.task)?.value.nonce === nonce) return;
    const out = this.#view.outs.get(seen.out)?.value;
    this.#settle(nonce, out?.nonce === nonce ? outcomeOf(out) : undefined);
  }

  #settle(nonce: string, outcome: DdlOutcome | undefined): void {
    this.#byNonce.get(nonce)?.outcome.resolve(outcome);
    this.#byNonce.delete(nonce);
  }
}

/** How the task of this outcome ended, as everyone outside the queue sees it. */
export function outcomeOf(value: OutValue): DdlOutcome {
  const [failure] = value.failures;
  return failure === undefined ? { kind: 'ok' } : failureOutcome(failure, failure.ttlMs);
}

/** A failure as an outcome, with what is left of its time. */
export function failureOutcome(failure: Omit<FailureValue, 'ttlMs'>, ttlMs: number): DdlOutcome {
  const { inRow: _, ...rest } = failure;
  return { kind: 'error', ...rest, ttlMs };
}
