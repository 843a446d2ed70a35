/**
 * One log line per kind of event and interval, where clients control how often it happens. The next line of the
 * kind says how many were left out. Kinds come from a closed set, never from clients.
 */
import type { Clock } from '../model/clock.ts';

/** Writes a line unless one of the same kind was written less than the interval ago. */
export interface LogSampler {
  sample(kind: string, write: (suppressed: number) => void): void;
}

/** Makes a sampler; an interval of 0 ms lets every line through. */
export function createLogSampler(intervalMs: number, clock: Pick<Clock, 'now'>): LogSampler {
  const kinds = new Map<string, { nextMs: number; suppressed: number }>();
  return {
    sample(kind, write) {
      const now = clock.now();
      const state = kinds.get(kind);
      if (state !== undefined && now < state.nextMs) {
        state.suppressed++;
        return;
      }
      kinds.set(kind, { nextMs: now + intervalMs, suppressed: 0 });
      write(state?.suppressed ?? 0);
    },
  };
}
