/**
 * Parked rows over a real disk and a real dead letter in a folder, a real flush queue and a clock of its own: guard,
 * DDL events and the database are the test's. The clock knows of the disk: a moment ends when nothing is being read
 * or written, so that a test sees the same order each time.
 */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { createBatchPool } from '../../src/model/batch-pool.ts';
import type { DdlEvent } from '../../src/model/ddl-queue.ts';
import type { PointBatch } from '../../src/model/point-batch.ts';
import { type ValueRules, WriteError, type WriteFailure, type Writer } from '../../src/model/sink.ts';
import type { DeadLetter, Parked, SpoolDisk } from '../../src/model/spool.ts';
import { tableKey } from '../../src/model/table.ts';
import { SeriesDictionary } from '../../src/protocol/series-dictionary.ts';
import { createFlushQueue, type FlushQueue } from '../../src/sink/flush-queue.ts';
import { type DeadLetterOptions, openDeadLetter } from '../../src/spool/dead-letter.ts';
import type { FiledEntry, FileRest } from '../../src/spool/dead-letter-reader.ts';
import { openSpoolDisk } from '../../src/spool/disk.ts';
import { createLaneDrainer, type LaneDrainer } from '../../src/spool/lane-drainer.ts';
import type { LaneDrainerOptions } from '../../src/spool/lane-types.ts';
import { createParking, type MeteredParking, type ParkingOptions } from '../../src/spool/parking.ts';
import { createRecordEncoder } from '../../src/spool/record.ts';
import { createDeferred } from '../../src/util/deferred.ts';
import { readAll } from './dead-letter.ts';
import { FakeClock } from './fake-clock.ts';
import { FakeDdlQueue } from './fake-ddl-queue.ts';
import { FakeGuard } from './fake-guard.ts';
import { SILENT } from './guard-rig.ts';
import { readRows } from './parsers.ts';
import { createTestSource } from './points.ts';
import { seededRandom } from './seeded-random.ts';
import { countingMetrics } from './spool-disk.ts';

/** Bounds with room to breathe. */
export const PARKING: ParkingOptions = {
  enabled: true,
  maxBytes: 2 ** 30,
  maxTenantBytes: 2 ** 30,
  maxTableBytes: 2 ** 30,
  maxTables: 20_000,
  maxAgeMs: 0,
  whenFull: 'refuse',
};

/** The defaults, without pacing. */
export const DRAINER: LaneDrainerOptions = {
  replayConcurrency: 4,
  drainBytesPerSec: 0,
  windowBytes: 2 ** 18,
  expireAfterMs: 0,
  closeMs: 4_000,
};

/** Work of the disk under way. */
class Traffic {
  count = 0;

  /** Counts a promise until it has ended. */
  track<T>(promise: Promise<T>): Promise<T> {
    this.count++;
    const end = (): void => void this.count--;
    void Promise.allSettled([promise]).then(end);
    return promise;
  }

  wrapDisk(disk: SpoolDisk): SpoolDisk {
    return {
      commit: (change) => {
        const commit = disk.commit(change);
        void this.track(commit.done);
        return commit;
      },
      read: (...args) => this.track(disk.read(...args)),
      laneOf: (key) => disk.laneOf(key),
      lanes: () => disk.lanes(),
      stats: () => disk.stats(),
      close: () => disk.close(),
    };
  }

  wrapLetter(letter: DeadLetter): DeadLetter {
    return {
      add: (rows) => this.track(letter.add(rows)),
      addRaw: (...args) => this.track(letter.addRaw(...args)),
    };
  }
}

class DiskClock extends FakeClock {
  private readonly traffic: Traffic;

  constructor(traffic: Traffic) {
    super();
    this.traffic = traffic;
  }

  override async settle(): Promise<void> {
    await super.settle();
    while (this.traffic.count > 0) await super.settle();
  }
}

/** A row that came into the database: the number that it carries. */
export interface WrittenRow {
  readonly database: string;
  readonly table: string;
  readonly value: number;
  readonly atMs: number;
}

/** A database that takes everything, until told otherwise. */
export class LaneDatabase implements Writer {
  readonly rows: WrittenRow[] = [];
  /** Writes begun, also those that failed; the most at a time. */
  writes = 0;
  /** Set: writes fail; of a failure of single tables, those with rows of them. */
  failure: WriteFailure | undefined;
  /** Set: writes wait for it. */
  hold: Promise<void> | undefined;
  private readonly clock: FakeClock;

  constructor(clock: FakeClock) {
    this.clock = clock;
  }

  async write(batches: readonly PointBatch[]): Promise<void> {
    this.writes++;
    const rows = batches.flatMap((batch) => this.rowsOf(batch));
    await this.hold;
    if (this.failure !== undefined && concerns(this.failure, rows)) throw new WriteError(this.failure);
    this.rows.push(...rows);
  }

  /** The numbers written to a table, in order. */
  values(table: string): number[] {
    return this.rows.filter((row) => row.table === table).map(({ value }) => value);
  }

  private rowsOf(batch: PointBatch): WrittenRow[] {
    const databases: string[] = [];
    for (let row = 0; row < batch.rows; row++) {
      if (batch.skip[row] === 0) databases.push(batch.series[row]?.tagSet.table.database ?? '');
    }
    return readRows(batch).map(({ table, fields }, i) => ({
      database: databases[i] ?? '',
      table,
      value: Number(fields[0]?.[2]),
      atMs: this.clock.now(),
    }));
  }
}

function concerns({ tables }: WriteFailure, rows: readonly WrittenRow[]): boolean {
  return tables?.every(({ table }) => rows.every((row) => row.table !== table)) !== true;
}

/** What a test sees. */
export interface LaneRig {
  readonly path: string;
  readonly clock: FakeClock;
  readonly disk: SpoolDisk;
  readonly parking: MeteredParking;
  readonly drainer: LaneDrainer;
  readonly guard: FakeGuard;
  readonly queue: FakeDdlQueue;
  readonly database: LaneDatabase;
  readonly flush: FlushQueue;
  readonly log: { drainedSeq: number };
  /** Counted events, such as `parked 3`, and messages of the log. */
  readonly events: string[];
  /** What the file system has left; looked at once a second. */
  freeBytes: number;
  /** Parks one row per number, all of one request. */
  park(
    table: string,
    numbers: readonly number[],
    more?: { database?: string; size?: number },
  ): Promise<Parked>;
  /** Tells that a table was made. */
  announce(table: string): void;
  /** Numbers of the dead letter's rows, with the reason, in order. */
  buried(): Promise<readonly string[]>;
  /** Empties the dead letter's folder. */
  emptyLetter(): Promise<void>;
  /** Closes everything; the folder stays until the tests have ended. */
  close(): Promise<void>;
}

/** What a test may choose. */
export interface LaneRigOptions {
  readonly path?: string;
  readonly parking?: Partial<ParkingOptions>;
  readonly drainer?: Partial<LaneDrainerOptions>;
  readonly letter?: Partial<DeadLetterOptions>;
  readonly values?: ValueRules;
}

const folders: string[] = [];
after(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-lanes-'));
  folders.push(folder);
  return folder;
}

/** Opens a rig whose drainer stands still until it is started; `path`: what an earlier one left. */
export async function openLaneRig(options: LaneRigOptions = {}): Promise<LaneRig> {
  const path = options.path ?? (await newFolder());
  const traffic = new Traffic();
  const clock = new DiskClock(traffic);
  const events: string[] = [];
  const say = (_: object, message: string): void => void events.push(message);
  const logger = { debug: say, info: say, warn: say, error: say };
  const sampler = { sample: (_kind: string, write: (suppressed: number) => void) => write(0) };
  const count =
    (name: string) =>
    (...args: unknown[]) =>
      void events.push([name, ...args].join(' '));
  const ignore = (): void => undefined;
  const opened = await openSpoolDisk(
    { path: join(path, 'spool'), minFreeBytes: 1_000, maxPendingBytes: 2 ** 26 },
    { clock, logger: SILENT, metrics: countingMetrics().metrics, freeBytesOf: async () => rig.freeBytes },
  );
  const disk = traffic.wrapDisk(opened);
  const folder = join(path, 'dead-letter');
  const letter = await openDeadLetter(
    { path: folder, maxBytes: 10 ** 8, fileBytes: 10 ** 7, whenFull: 'keep', ...options.letter },
    {
      clock,
      logger: SILENT,
      metrics: { deadLetterAdded: ignore, deadLetterRefused: ignore, deadLetterDropped: ignore },
    },
  );
  const deadLetter = traffic.wrapLetter(letter);
  const database = new LaneDatabase(clock);
  const flush = createFlushQueue(
    { maxPendingBytes: 2 ** 24, timeoutMs: 60_000 },
    {
      writer: database,
      clock,
      logger: SILENT,
      sampler,
      metrics: { flushed: ignore, flushFailed: ignore, flushRefused: ignore },
    },
  );
  const guard = new FakeGuard();
  const queue = new FakeDdlQueue(clock);
  const log = { drainedSeq: Number.POSITIVE_INFINITY };
  const drainer = createLaneDrainer(
    { ...DRAINER, ...options.drainer },
    {
      disk,
      guard,
      values: options.values,
      queue,
      deadLetter,
      flush,
      clock,
      log,
      logger,
      sampler,
      interner: new SeriesDictionary({ maxSeries: 10_000, maxBytes: 2 ** 24 }, 1),
      batches: createBatchPool(),
      random: seededRandom(1),
      metrics: { replayed: count('replayed'), dead: count('dead'), replayFailed: count('replay failed') },
    },
  );
  const parking = createParking(
    { ...PARKING, ...options.parking },
    {
      disk,
      deadLetter,
      clock,
      encoder: createRecordEncoder(),
      onLane: (key) => drainer.add(key),
      metrics: {
        parked: (rows) => void events.push(`parked ${rows}`),
        refused: count('refused'),
        dead: count('dead'),
      },
    },
  );
  const rig: LaneRig = {
    path,
    clock,
    disk,
    parking,
    drainer,
    guard,
    queue,
    database,
    flush,
    log,
    events,
    freeBytes: 10_000,
    park(table, numbers, { database: name = 'db', size = 0 } = {}) {
      const batch = batchOf(name, table, numbers, size);
      return parking.park(batch, [...numbers.keys()], headOf(clock));
    },
    announce(table) {
      const target = { tenant: 'db', database: 'db', table };
      queue.emit({ kind: 'outcome', target, outcome: { kind: 'ok' } } satisfies DdlEvent);
    },
    async buried() {
      const found = await readAll(folder);
      return found.map(describeEntry);
    },
    async emptyLetter() {
      for (const name of await readdir(folder)) await rm(join(folder, name));
    },
    async close() {
      await drainer.close();
      await flush.close();
      await letter.close();
      await disk.close();
    },
  };
  return rig;
}

/** What is the same for all rows of a request of now. */
export function headOf(clock: FakeClock): Parameters<MeteredParking['park']>[2] {
  return { source: 'influx', askedBy: 'a test', atMs: clock.wallNow() };
}

/** One row per number; `size`: bytes of a string beside it. */
export function batchOf(database: string, table: string, numbers: readonly number[], size = 0): PointBatch {
  return createTestSource(database).batch(
    numbers.map((number, i) => ({
      table,
      timeNs: BigInt(i),
      fields: [
        ['v', ['int64', BigInt(number)]],
        ...(size === 0 ? [] : [['s', ['string', 'x'.repeat(size)]] as const]),
      ],
    })),
  );
}

/** Numbers from `from`, as many as `count`. */
export function range(count: number, from = 0): number[] {
  return Array.from({ length: count }, (_, i) => from + i);
}

/** Parks one request per number. */
export async function parkEach(
  rig: LaneRig,
  table: string,
  numbers: readonly number[],
  size = 0,
): Promise<void> {
  for (const number of numbers) await rig.park(table, [number], { size });
}

/** The lane of a table of the database `db`. */
export function laneOf({ disk }: LaneRig, table: string): ReturnType<SpoolDisk['laneOf']> {
  return disk.laneOf(tableKey({ database: 'db', table }));
}

/** A lock that a test opens. */
export function createHold(): { readonly promise: Promise<void>; readonly open: () => void } {
  const { promise, resolve } = createDeferred<void>();
  return { promise, open: () => resolve() };
}

/** Its reason, and the numbers of its rows. */
function describeEntry(item: FiledEntry | FileRest): string {
  if (item.kind !== 'entry') return item.kind;
  const numbers = [...item.body.toString().matchAll(/v=(-?\d+)i/g)].map(([, number]) => number);
  return [item.head.reason, ...numbers].join(' ');
}
