/**
 * Reads lanes for the spool's disk, around whatever is damaged. What the counts say is there and the disk does not
 * have is taken out of the counts when the lane has come to its end, counted and logged, so that nobody waits for it.
 */
import type { Logger } from '../model/logger.ts';
import type { StoredRecord } from '../model/spool.ts';
import type { LogSampler } from '../util/log-sampler.ts';
import { decodeRecord, HEADER_BYTES, MAX_NUMBER, recordKey } from './disk-format.ts';
import type { Lane, LaneDirectory } from './disk-lanes.ts';
import { type LevelDb, readWindow } from './level.ts';

/** What reading counts. */
export interface LaneReaderMetrics {
  /** A record whose checksum or version is wrong was read. */
  unreadable(): void;
  /** Records that were acknowledged are not on disk any more. */
  lost(records: number): void;
}

/** What reading needs. */
export interface LaneReaderDeps {
  readonly db: LevelDb;
  readonly directory: LaneDirectory;
  /** The last batch that was written. */
  readonly committedGroup: () => number;
  /** Writes what was taken out of the counts. */
  readonly changed: () => void;
  readonly logger: Logger;
  readonly sampler: LogSampler;
  readonly metrics: LaneReaderMetrics;
}

/** See the module comment. Both throw when the database is not open. */
export interface LaneReader {
  /** As `SpoolDisk.read`. */
  read(lane: number, afterSeq: number, maxBytes: number): Promise<readonly StoredRecord[]>;
  /** Finds out what the lane's first record is. */
  lookAtHead(lane: Lane): Promise<void>;
}

/** Makes a reader. */
export function createLaneReader(deps: LaneReaderDeps): LaneReader {
  return new Reader(deps);
}

class Reader implements LaneReader {
  private readonly deps: LaneReaderDeps;

  constructor(deps: LaneReaderDeps) {
    this.deps = deps;
  }

  async read(id: number, afterSeq: number, maxBytes: number): Promise<readonly StoredRecord[]> {
    const { directory, metrics } = this.deps;
    const lane = directory.byId.get(id);
    if (lane === undefined || lane.records === 0) return [];
    const records = await this.window(lane, Math.max(afterSeq + 1, lane.headSeq), maxBytes);
    if (records.length === 0) await this.lookAtHead(lane);
    for (const { seq, data } of records) {
      if (data !== undefined) continue;
      metrics.unreadable();
      this.report('a record of the spool is unreadable', { lane: lane.name, seq });
    }
    return records;
  }

  async lookAtHead(lane: Lane): Promise<void> {
    const { directory, committedGroup } = this.deps;
    const { version, headVersion } = lane;
    const settled = lane.group <= committedGroup();
    const [head] = await this.window(lane, lane.headSeq, 1);
    if (head !== undefined) {
      const oldestAtMs = head.data === undefined ? lane.oldestAtMs : head.atMs;
      directory.setHead(lane, headVersion, { seq: head.seq, oldestAtMs });
    } else if (settled && lane.version === version) this.setLost(lane);
  }

  private async window(lane: Lane, fromSeq: number, maxBytes: number): Promise<readonly StoredRecord[]> {
    if (fromSeq > MAX_NUMBER) return [];
    const { db, directory } = this.deps;
    // Only damage makes a number that was not given out; who read on from it would miss all records to come.
    const range = { gte: recordKey(lane.id, fromSeq), lt: recordKey(lane.id, directory.nextSeq) };
    const { entries, damage } = await readWindow(db, range, { maxBytes, headerBytes: HEADER_BYTES });
    if (damage !== undefined) this.report('a part of the spool can not be read', { err: damage });
    return entries.map(([key, value]) => decodeRecord(key, value));
  }

  /** Called when the disk has none of the lane's records. */
  private setLost(lane: Lane): void {
    const { directory, logger, metrics, changed } = this.deps;
    const { records, rows, bytes, name } = lane;
    if (records === 0) return;
    metrics.lost(records);
    logger.error(
      { ...name, records, rows, bytes },
      'acknowledged records of the spool are gone from the disk',
    );
    directory.forget(lane, { records, rows, bytes });
    changed();
  }

  private report(message: string, fields: object): void {
    const { logger, sampler } = this.deps;
    sampler.sample(message, (suppressed) => logger.error({ ...fields, suppressed }, message));
  }
}
