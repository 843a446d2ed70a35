/** How many DDL turns may run, and begin per second. One limiter for the life of a queue, its settings never change. */
import Bottleneck from 'bottleneck';

/** Runs turns within its limits. */
export interface TurnLimiter {
  /** Runs the turn when its time has come; rejects if it was dropped before that. */
  run(turn: () => Promise<void>): Promise<void>;
  /** Drops the turns that have not begun; to be called once. */
  stop(): Promise<void>;
}

/** Bounds of the turns. */
export interface TurnLimits {
  /** Turns that run at a time. */
  readonly concurrency: number;
  /** Turns that begin per second; 0: no limit. */
  readonly ratePerSec: number;
}

/**
 * A limiter by Bottleneck; it measures real time. Spacing by `minTime`, not by a reservoir: that one refills in
 * bursts and needs a timer that never ends. Bottleneck begins 415 turns a second at most, whatever it is told
 * (measured), so without a rate it is left out.
 */
export function createTurnLimiter({ concurrency, ratePerSec }: TurnLimits): TurnLimiter {
  if (ratePerSec === 0) return createPlaces(concurrency);
  const limiter = new Bottleneck({ maxConcurrent: concurrency, minTime: 1_000 / ratePerSec });
  return {
    run: (turn) => limiter.schedule(turn),
    stop: () => limiter.stop({ dropWaitingJobs: true }),
  };
}

/** Bounds only how many run; whose turn ends hands its place to the one that has waited longest. */
function createPlaces(concurrency: number): TurnLimiter {
  const waiting: { readonly begin: () => void; readonly drop: (error: Error) => void }[] = [];
  let running = 0;
  return {
    async run(turn) {
      if (running < concurrency) running++;
      else await new Promise<void>((begin, drop) => waiting.push({ begin, drop }));
      try {
        await turn();
      } finally {
        const next = waiting.shift();
        if (next === undefined) running--;
        else next.begin();
      }
    },
    stop() {
      for (const { drop } of waiting.splice(0)) drop(new Error('the limiter has stopped'));
      return Promise.resolve();
    },
  };
}
