/**
 * Appends to the newest file of a dead letter's folder, always to one of its own: what a crash left is never written
 * to. What is answered is synced. After an error it goes on with another file. Used by dead-letter.ts, one call at a
 * time.
 */
import { type FileHandle, mkdir, open, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, fileName, listFiles, syncFolder } from './dead-letter-files.ts';

/** The file being written. */
interface OpenFile {
  readonly handle: FileHandle;
  readonly path: string;
  readonly inode: number;
  size: number;
}

/** More renames in a row than a replay can cause. */
const MAX_MOVES = 5;

/** See the module comment. */
export interface Appender {
  /** The file that is being written, by path; undefined: there is none at the moment. */
  readonly current: string | undefined;
  /** Writes and syncs. @throws errors of the disk; whether the bytes are there is unknown then */
  append(bytes: readonly Uint8Array[]): Promise<void>;
  /** Begins another file with the next append. */
  rotate(): Promise<void>;
}

/** Makes an appender; the folder is made when it is needed. */
export function createAppender(folder: string, fileBytes: number): Appender {
  let file: OpenFile | undefined;

  async function rotate(): Promise<void> {
    const done = file;
    file = undefined;
    await done?.handle.close();
  }

  /** Leaves a file that failed: what was not synced is cut off, if that can be done. */
  async function abandon(): Promise<void> {
    const failed = file;
    if (failed === undefined) return;
    file = undefined;
    try {
      await failed.handle.truncate(failed.size);
      if (failed.size === 0) await unlink(failed.path);
    } catch {
      // Readers leave out an entry that is not complete.
    }
    await failed.handle.close().catch(() => undefined);
  }

  async function tryAppend(bytes: readonly Uint8Array[], size: number): Promise<boolean> {
    file ??= await create(folder);
    await writeAll(file.handle, bytes);
    await file.handle.datasync();
    // Since the sync: a replay renames a file before it reads it, so what is still there was not overlooked by one.
    if (!(await isThere(file))) {
      await rotate();
      return false;
    }
    file.size += size;
    return true;
  }

  return {
    get current() {
      return file?.path;
    },
    rotate,
    async append(bytes) {
      const size = bytes.reduce((sum, part) => sum + part.length, 0);
      if (file !== undefined && file.size + size > fileBytes) await rotate();
      try {
        for (let moves = 0; !(await tryAppend(bytes, size)); moves++)
          if (moves === MAX_MOVES) throw new Error('the file is moved away each time it is written');
      } catch (error) {
        await abandon();
        throw error;
      }
    },
  };
}

/** A new file with a number above all others. */
async function create(folder: string): Promise<OpenFile> {
  await mkdir(folder, { recursive: true });
  const files = await listFiles(folder);
  const path = join(folder, fileName((files.at(-1)?.number ?? 0) + 1));
  const handle = await open(path, 'ax');
  try {
    await syncFolder(folder);
    return { handle, path, inode: (await handle.stat()).ino, size: 0 };
  } catch (error) {
    await handle.close();
    await unlink(path).catch(() => undefined);
    throw error;
  }
}

async function writeAll(handle: FileHandle, bytes: readonly Uint8Array[]): Promise<void> {
  let left = bytes;
  while (left.length > 0) {
    let { bytesWritten } = await handle.writev([...left]);
    let done = 0;
    while (done < left.length && bytesWritten >= (left[done] as Uint8Array).length)
      bytesWritten -= (left[done++] as Uint8Array).length;
    const [first, ...others] = left.slice(done);
    left = first === undefined ? [] : [first.subarray(bytesWritten), ...others];
  }
}

async function isThere(file: OpenFile): Promise<boolean> {
  try {
    return (await stat(file.path)).ino === file.inode;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}
