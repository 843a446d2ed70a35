/**
 * Puts files to use again when they have changed: looked at every so often, and at once when asked (SIGHUP). Looking is
 * enough for everything that replaces files (editors, certificate clients, mounted secrets), where watching is not.
 * What can't be used changes nothing: the last good state stays, and the failure is logged once per change and counted.
 */
import { statSync } from 'node:fs';
import type { Clock } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';
import { createAbortController } from './abort.ts';

/** What is reloaded; a label of metrics. */
export type ReloadKind = 'users' | 'certificate';

/** Files that are used, and how. */
export interface ReloadOptions {
  readonly what: ReloadKind;
  readonly files: readonly string[];
  /** How often they are looked at. */
  readonly everyMs: number;
  /** Reads and puts to use; throws, and then has changed nothing. */
  use(): void;
}

/** What it needs; `reloaded` counts. */
export interface ReloadDeps {
  readonly clock: Pick<Clock, 'sleep'>;
  readonly logger: Logger;
  reloaded(what: ReloadKind, ok: boolean): void;
}

/** See the module comment. */
export interface Reload {
  /** Reads the files again, changed or not. Never throws. */
  now(): void;
  /** True while what is in use is older than the files. */
  readonly stale: boolean;
  /** Idempotent. */
  close(): Promise<void>;
}

/** Uses the files a first time, then looks after them. @throws what `use` throws the first time. */
export function createReload(options: ReloadOptions, deps: ReloadDeps): Reload {
  const { what, files, everyMs } = options;
  const { clock, logger } = deps;
  const closing = createAbortController();
  let seen = stateOf(files);
  let stale = false;
  options.use();

  function now(): void {
    seen = stateOf(files);
    try {
      options.use();
      stale = false;
      logger.info({ what, files }, 'reloaded');
    } catch (error) {
      stale = true;
      logger.error({ what, files, err: error }, 'could not reload; the last good state stays in use');
    }
    deps.reloaded(what, !stale);
  }

  async function watch(): Promise<void> {
    while (!closing.signal.aborted) {
      await clock.sleep(everyMs, closing.signal).catch(() => undefined);
      if (!closing.signal.aborted && stateOf(files) !== seen) now();
    }
  }

  const watching = watch();
  return {
    now,
    get stale() {
      return stale;
    },
    async close() {
      closing.abort(new Error('closed'));
      await watching;
    },
  };
}

/** Differs when a file was written, replaced, removed, or made. */
function stateOf(files: readonly string[]): string {
  return files.map(stateOfOne).join('\n');
}

function stateOfOne(file: string): string {
  try {
    const { ino, size, mtimeMs } = statSync(file);
    return `${ino} ${size} ${mtimeMs}`;
  } catch {
    return 'unreadable';
  }
}
