/**
 * Reads a file of the dead letter entry by entry, holding one entry at a time. What a crash cut off at the end is told
 * apart from what is damaged: the former was never acknowledged, the latter is to be kept for people.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { type EntryHead, readEntryHead } from './dead-letter-entry.ts';

/** An entry where it lies in its file. */
export interface FiledEntry {
  readonly kind: 'entry';
  readonly head: EntryHead;
  /** What follows the head's line. */
  readonly body: Buffer;
  /** False: the body is not what was written. */
  readonly intact: boolean;
  readonly offset: number;
  readonly bytes: number;
}

/** The end of a file, where entries can't be told apart any more. */
export interface FileRest {
  /** `torn`: an entry that is not complete, as after a crash. `damaged`: no entry at all. */
  readonly kind: 'torn' | 'damaged';
  readonly offset: number;
  readonly bytes: number;
}

const CHUNK_BYTES = 2 ** 18;
/** Names of 64 KiB, each character escaped, fit. */
const MAX_HEAD_BYTES = 2 ** 21;
/** Larger than any entry: a body's limit in base64. */
const MAX_BODY_BYTES = 2 ** 29;
const NEWLINE = 0x0a;

/** The entries of a file as it is now, at last what can't be read. @throws errors of the disk */
export async function* readFile(path: string): AsyncGenerator<FiledEntry | FileRest, void, undefined> {
  const file = await open(path, 'r');
  try {
    yield* entries(new Window(file, (await file.stat()).size));
  } finally {
    await file.close();
  }
}

async function* entries(window: Window): AsyncGenerator<FiledEntry | FileRest, void, undefined> {
  while (window.offset < window.size) {
    const { offset } = window;
    const rest = { offset, bytes: window.size - offset };
    const line = await window.line();
    if (line === undefined) {
      yield { kind: rest.bytes > MAX_HEAD_BYTES ? 'damaged' : 'torn', ...rest };
      return;
    }
    const head = readEntryHead(line.toString('utf8'));
    if (head === undefined || head.bytes > MAX_BODY_BYTES) {
      yield { kind: 'damaged', ...rest };
      return;
    }
    const bytes = line.length + 1 + head.bytes;
    if (bytes > rest.bytes) {
      yield { kind: 'torn', ...rest };
      return;
    }
    const body = (await window.need(bytes)).subarray(line.length + 1, bytes);
    yield { kind: 'entry', head, body, intact: crc32(body) === head.crc, offset, bytes };
    window.advance(bytes);
  }
}

/** A part of a file, from `offset` on as much as was asked for. */
class Window {
  offset = 0;
  readonly size: number;
  private readonly file: FileHandle;
  private bytes = Buffer.alloc(0);

  constructor(file: FileHandle, size: number) {
    this.file = file;
    this.size = size;
  }

  /** The line at the offset without its end; undefined when there is none within what a head may take. */
  async line(): Promise<Buffer | undefined> {
    let searched = 0;
    for (;;) {
      const at = this.bytes.indexOf(NEWLINE, searched);
      if (at >= 0) return this.bytes.subarray(0, at);
      searched = this.bytes.length;
      if (this.offset + searched >= this.size || searched > MAX_HEAD_BYTES) return undefined;
      await this.need(searched + 1);
    }
  }

  /** At least `count` bytes from the offset on, unless the file ends before. */
  async need(count: number): Promise<Buffer> {
    if (count <= this.bytes.length) return this.bytes;
    const left = this.size - this.offset;
    const grown = Buffer.allocUnsafe(Math.min(left, Math.max(count, this.bytes.length + CHUNK_BYTES)));
    this.bytes.copy(grown);
    let filled = this.bytes.length;
    while (filled < grown.length) {
      const { bytesRead } = await this.file.read(grown, filled, grown.length - filled, this.offset + filled);
      if (bytesRead === 0) throw new Error('the file became shorter while it was read');
      filled += bytesRead;
    }
    this.bytes = grown;
    return grown;
  }

  advance(count: number): void {
    this.bytes = this.bytes.subarray(count);
    this.offset += count;
  }
}
