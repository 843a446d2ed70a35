/** A limiter in simulated time: turns begin at least so far apart, and those that wait are dropped when it stops. */
import type { TurnLimiter } from '../../src/ddl/limiter.ts';
import type { Clock } from '../../src/model/clock.ts';

/** Spaces turns as the product's limiter does by `minTime`. */
export function createSimLimiter(clock: Clock, ratePerSec: number): TurnLimiter {
  const stopping = new AbortController();
  const spacingMs = 1_000 / ratePerSec;
  let nextMs = 0;
  return {
    run: async (turn) => {
      const atMs = Math.max(clock.now(), nextMs);
      nextMs = atMs + spacingMs;
      await clock.sleep(atMs - clock.now(), stopping.signal);
      await turn();
    },
    stop: () => {
      stopping.abort(new Error('the limiter has stopped'));
      return Promise.resolve();
    },
  };
}
