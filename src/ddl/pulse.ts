/** Wakes a loop that waits for something to look at: a beat that nobody waited for is not lost. */
import type { Clock } from '../model/clock.ts';
import { unlessAborted, withChildAbort } from '../util/abort.ts';
import { createDeferred, type Deferred } from '../util/deferred.ts';

/** See the module comment; for one waiter at a time. */
export interface Pulse {
  beat(): void;
  /** Resolves at the next beat, at once if one came since the last wait. @throws the reason of `signal` */
  wait(signal: AbortSignal): Promise<void>;
  /** Like `wait`, for at most `ms`. */
  waitFor(ms: number, clock: Clock, signal: AbortSignal): Promise<void>;
}

/** A pulse without a beat. */
export function createPulse(): Pulse {
  let beaten = false;
  let waiter: Deferred<void> | undefined;
  const wait = async (signal: AbortSignal): Promise<void> => {
    if (!beaten) {
      waiter = createDeferred<void>();
      await unlessAborted(waiter.promise, signal);
    }
    signal.throwIfAborted();
    beaten = false;
  };
  return {
    beat: () => {
      beaten = true;
      waiter?.resolve();
    },
    wait,
    waitFor: async (ms, clock, signal) => {
      await withChildAbort(signal, async (child) => {
        const beat = wait(child.signal).catch(() => undefined);
        const slept = clock.sleep(ms, child.signal).catch(() => undefined);
        await Promise.race([beat, slept]);
        child.abort();
        await Promise.all([beat, slept]);
      });
      signal.throwIfAborted();
    },
  };
}
