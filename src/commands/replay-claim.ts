/**
 * Takes files of the dead letter out of the gateway's hands while they are replayed. The new name comes first: what the
 * gateway acknowledges after that is in another file (see dead-letter-appender.ts), so nothing is removed unread. A
 * replay that is interrupted leaves the file under its new name; the next one takes it again, whole, which is harmless
 * because writes are upserts.
 */
import { type FileHandle, open, readFile, rename, unlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf, type DeadLetterFile, fileName, syncFolder } from '../spool/dead-letter-files.ts';

/** A part of a file. */
export interface FileRange {
  readonly offset: number;
  readonly bytes: number;
}

const COPY_BYTES = 2 ** 20;

/** Renames the file, unless an earlier replay did; answers the path to read. @throws errors of the disk */
export async function claimFile(file: DeadLetterFile): Promise<string> {
  if (file.claimed) return file.path;
  const path = join(dirname(file.path), fileName(file.number, 'replay'));
  await rename(file.path, path);
  return path;
}

/** Puts back what was not taken, ranges in ascending order, and removes the file. @throws errors of the disk */
export async function finishFile(file: DeadLetterFile, left: readonly FileRange[]): Promise<void> {
  const folder = dirname(file.path);
  const claimed = join(folder, fileName(file.number, 'replay'));
  const back = join(folder, fileName(file.number));
  if (left.length > 0) {
    const part = `${back}.part`;
    await copyRanges(claimed, part, left);
    await rename(part, back);
    await syncFolder(folder);
  }
  await unlink(claimed);
}

/** Puts the file back as it was. @throws errors of the disk */
export async function returnFile(file: DeadLetterFile): Promise<void> {
  const folder = dirname(file.path);
  await rename(join(folder, fileName(file.number, 'replay')), join(folder, fileName(file.number)));
}

/** One replay at a time: undefined when another one runs, else how to let the next one in. */
export async function lockFolder(folder: string): Promise<{ unlock(): Promise<void> } | undefined> {
  const path = join(folder, 'replay.lock');
  for (;;) {
    try {
      await writeFile(path, `${process.pid}\n`, { flag: 'wx' });
      return { unlock: () => unlink(path) };
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
    }
    if (isRunning(await ownerOf(path))) return undefined;
    await unlink(path).catch(() => undefined);
  }
}

async function copyRanges(from: string, to: string, ranges: readonly FileRange[]): Promise<void> {
  const source = await open(from, 'r');
  try {
    const target = await open(to, 'w');
    try {
      for (const range of ranges) await copyRange(source, target, range);
      await target.sync();
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

async function copyRange(source: FileHandle, target: FileHandle, range: FileRange): Promise<void> {
  const buffer = Buffer.allocUnsafe(Math.min(range.bytes, COPY_BYTES));
  for (let done = 0; done < range.bytes; ) {
    const length = Math.min(buffer.length, range.bytes - done);
    const { bytesRead } = await source.read(buffer, 0, length, range.offset + done);
    if (bytesRead === 0) throw new Error('the file became shorter while it was read');
    await target.writeFile(buffer.subarray(0, bytesRead));
    done += bytesRead;
  }
}

/** The process that holds the lock; undefined: it let go. */
async function ownerOf(path: string): Promise<number | undefined> {
  try {
    return Number(await readFile(path, 'utf8'));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function isRunning(pid: number | undefined): boolean {
  // A container's processes get the same numbers again and again: our own number is that of a dead one.
  if (pid === undefined || !Number.isSafeInteger(pid) || pid <= 0 || pid === process.pid) return false;
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}
