/** What the commands over the admin API read from files: a token, and what a dry run is about. */
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';

/** More than a gateway takes unless it is told to. */
const MAX_BODY_BYTES = 256 * 2 ** 20;

/** The token in a file, blanks around it left out; a rejection says what is wrong with the file. */
export async function readToken(file: string): Promise<string> {
  const token = (await readFile(file, 'utf8')).trim();
  if (token === '') throw new Error(`${file} is empty`);
  return token;
}

/** The bytes of a file, or of standard input for `-`; a rejection says what is wrong with it. */
export async function readBody(file: string, signal: AbortSignal): Promise<Buffer> {
  const stream = file === '-' ? process.stdin : createReadStream(file, { signal });
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of stream as AsyncIterable<Buffer>) {
    signal.throwIfAborted();
    bytes += piece.length;
    if (bytes > MAX_BODY_BYTES) throw new Error(`${file} has more than ${MAX_BODY_BYTES} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
