/**
 * Checks that go on although nobody waits for them: an impatient caller was answered already, but what it asked for is
 * still to be looked up and submitted. At most one per table, bounded in number; what finds no place is left to the
 * caller's next try. Used by admit.ts.
 */
import type { Logger } from '../model/logger.ts';
import { createAbortController } from '../util/abort.ts';

/** See the module comment. */
export interface Pursuits {
  readonly size: number;
  /** Runs the check unless one for the key is under way or there are too many; `signal` aborts when the guard closes. */
  start(key: string, check: (signal: AbortSignal) => Promise<unknown>): void;
  /** Ends all of them. Idempotent. */
  close(): Promise<void>;
}

/** Makes an empty set of at most `max`. */
export function createPursuits(max: number, logger: Logger): Pursuits {
  const closing = createAbortController();
  const running = new Map<string, Promise<void>>();

  async function run(key: string, check: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
    try {
      await check(closing.signal);
    } catch (error) {
      if (!closing.signal.aborted) logger.error({ err: error }, 'a check of a table failed');
    } finally {
      running.delete(key);
    }
  }

  return {
    get size() {
      return running.size;
    },
    start(key, check) {
      if (closing.signal.aborted || running.size >= max || running.has(key)) return;
      // Begins in a later turn, or it could end before it is in the map.
      running.set(
        key,
        Promise.resolve().then(() => run(key, check)),
      );
    },
    async close() {
      closing.abort(new Error('the guard was closed'));
      await Promise.all(running.values());
    },
  };
}
