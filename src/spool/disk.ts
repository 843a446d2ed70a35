/**
 * The spool's disk: lanes of records in LevelDB, one folder and one process. Joins its parts: the lanes in memory, the
 * queue of the group commit, the reader, the folder, and the watch over free space. A batch that fails leaves LevelDB
 * in a state in which what it acknowledges later may not survive; so all appends are refused then, and the folder is
 * opened anew until that works. Opened by app.ts, used by the write log and by parking.
 */
import { GatewayError } from '../errors.ts';
import type { Clock } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';
import type {
  LaneState,
  NewRecord,
  SpoolChange,
  SpoolCommit,
  SpoolDisk,
  SpoolDiskStats,
  StoredRecord,
} from '../model/spool.ts';
import { type Random, systemRandom } from '../util/backoff.ts';
import { createLogSampler } from '../util/log-sampler.ts';
import { type CommitQueue, createCommitQueue, type PendingChange } from './commit-queue.ts';
import { RECOUNT_KEY } from './disk-format.ts';
import { type Lane, LaneDirectory, type LoadedLanes } from './disk-lanes.ts';
import { loadLanes } from './disk-load.ts';
import { createLaneReader, type LaneReader } from './disk-read.ts';
import { createRecovery, type Recovery } from './disk-recovery.ts';
import { freeBytesOf, type SpaceWatch, watchSpace } from './disk-space.ts';
import { isNotOpen, type LevelDb, readValue, writeBatch } from './level.ts';
import { openLevel } from './level-open.ts';

/** Where the spool is and what it may take. */
export interface SpoolDiskOptions {
  /** Folder; made when missing. */
  readonly path: string;
  /** Free bytes to leave on the file system; 0: no limit. */
  readonly minFreeBytes: number;
  /** Bytes of records that wait for the disk; more are refused. At least 1; a larger change passes alone. */
  readonly maxPendingBytes: number;
}

/** Why appends were refused; the value set is closed, so it can be a metric label. */
export type SpoolRefusal = 'overload' | 'failing' | 'space';

/** What the disk counts. */
export interface SpoolDiskMetrics {
  /** A batch with appends was synced; how many records and bytes it appended, and how long that took. */
  committed(records: number, bytes: number, ms: number): void;
  /** A change was refused at once. */
  refused(reason: SpoolRefusal): void;
  /** A batch, or an attempt to open the folder again, failed. */
  failed(): void;
  /** A record whose checksum or version is wrong was read. */
  unreadable(): void;
  /** Acknowledged records are not on disk any more. */
  lost(records: number): void;
  /** LevelDB refused to go on with damaged files, and they were repaired. */
  repaired(): void;
}

/** What the disk needs. */
export interface SpoolDiskDeps {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly metrics: SpoolDiskMetrics;
  /** Scatters the attempts to open again. */
  readonly random?: Random;
  /** Free bytes of the path's file system. */
  readonly freeBytesOf?: (path: string) => Promise<number>;
}

/** Between two log lines of a kind. */
const LOG_MS = 10_000;

/**
 * Opens the spool's folder.
 * @throws {GatewayError} config_invalid: the folder is used by another process, not ours, or not usable; unavailable:
 * the disk fails
 */
export async function openSpoolDisk(options: SpoolDiskOptions, deps: SpoolDiskDeps): Promise<SpoolDisk> {
  const { db, damaged } = await openLevel(options.path, deps);
  try {
    const loaded = await loadAtStart(db, damaged, deps);
    const space = await watchSpace(options.path, options.minFreeBytes, { freeBytesOf, ...deps });
    return new Disk({ options, deps, db, space, loaded });
  } catch (error) {
    await db.close();
    throw error;
  }
}

async function loadAtStart(db: LevelDb, damaged: boolean, deps: SpoolDiskDeps): Promise<LoadedLanes> {
  const { value } = await readValue(db, RECOUNT_KEY);
  const loaded = await loadLanes(db, { damaged, recount: value !== undefined, records: 0 }, deps);
  if (value !== undefined) await writeBatch(db, [{ type: 'del', key: RECOUNT_KEY }], false);
  return loaded;
}

interface DiskParts {
  readonly options: SpoolDiskOptions;
  readonly deps: SpoolDiskDeps;
  readonly db: LevelDb;
  readonly space: SpaceWatch;
  readonly loaded: LoadedLanes;
}

class Disk implements SpoolDisk {
  private readonly options: SpoolDiskOptions;
  private readonly deps: SpoolDiskDeps;
  private readonly db: LevelDb;
  private readonly space: SpaceWatch;
  private readonly directory = new LaneDirectory();
  private readonly queue: CommitQueue;
  private readonly reader: LaneReader;
  private readonly recovery: Recovery;
  /** The last batch that is on disk. */
  private committedGroup = 0;
  /** Records after it, and after the one that is being written. */
  private committedRecords = 0;
  private groupRecords = 0;
  /** Ends when the first records of lanes are known again. */
  private looking: Promise<void> = Promise.resolve();
  private closing: Promise<void> | undefined;

  constructor({ options, deps, db, space, loaded }: DiskParts) {
    this.options = options;
    this.deps = deps;
    this.db = db;
    this.space = space;
    this.directory.replace(loaded);
    this.committedRecords = this.directory.records;
    const { directory } = this;
    this.queue = createCommitQueue({
      write: (changes, sync) => this.write(changes, sync),
      failed: (error, removals) => this.recovery.start(error, removals),
    });
    this.recovery = createRecovery({
      ...deps,
      random: deps.random ?? systemRandom,
      db,
      directory,
      queue: this.queue,
      keptRecords: () => Math.min(this.committedRecords, this.groupRecords),
      recovered: () => {
        this.committedGroup = directory.group - 1;
        this.committedRecords = directory.records;
      },
    });
    this.reader = createLaneReader({
      ...deps,
      db,
      directory,
      committedGroup: () => this.committedGroup,
      changed: () => this.touch(),
      sampler: createLogSampler(LOG_MS, deps.clock),
    });
  }

  commit(change: SpoolChange): SpoolCommit {
    this.assertOpen();
    const { append = [], remove = [] } = change;
    if (append.length > 0) this.assertRoom(append);
    const { seqs, ops, bytes } = this.directory.apply(change);
    const written = this.queue.push({ change, ops, bytes, removalOnly: append.length === 0 });
    if (remove.length === 0) return { seqs, done: written };
    // What a lane begins with after a removal is looked up, so that its age is right when the removal is done.
    const done = written.then(() => this.looking);
    done.catch(() => undefined);
    return { seqs, done };
  }

  async read(lane: number, afterSeq: number, maxBytes: number): Promise<readonly StoredRecord[]> {
    // Reading goes on while the disk fails, but for the moments in which the folder is closed.
    for (let attempt = 0; attempt < 3; attempt++) {
      this.assertOpen();
      await this.recovery.reopened();
      try {
        return await this.reader.read(lane, afterSeq, maxBytes);
      } catch (error) {
        if (!isNotOpen(error)) throw error;
      }
    }
    throw new GatewayError('unavailable', this.recovery.failing ?? "the spool's disk is being opened again");
  }

  laneOf(key: string): LaneState | undefined {
    return this.directory.laneOf(key);
  }

  lanes(): Iterable<LaneState> {
    return this.directory.byId.values();
  }

  stats(): SpoolDiskStats {
    const { byId, records, rows, bytes } = this.directory;
    const { pendingBytes } = this.queue;
    const { freeBytes } = this.space;
    return { lanes: byId.size - 1, records, rows, bytes, pendingBytes, freeBytes, failing: this.failing };
  }

  close(): Promise<void> {
    this.closing ??= this.end();
    return this.closing;
  }

  private async end(): Promise<void> {
    await this.space.close();
    await this.queue.idle();
    await this.recovery.close();
    await this.looking;
    // Removals that the disk would not take; coming back is harmless.
    for (const { done } of this.queue.takeWaiting()) done.resolve();
    if (this.db.status !== 'open') return;
    if (this.failing === undefined)
      await writeBatch(this.db, this.directory.takeGroup(), false).catch(() => undefined);
    await this.db.close();
  }

  private get failing(): string | undefined {
    if (this.recovery.failing !== undefined) return this.recovery.failing;
    if (!this.space.low) return undefined;
    return `free disk space below ${this.options.minFreeBytes} bytes`;
  }

  private assertOpen(): void {
    if (this.closing !== undefined) throw new GatewayError('closed', 'the gateway is stopping');
  }

  private assertRoom(append: readonly NewRecord[]): void {
    const { failing } = this;
    if (failing !== undefined) {
      this.deps.metrics.refused(this.recovery.failing === undefined ? 'space' : 'failing');
      throw new GatewayError('unavailable', failing);
    }
    const { pendingBytes } = this.queue;
    let bytes = pendingBytes;
    for (const record of append) bytes += record.bytes.length;
    if (pendingBytes === 0 || bytes <= this.options.maxPendingBytes) return;
    this.deps.metrics.refused('overload');
    throw new GatewayError('overload', "too much waits for the spool's disk");
  }

  private async write(changes: readonly PendingChange[], sync: boolean): Promise<void> {
    const { clock, metrics } = this.deps;
    const { group, records } = this.directory;
    this.groupRecords = records;
    const ops = changes.flatMap((change) => change.ops);
    ops.push(...this.directory.takeGroup());
    const startMs = clock.now();
    await writeBatch(this.db, ops, sync);
    this.committedGroup = group;
    this.committedRecords = records;
    if (sync) {
      let appended = 0;
      let bytes = 0;
      for (const { change, bytes: size } of changes) {
        appended += change.append?.length ?? 0;
        bytes += size;
      }
      metrics.committed(appended, bytes, clock.now() - startMs);
    }
    const heads = this.directory.takeHeads();
    if (heads.length > 0) this.looking = this.looking.then(() => this.lookAt(heads));
  }

  private async lookAt(heads: Iterable<Lane>): Promise<void> {
    try {
      for (const lane of heads) await this.reader.lookAtHead(lane);
    } catch {
      // The folder is being closed; ages stay as they were until the lane changes again.
    }
  }

  /** Writes what changed without a change. */
  private touch(): void {
    if (this.closing !== undefined) return;
    void this.queue.push({ change: {}, ops: [], bytes: 0, removalOnly: true });
  }
}
