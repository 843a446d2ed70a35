/** Which failure forbids what: the same rule for submits, which read outcomes, and for the leader, which remembers. */
import type { FailureValue } from './codec.ts';

/**
 * Sets of columns that may have failed for one table at the same time. With fewer, one client's impossible column
 * can't keep other columns from a table; with as many all are held, or a client that varies its columns would get an
 * attempt for each.
 */
export const MAX_VARIANTS = 8;

/** The failure, among those that hold, that forbids to try these wants; one for other wants comes as transient. */
export function blockingFailure<T extends Pick<FailureValue, 'class' | 'wants'>>(
  holding: readonly T[],
  wants: string,
): T | undefined {
  const exact = holding.find((failure) => failure.wants === wants);
  if (exact !== undefined) return exact;
  const any =
    holding.find((failure) => failure.class === 'transient') ??
    (holding.length >= MAX_VARIANTS ? holding.at(-1) : undefined);
  return any === undefined ? undefined : { ...any, class: 'transient', wants };
}
