/** Shorthands for tests of the etcd store. */

import type { EtcdStoreOptions } from '../../src/ddl/etcd-options.ts';
import { createEtcdStore, type EtcdStore } from '../../src/ddl/etcd-store.ts';
import type { Store, WatchEnd } from '../../src/ddl/store.ts';
import type { Logger } from '../../src/model/logger.ts';
import { createSystemClock } from '../../src/util/clock.ts';
import type { Cleanup, Etcd } from './etcd.ts';
import { signal } from './store-fixture.ts';
import { recordWatch, type WatchRecorder } from './watch-recorder.ts';

function ignore(): void {
  // Tests look at answers.
}

/** A logger for nobody. */
export const SILENT: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };

/** A logger that keeps messages of `info` and above. */
export function recordLog(): { readonly logger: Logger; readonly messages: readonly string[] } {
  const messages: string[] = [];
  const note = (_: object, message: string): void => void messages.push(message);
  return { logger: { debug: ignore, info: note, warn: note, error: note }, messages };
}

/** Options for a store over this etcd. */
export function etcdOptions(
  etcd: Pick<Etcd, 'url'>,
  options: Partial<EtcdStoreOptions> = {},
): EtcdStoreOptions {
  return { endpoints: [etcd.url], prefix: '/test', requestTimeoutMs: 3_000, quotaBytes: 0, ...options };
}

/** A store that is closed when the test ends. */
export function openStore(
  cleanup: Cleanup,
  etcd: Pick<Etcd, 'url'>,
  options: Partial<EtcdStoreOptions> = {},
  logger: Logger = SILENT,
): EtcdStore {
  const store = createEtcdStore(etcdOptions(etcd, options), { clock: createSystemClock(), logger });
  cleanup.after(() => store.close());
  return store;
}

/** Watches until the watch ends by itself; answers why. */
export async function watchEnd(store: Store, prefix: string, fromRev: number): Promise<WatchEnd> {
  const watch = recordWatch(store, prefix, fromRev);
  await watch.until(({ ended }) => ended.length > 0);
  return watch.ended[0] as WatchEnd;
}

/** Watches until a watch stands, as callers do; answers it. */
export async function watchUntilOpen(store: Store, prefix: string, fromRev: number): Promise<WatchRecorder> {
  for (;;) {
    const watch = recordWatch(store, prefix, fromRev);
    await watch.until(({ opened, ended }) => opened.length + ended.length > 0);
    if (watch.opened.length > 0) return watch;
  }
}

/** Asks until etcd answers, as callers do; answers the newest revision. */
export async function untilAnswers(store: Store): Promise<number> {
  for (;;) {
    try {
      return (await store.range({ prefix: '/test/', countOnly: true }, signal)).rev;
    } catch {
      // Not yet.
    }
  }
}
