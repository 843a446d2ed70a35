/**
 * What can be read anew while the gateway runs: parts register by name, one call reloads them all. One reload runs at
 * a time; calls that come meanwhile share the one after it, so whoever changed a file before calling sees it read.
 * A part that fails keeps what it had and does not keep the others from reloading. Called by signals, by watched files
 * and by the admin API.
 */
import type { Logger } from './model/logger.ts';

/** How the reload of one part ended; `error` undefined: it is in force. */
export interface ReloadResult {
  readonly name: string;
  readonly error: string | undefined;
}

/** See the module comment. */
export interface Reloads {
  /** Adds a part; `reload` rejects when what it read can't be used, and then keeps what was in force. */
  add(name: string, reload: () => Promise<void>): void;
  /** Reloads every part, in the order they were added. Never rejects. */
  reload(cause: string): Promise<readonly ReloadResult[]>;
}

/** Makes an empty registry. */
export function createReloads({ logger }: { readonly logger: Logger }): Reloads {
  const parts = new Map<string, () => Promise<void>>();
  let running: Promise<readonly ReloadResult[]> | undefined;
  let next: Promise<readonly ReloadResult[]> | undefined;

  async function reloadAll(cause: string): Promise<readonly ReloadResult[]> {
    const results: ReloadResult[] = [];
    for (const [name, reload] of parts) results.push({ name, error: await errorOf(reload) });
    for (const { name, error } of results) {
      if (error === undefined) logger.info({ part: name, cause }, 'reloaded');
      else logger.error({ part: name, cause, reason: error }, 'not reloaded: what was in force stays');
    }
    return results;
  }

  function start(cause: string): Promise<readonly ReloadResult[]> {
    next = undefined;
    const mine = reloadAll(cause).finally(() => {
      if (running === mine) running = undefined;
    });
    running = mine;
    return mine;
  }

  return {
    add(name, reload) {
      parts.set(name, reload);
    },
    reload(cause) {
      if (running === undefined) return start(cause);
      next ??= running.then(() => start(cause));
      return next;
    },
  };
}

async function errorOf(reload: () => Promise<void>): Promise<string | undefined> {
  try {
    await reload();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
