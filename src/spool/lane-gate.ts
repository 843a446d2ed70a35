/**
 * Whether one more lane may go to work now. Live traffic comes first: the replay is paced in bytes, and while requests
 * wait to be written one lane works at a time. While the database fails, all lanes share one back-off, after which one
 * of them tries; the first write that succeeds opens the gate for all. Made and called by lane-drainer.ts.
 */
import type { Clock } from '../model/clock.ts';
import { exponentialMs, jitterMs, type Random } from '../util/backoff.ts';

const MIN_DOWN_MS = 500;
const MAX_DOWN_MS = 10_000;

/** Bounds of the replay. */
export interface LaneGateOptions {
  /** Lanes at work at a time, at least 1. */
  readonly replayConcurrency: number;
  /** Bytes written per second; 0: no limit. */
  readonly drainBytesPerSec: number;
}

/** What the gate looks at. */
export interface LaneGateDeps {
  readonly clock: Pick<Clock, 'now'>;
  readonly random: Random;
  /** Batches of requests that wait to be written. */
  readonly liveBatches: () => number;
}

/** See the module comment. */
export interface LaneGate {
  /** Why the database takes no rows; undefined: it does, as far as is known. */
  readonly down: string | undefined;
  /** How long until another lane may go to work, with so many at work; undefined: not before one of them ends. */
  opensInMs(working: number): number | undefined;
  /** A lane goes to work on about so many bytes. */
  take(bytes: number): void;
  /** It wrote that many of them. */
  settle(taken: number, written: number): void;
  /** The database failed. */
  failed(message: string): void;
  /** A write succeeded; answers whether that ended a failure. */
  succeeded(): boolean;
}

/** Makes an open gate. */
export function createLaneGate(options: LaneGateOptions, deps: LaneGateDeps): LaneGate {
  const { replayConcurrency, drainBytesPerSec } = options;
  const { clock, random, liveBatches } = deps;
  const msPerByte = drainBytesPerSec === 0 ? 0 : 1_000 / drainBytesPerSec;
  /** When what was written so far will have had its time. */
  let paidMs = 0;
  let outage: { readonly message: string; readonly failures: number; readonly untilMs: number } | undefined;

  return {
    get down() {
      return outage?.message;
    },
    opensInMs(working) {
      const alone = outage !== undefined || liveBatches() > 0;
      if (working >= (alone ? 1 : replayConcurrency)) return undefined;
      return Math.max(0, paidMs - clock.now(), (outage?.untilMs ?? 0) - clock.now());
    },
    take(bytes) {
      paidMs = Math.max(paidMs, clock.now()) + bytes * msPerByte;
    },
    settle(taken, written) {
      paidMs += (written - taken) * msPerByte;
    },
    failed(message) {
      const now = clock.now();
      // Lanes that were at work at the same time are one failure.
      if (outage !== undefined && now < outage.untilMs) return;
      const failures = (outage?.failures ?? 0) + 1;
      const waitMs = jitterMs(exponentialMs(MIN_DOWN_MS, MAX_DOWN_MS, failures), 0.2, random);
      outage = { message, failures, untilMs: now + waitMs };
    },
    succeeded() {
      const ended = outage !== undefined;
      outage = undefined;
      return ended;
    },
  };
}
