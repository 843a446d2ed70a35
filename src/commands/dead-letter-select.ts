/** Which files of the dead letter a command is about. */
import { basename } from 'node:path';
import { type DeadLetterFile, listFiles } from '../spool/dead-letter-files.ts';

/** The files named (by name or path), or all; `missing`: the first name for which there is no file. */
export async function selectFiles(
  path: string,
  names: readonly string[],
): Promise<{ readonly files: readonly DeadLetterFile[]; readonly missing: string | undefined }> {
  const all = await listFiles(path);
  if (names.length === 0) return { files: all, missing: undefined };
  const wanted = new Set(names.map((name) => basename(name)));
  const files = all.filter(({ name }) => wanted.has(name));
  const found = new Set(files.map(({ name }) => name));
  return { files, missing: names.find((name) => !found.has(basename(name))) };
}
