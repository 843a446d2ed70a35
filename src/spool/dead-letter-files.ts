/**
 * The folder of a dead letter: files `dead-letter-<n>.lp`, written in the order of their numbers. A file that is being
 * replayed is called `dead-letter-<n>.replay` meanwhile, which also tells the gateway to write to another one.
 */
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** A file of the folder. */
export interface DeadLetterFile {
  readonly name: string;
  readonly path: string;
  readonly number: number;
  readonly bytes: number;
  /** It was taken for a replay, which is under way or was interrupted. */
  readonly claimed: boolean;
}

const NAME = /^dead-letter-(\d{1,15})\.(lp|replay)$/;

/** The name of a file that is written, or that was. */
export function fileName(number: number, suffix: 'lp' | 'replay' = 'lp'): string {
  return `dead-letter-${String(number).padStart(6, '0')}.${suffix}`;
}

/** All files in the order of their numbers; none when the folder is not there. @throws other errors of the disk */
export async function listFiles(folder: string): Promise<DeadLetterFile[]> {
  const files: DeadLetterFile[] = [];
  for (const name of await namesIn(folder)) {
    const [, digits, suffix] = NAME.exec(name) ?? [];
    if (digits === undefined) continue;
    const path = join(folder, name);
    const bytes = await sizeOf(path);
    if (bytes === undefined) continue;
    files.push({ name, path, number: Number(digits), bytes, claimed: suffix === 'replay' });
  }
  return files.sort((a, b) => a.number - b.number || Number(b.claimed) - Number(a.claimed));
}

/** Makes the names that were put into the folder last. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The error's code, such as ENOENT. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Undefined: it vanished. */
async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
