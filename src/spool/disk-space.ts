/**
 * Looks at the free space of the spool's file system, once a second; the way of a record only reads what was seen.
 * Also keeps LevelDB's own log from growing: it writes some lines for every few MiB and never begins it anew.
 */
import { stat, statfs, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../model/clock.ts';
import { createAbortController } from '../util/abort.ts';

const LOOK_MS = 1_000;
/** LevelDB goes on where it was, so the file stays long, but without blocks before that. */
const MAX_LOG_BYTES = 4 * 2 ** 20;
const BLOCK_BYTES = 512;

/** What was seen last. */
export interface SpaceWatch {
  /** Undefined: the file system did not say. */
  readonly freeBytes: number | undefined;
  /** Less is free than is to be left. */
  readonly low: boolean;
  /** Ends the looking. Idempotent. */
  close(): Promise<void>;
}

/** What it needs. */
export interface SpaceWatchDeps {
  readonly clock: Clock;
  /** Free bytes for this process; tests give their own. */
  readonly freeBytesOf: (path: string) => Promise<number>;
}

/** What a process without privileges may still write to the path's file system, in bytes. */
export async function freeBytesOf(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

/** Looks for the first time before it resolves. `minFreeBytes` 0: never low. */
export async function watchSpace(
  path: string,
  minFreeBytes: number,
  { clock, freeBytesOf }: SpaceWatchDeps,
): Promise<SpaceWatch> {
  const controller = createAbortController();
  let freeBytes: number | undefined;
  const look = async (): Promise<void> => {
    freeBytes = await freeBytesOf(path).catch(() => undefined);
  };
  const run = async (): Promise<void> => {
    for (;;) {
      await clock.sleep(LOOK_MS, controller.signal);
      await look();
      await shorten(join(path, 'LOG')).catch(() => undefined);
    }
  };
  await look();
  const running = run().catch(() => undefined);
  return {
    get freeBytes() {
      return freeBytes;
    },
    get low() {
      return freeBytes !== undefined && freeBytes < minFreeBytes;
    },
    async close() {
      controller.abort(new Error('closed'));
      await running;
    },
  };
}

async function shorten(log: string): Promise<void> {
  const { blocks } = await stat(log);
  if (blocks * BLOCK_BYTES > MAX_LOG_BYTES) await truncate(log);
}
