/**
 * LevelDB as the spool needs it: batches, and reading ranges in windows. A range that holds a damaged block is read
 * around it, which LevelDB can do only entry by entry. Errors are LevelDB's own; opening is in level-open.ts.
 */
import { Buffer } from 'node:buffer';
import type { ClassicLevel } from 'classic-level';

/** The database behind it. */
export type LevelDb = ClassicLevel<Uint8Array, Uint8Array>;

/** A put or a removal. */
export type LevelOp =
  | { readonly type: 'put'; readonly key: Buffer; readonly value: Buffer }
  | { readonly type: 'del'; readonly key: Buffer };

/** A key and its value. */
export type LevelEntry = readonly [key: Buffer, value: Buffer];

/** Some entries of a range. */
export interface LevelWindow {
  readonly entries: readonly LevelEntry[];
  /** Blocks could not be read: entries may be missing. */
  readonly damage: unknown;
}

/** Keys from `gte` up to `lt`, exclusively. */
export interface LevelRange {
  readonly gte: Buffer;
  readonly lt: Buffer;
}

const ENCODING = { keyEncoding: 'view', valueEncoding: 'view' } as const;
/** Entries of one step, so that handing them over never takes long. */
const STEP_ENTRIES = 1_000;
const ALL_LIMIT = { maxBytes: 2 ** 20, headerBytes: 0 };
const ZERO = Buffer.alloc(1);

/** All of it or nothing; with `sync` it is on disk afterwards. */
export async function writeBatch(db: LevelDb, ops: readonly LevelOp[], sync: boolean): Promise<void> {
  await db.batch(ops as LevelOp[], { ...ENCODING, sync });
}

/** The value of a key, and what kept it from being read. Not by `get`, for a damaged filter would hide a value from it. */
export async function readValue(
  db: LevelDb,
  key: Buffer,
): Promise<{ readonly value: Buffer | undefined; readonly damage: unknown }> {
  const { entries, damage } = await readWindow(db, { gte: key, lt: Buffer.concat([key, ZERO]) }, ALL_LIMIT);
  return { value: entries[0]?.[1], damage };
}

/** Whether there are values, key by key. */
export function haveValues(db: LevelDb, keys: readonly Buffer[]): Promise<boolean[]> {
  return db.hasMany(keys as Buffer[], ENCODING);
}

/** How much of a range to read: the first entries whose values fit, at least one. */
export interface WindowLimit {
  /** Of values. */
  readonly maxBytes: number;
  /** Bytes of each value that don't count. */
  readonly headerBytes: number;
}

/** The first entries of a range; none: there are none. @throws when the database is not open (`isNotOpen`) */
export async function readWindow(db: LevelDb, range: LevelRange, limit: WindowLimit): Promise<LevelWindow> {
  try {
    const entries: LevelEntry[] = [];
    await readInto(entries, db.iterator(iteratorOptions(range, limit)), limit, STEP_ENTRIES);
    return { entries, damage: undefined };
  } catch (error) {
    if (isNotOpen(error)) throw error;
    // With its error LevelDB drops what it read before. One by one nothing is dropped, and the error is the range's end.
    const entries: LevelEntry[] = [];
    try {
      await readInto(entries, db.iterator(iteratorOptions(range, limit)), limit, 1);
    } catch (again) {
      if (isNotOpen(again)) throw again;
    }
    return { entries, damage: error };
  }
}

/** All entries of a range, window by window; what is damaged is left out and told to `onDamage`. */
export async function* readAll(
  db: LevelDb,
  { gte, lt }: LevelRange,
  onDamage: (error: unknown) => void,
): AsyncGenerator<readonly LevelEntry[]> {
  for (let from = gte; ; ) {
    const { entries, damage } = await readWindow(db, { gte: from, lt }, ALL_LIMIT);
    if (damage !== undefined) onDamage(damage);
    const last = entries.at(-1);
    if (last === undefined) return;
    yield entries;
    from = Buffer.concat([last[0], ZERO]);
  }
}

/** True for what a database answers that was closed, maybe to be opened again. */
export function isNotOpen(error: unknown): boolean {
  if (!(error instanceof Error && 'code' in error)) return false;
  return error.code === 'LEVEL_DATABASE_NOT_OPEN' || error.code === 'LEVEL_ITERATOR_NOT_OPEN';
}

function iteratorOptions(range: LevelRange, { maxBytes }: WindowLimit): object {
  // The cache would hold blocks that are read once.
  return { ...range, ...ENCODING, highWaterMarkBytes: Math.min(maxBytes, 2 ** 30), fillCache: false };
}

async function readInto(
  entries: LevelEntry[],
  iterator: ReturnType<LevelDb['iterator']>,
  { maxBytes, headerBytes }: WindowLimit,
  step: number,
): Promise<void> {
  let bytes = 0;
  try {
    for (;;) {
      const read = (await iterator.nextv(step)) as unknown as LevelEntry[];
      if (read.length === 0) return;
      for (const entry of read) {
        bytes += Math.max(0, entry[1].length - headerBytes);
        if (bytes > maxBytes && entries.length > 0) return;
        entries.push(entry);
      }
    }
  } finally {
    await iterator.close();
  }
}
