/** The system's time as the `Clock` that the guard and the DDL queue are given. Tests use a fake one instead. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../model/clock.ts';

/** Node runs a timer longer than this at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** A clock over `performance.now()`, moved by a second so that it is never near 0. A sleep of 0 ms or less takes a turn. */
export function createSystemClock(): Clock {
  return {
    now: () => performance.now() + 1_000,
    wallNow: () => Date.now(),
    sleep: async (ms, signal) => {
      try {
        await delay(
          Math.min(Math.max(ms, 0), MAX_TIMER_MS),
          undefined,
          signal === undefined ? {} : { signal },
        );
      } catch (error) {
        signal?.throwIfAborted();
        throw error;
      }
    },
  };
}
