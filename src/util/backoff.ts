/** Delays that grow and scatter, as pure functions: callers own the clock, the random source and the count. */

/** A number in [0, 1); injected wherever chance decides, so that tests and simulations can replay it. */
export type Random = () => number;

/** The random source outside of tests. */
export const systemRandom: Random = () => Math.random();

/** `baseMs` doubled for every attempt after the first (`attempt` from 1), at most `maxMs`. */
export function exponentialMs(baseMs: number, maxMs: number, attempt: number): number {
  return Math.min(maxMs, baseMs * 2 ** Math.min(attempt - 1, 52));
}

/** `ms` scattered evenly over ±`ratio` (0.2: from 80 % to 120 %). */
export function jitterMs(ms: number, ratio: number, random: Random): number {
  return ms * (1 + ratio * (2 * random() - 1));
}
