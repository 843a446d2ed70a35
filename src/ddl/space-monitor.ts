/**
 * Watches the store's size and alarm, so that the queue stops adding to it long before it is full: under nospace no
 * leader can be elected and no result be published. Read as a boolean; between the marks it stays as it was.
 */
import type { Clock } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';
import { createAbortController } from '../util/abort.ts';
import type { Store, StoreStatus } from './store.ts';

/** Queueing begins again when the store is this much (of the quota) below the high mark. */
const HYSTERESIS_RATIO = 0.1;

/** See the module comment. */
export interface SpaceMonitor {
  /** True: queue nothing. */
  readonly full: boolean;
  /** Share of the quota that is used, 1 under the alarm, as last seen; undefined: no quota, or not known yet. */
  readonly fill: number | undefined;
  start(): void;
  /** A put was refused for want of space: no need to wait for the next look. */
  refused(): void;
  /** Idempotent. */
  close(): Promise<void>;
}

/** Looks every `spaceCheckMs`; a look that fails changes nothing. */
export function createSpaceMonitor(
  options: { readonly spaceCheckMs: number; readonly spaceHighRatio: number },
  deps: { readonly store: Store; readonly clock: Clock; readonly logger: Logger },
): SpaceMonitor {
  const closing = createAbortController();
  let full = false;
  let fill: number | undefined;
  let running: Promise<void> | undefined;

  const judge = (share: number | undefined): boolean =>
    share !== undefined && share >= options.spaceHighRatio - (full ? HYSTERESIS_RATIO : 0);
  const set = (next: boolean): void => {
    if (next !== full) deps.logger.warn({ full: next }, 'the DDL queue store ran full, or has room again');
    full = next;
  };
  const run = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      try {
        fill = fillOf(await deps.store.status(closing.signal));
        set(judge(fill));
      } catch (error) {
        deps.logger.debug({ err: error }, 'status of the DDL queue store not known');
      }
      await deps.clock.sleep(options.spaceCheckMs, closing.signal).catch(() => undefined);
    }
  };
  return {
    get full() {
      return full;
    },
    get fill() {
      return fill;
    },
    start: () => {
      running ??= run();
    },
    refused: () => set(true),
    close: async () => {
      closing.abort();
      await running;
    },
  };
}

function fillOf({ nospace, quotaBytes, dbSizeBytes }: StoreStatus): number | undefined {
  if (nospace) return 1;
  return quotaBytes === undefined ? undefined : dbSizeBytes / quotaBytes;
}
