/** A wait with a bound, for promises that others wait for too. */
import type { Clock } from '../model/clock.ts';

/** Made once: an abort without a reason makes an error with a stack each time, which costs more than the wait. */
const OVER = new Error('the wait is over');

/**
 * Resolves with the promise's value, or with undefined when `ms` pass first. The promise itself goes on; neither a
 * timer nor a listener is left behind.
 * @throws the signal's reason when it aborts first.
 */
export async function within<T>(
  promise: Promise<T>,
  ms: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<T | undefined> {
  const stop = new AbortController();
  const onAbort = () => stop.abort(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  const timeout = clock.sleep(ms, stop.signal).then(() => undefined);
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    signal.removeEventListener('abort', onAbort);
    stop.abort(OVER);
  }
}
