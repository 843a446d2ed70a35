/** Reads entries of the log back from disk. What can't be read goes to the dead letter. Used by write-log.ts. */
import { LOG_LANE, type StoredRecord } from '../model/spool.ts';
import type { GapRange } from './write-log-queue.ts';
import type { LogEntry, WriteLogDeps } from './write-log-types.ts';

/** What was read; `lastSeq` undefined: there was nothing. */
export interface ReadEntries {
  /** Their batches have one user, the caller. */
  readonly entries: readonly LogEntry[];
  readonly lastSeq: number | undefined;
  /** Of the records. */
  readonly bytes: number;
}

/** The next entries of a range, whose end may fall while they are read; about so many bytes, at least one record. */
export async function readEntries(
  deps: WriteLogDeps,
  range: () => GapRange,
  maxBytes: number,
): Promise<ReadEntries> {
  const found = await deps.disk.read(LOG_LANE, range().after, maxBytes);
  const entries: LogEntry[] = [];
  let lastSeq: number | undefined;
  let bytes = 0;
  for (const record of found) {
    if (record.seq > range().upTo) break;
    const entry = decode(deps, record) ?? (await bury(deps, record));
    if (entry !== undefined) entries.push(entry);
    lastSeq = record.seq;
    bytes += record.bytes;
  }
  return { entries, lastSeq, bytes };
}

function decode(deps: WriteLogDeps, record: StoredRecord): LogEntry | undefined {
  if (record.data === undefined) return undefined;
  try {
    const { batch, head } = deps.decode(record.data);
    batch.users++;
    // There is no request that would release it.
    batch.released = true;
    return { records: [record], batch, head, heldBytes: record.data.length + batch.capacityBytes };
  } catch {
    return undefined;
  }
}

/** What finds no place in the dead letter stays on disk, for the next start. */
async function bury(deps: WriteLogDeps, record: StoredRecord): Promise<undefined> {
  const { deadLetter, disk, logger, metrics } = deps;
  try {
    await deadLetter.addRaw(record.raw, 'unreadable record of the write log');
    disk.commit({ remove: [{ lane: LOG_LANE, records: [record] }] }).done.catch(() => undefined);
    metrics.left('dead_letter', record.rows);
  } catch (error) {
    logger.error({ seq: record.seq, err: error }, 'an unreadable record of the log stays where it is');
  }
}
