/**
 * How much of its bound the dead letter's folder takes, and what to do at the bound. Other processes remove files (a
 * replay, people), so the folder is looked at again before anything is refused. Used by dead-letter.ts, one call at a
 * time.
 */
import { unlink } from 'node:fs/promises';
import type { Clock } from '../model/clock.ts';
import type { Appender } from './dead-letter-appender.ts';
import { type DeadLetterFile, listFiles } from './dead-letter-files.ts';
import { readFile } from './dead-letter-reader.ts';

/** Where, and what happens at the bound. */
export interface SpaceOptions {
  readonly path: string;
  readonly maxBytes: number;
  readonly whenFull: 'keep' | 'drop-oldest';
}

/** The folder's space. */
export interface Space {
  /** As of the last look, and what was added since. */
  readonly files: number;
  readonly bytes: number;
  /** True when the last look was a while ago. */
  isLookDue(): boolean;
  /** @throws errors of the disk */
  look(): Promise<void>;
  /** True when so many bytes more fit, maybe after the oldest files were dropped. @throws errors of the disk */
  hasRoom(bytes: number): Promise<boolean>;
  /** Counts what was written; `files` new ones. */
  add(bytes: number, files: number): void;
}

/** What it needs. `dropped` is told of each file that was given up. */
export interface SpaceDeps {
  readonly clock: Pick<Clock, 'now'>;
  readonly appender: Appender;
  dropped(file: string, rows: number): void;
}

/** The folder is looked at again after this. */
export const LOOK_MS = 1_000;

/** Makes the space of a folder with these files. */
export function createSpace(options: SpaceOptions, deps: SpaceDeps, found: readonly DeadLetterFile[]): Space {
  const { path, maxBytes, whenFull } = options;
  const { clock, appender } = deps;
  let files = 0;
  let bytes = 0;
  let lookedAtMs = clock.now();
  count(found);

  function count(list: readonly DeadLetterFile[]): void {
    files = list.length;
    bytes = list.reduce((sum, file) => sum + file.bytes, 0);
  }

  function fits(more: number): boolean {
    return bytes + more <= maxBytes;
  }

  async function look(): Promise<void> {
    lookedAtMs = clock.now();
    count(await listFiles(path));
  }

  /** False: there is none that may be dropped. */
  async function dropOldest(): Promise<boolean> {
    const list = await listFiles(path);
    const oldest = list.find(({ claimed }) => !claimed);
    if (oldest === undefined) return false;
    if (oldest.path === appender.current) await appender.rotate();
    const rows = await rowsOf(oldest.path);
    await unlink(oldest.path);
    count(list.filter((file) => file !== oldest));
    deps.dropped(oldest.name, rows);
    return true;
  }

  return {
    get files() {
      return files;
    },
    get bytes() {
      return bytes;
    },
    isLookDue: () => clock.now() - lookedAtMs >= LOOK_MS,
    look,
    async hasRoom(more) {
      if (fits(more)) return true;
      await look();
      if (whenFull === 'drop-oldest' && more <= maxBytes)
        while (!fits(more)) if (!(await dropOldest())) break;
      return fits(more);
    },
    add(moreBytes, moreFiles) {
      bytes += moreBytes;
      files += moreFiles;
    },
  };
}

async function rowsOf(path: string): Promise<number> {
  let rows = 0;
  for await (const item of readFile(path)) if (item.kind === 'entry') rows += item.head.rows;
  return rows;
}
