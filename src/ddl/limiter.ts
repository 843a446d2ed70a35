/** How many DDL turns may run, and begin per second. One limiter for the life of a queue, its settings never change. */
import Bottleneck from 'bottleneck';

/** Runs turns within its limits. */
export interface TurnLimiter {
  /** Runs the turn when its time has come; rejects if it was dropped before that. */
  run(turn: () => Promise<void>): Promise<void>;
  /** Drops the turns that have not begun; to be called once. */
  stop(): Promise<void>;
}

/**
 * A limiter by Bottleneck; it measures real time. Spacing by `minTime`, not by a reservoir: that one refills in
 * bursts and needs a timer that never ends.
 */
export function createTurnLimiter(limits: {
  readonly concurrency: number;
  readonly ratePerSec: number;
}): TurnLimiter {
  const limiter = new Bottleneck({ maxConcurrent: limits.concurrency, minTime: 1_000 / limits.ratePerSec });
  return {
    run: (turn) => limiter.schedule(turn),
    stop: () => limiter.stop({ dropWaitingJobs: true }),
  };
}
