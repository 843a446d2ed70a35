/**
 * Turns SIGTERM and SIGINT into an AbortSignal. The first one asks to stop, also while the gateway is still starting;
 * a second one ends the process at once. Used by main.ts.
 */
import type { Clock } from './model/clock.ts';
import type { Logger } from './model/logger.ts';

/** What the signals come from: the process. */
export interface SignalSource {
  on(signal: 'SIGTERM' | 'SIGINT', listener: () => void): unknown;
}

/** A signal that comes again so soon was asked for once: npm and tsx pass on what the terminal sends to all. */
const ECHO_MS = 500;

/** Aborted by the first signal; `end` is called at the second and must not return. */
export function stopSignal(
  source: SignalSource,
  { clock, logger, end }: { clock: Pick<Clock, 'now'>; logger: Logger; end: () => void },
): AbortSignal {
  const stop = new AbortController();
  let first: { readonly signal: string; readonly atMs: number } | undefined;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    source.on(signal, () => {
      const atMs = clock.now();
      if (first === undefined) {
        first = { signal, atMs };
        logger.info({ signal }, 'stopping');
        stop.abort();
      } else if (signal !== first.signal || atMs - first.atMs > ECHO_MS) {
        logger.warn({ signal }, 'second signal: ending at once');
        end();
      }
    });
  }
  return stop.signal;
}
