/**
 * Spaces jobs out: Bottleneck with settings that never change, for a handful of jobs a second (it manages some 400,
 * and each costs it milliseconds, so it has no place on the ingest path). Its time is the system's, which is why
 * the guard gets it by argument and tests run without it.
 */
import Bottleneck from 'bottleneck';

/** Runs one job at a time, in order. */
export interface Pace {
  /** @throws what the job throws, or an error when `stop` drops the job before it began. */
  run<T>(job: () => Promise<T>): Promise<T>;
  /** Drops the jobs that wait and resolves when the running one has ended. Call it once. */
  stop(): Promise<void>;
}

/** A pace with at least `minIntervalMs` (0 or more, default 20) from the start of one job to that of the next. */
export function createPace(minIntervalMs: number): Pace {
  const limiter = new Bottleneck({ maxConcurrent: 1, minTime: minIntervalMs });
  return {
    run: (job) => limiter.schedule(job),
    stop: async () => {
      await limiter.stop({ dropWaitingJobs: true });
    },
  };
}
