/**
 * Which failures of a target hold, and how often in a row each was met. Every gateway keeps it, from the outcomes it
 * sees, so that a new leader goes on where the last one was; the leader decides the times, once for the cluster. It
 * holds what the store could not take, too (full, or too many), so that no attempt is made before its time.
 * Bounded: the least recently used targets are forgotten.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../model/clock.ts';
import { exponentialMs, jitterMs, type Random } from '../util/backoff.ts';
import type { FailureValue } from './codec.ts';
import { blockingFailure, MAX_VARIANTS } from './failure-rules.ts';

const MAX_TARGETS = 4_096;
const JITTER = 0.2;

/** A failure as an attempt met it. */
export type NewFailure = Omit<FailureValue, 'ttlMs' | 'inRow'>;

/** A failure that holds until a time on the monotonic clock. */
export interface HeldFailure extends Omit<FailureValue, 'ttlMs'> {
  readonly untilMs: number;
}

/** First and longest back-off per class. */
export interface FailureLimits {
  readonly transientMinMs: number;
  readonly transientMaxMs: number;
  readonly permanentMinMs: number;
  readonly permanentMaxMs: number;
}

/** See the module comment; targets go by the key of their outcome. */
export class FailureMemory {
  /** The newest first. */
  readonly #byTarget = new LRUCache<string, readonly HeldFailure[]>({ max: MAX_TARGETS });
  readonly #limits: FailureLimits;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(limits: FailureLimits, deps: { readonly clock: Clock; readonly random: Random }) {
    this.#limits = limits;
    this.#clock = deps.clock;
    this.#random = deps.random;
  }

  /** The failures of a target that hold now, the newest first. */
  holding(target: string): readonly HeldFailure[] {
    const nowMs = this.#clock.now();
    return (this.#byTarget.get(target) ?? []).filter((failure) => failure.untilMs > nowMs);
  }

  /** The failure that forbids to try these wants now. */
  blocking(target: string, wants: string): HeldFailure | undefined {
    return blockingFailure(this.holding(target), wants);
  }

  /** Decides how long a new failure holds: longer each time in a row, scattered, never beyond its class's limit. */
  fail(target: string, failure: NewFailure): HeldFailure {
    const { transientMinMs, transientMaxMs, permanentMinMs, permanentMaxMs } = this.#limits;
    const [minMs, maxMs] =
      failure.class === 'transient' ? [transientMinMs, transientMaxMs] : [permanentMinMs, permanentMaxMs];
    const nowMs = this.#clock.now();
    // One that failed long ago begins anew.
    const before = (this.#byTarget.get(target) ?? []).find(
      (old) => isSameKind(old, failure) && nowMs - old.untilMs < 2 * permanentMaxMs,
    );
    const inRow = (before?.inRow ?? 0) + 1;
    const ttlMs = Math.min(maxMs, jitterMs(exponentialMs(minMs, maxMs, inRow), JITTER, this.#random));
    const held = { ...failure, inRow, untilMs: nowMs + Math.round(ttlMs) };
    this.#put(target, held);
    return held;
  }

  /** Notes what a leader has published, the newest first. */
  observe(target: string, failures: readonly HeldFailure[]): void {
    const known = this.#byTarget.get(target) ?? [];
    for (const failure of failures.toReversed()) {
      // What this gateway decided itself may hold longer than what was published of it.
      const own = known.find((old) => isSameKind(old, failure) && old.untilMs >= failure.untilMs);
      if (own === undefined) this.#put(target, failure);
    }
  }

  /** The target was made, or its failures are to be forgotten. */
  forget(target: string): void {
    this.#byTarget.delete(target);
  }

  #put(target: string, failure: HeldFailure): void {
    const others = (this.#byTarget.get(target) ?? []).filter((old) => !isSameKind(old, failure));
    this.#byTarget.set(target, [failure, ...others].slice(0, MAX_VARIANTS));
  }
}

/** A transient failure is the target's, whatever was wanted. */
function isSameKind(a: NewFailure | HeldFailure, b: NewFailure | HeldFailure): boolean {
  return a.class === b.class && (a.class === 'transient' || a.wants === b.wants);
}
