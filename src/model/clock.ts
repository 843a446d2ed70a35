/** Time as the guard and the DDL queue see it: injected, so that tests own it. */

/** A clock; `now` never goes back and does not start at 0 (lru-cache reads 0 as "never"). */
export interface Clock {
  /** Monotonic milliseconds. */
  now(): number;
  /** Milliseconds since the Unix epoch; may jump. */
  wallNow(): number;
  /** Resolves after `ms`; rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}
