/** A write log over fakes: disk, guard, database and clock are the test's. */
import type { TestContext } from 'node:test';
import { createBatchPool } from '../../src/model/batch-pool.ts';
import type { ValueRules } from '../../src/model/sink.ts';
import type { DeadRows, Parking } from '../../src/model/spool.ts';
import { createLineParser } from '../../src/protocol/line-protocol.ts';
import { SeriesDictionary } from '../../src/protocol/series-dictionary.ts';
import { createFlushQueue } from '../../src/sink/flush-queue.ts';
import { createRecordEncoder } from '../../src/spool/record.ts';
import { decode } from '../../src/spool/record-decode.ts';
import { openWriteLog } from '../../src/spool/write-log.ts';
import type { OpenWriteLog, WriteLogOptions } from '../../src/spool/write-log-types.ts';
import { FakeClock } from './fake-clock.ts';
import { FakeGuard } from './fake-guard.ts';
import { FakeSpoolDisk } from './fake-spool-disk.ts';
import { FakeWriter } from './fake-writer.ts';
import { SILENT } from './guard-rig.ts';
import { DEFAULT_LIMITS } from './parsers.ts';

/** How long rows linger. */
export const LINGER_MS = 50;

/** What a test sees. */
export interface LogRig {
  readonly log: OpenWriteLog;
  readonly disk: FakeSpoolDisk;
  readonly clock: FakeClock;
  readonly guard: FakeGuard;
  readonly writer: FakeWriter;
  readonly dead: (DeadRows | string)[];
  readonly counted: string[];
  /** Set: the dead letter takes nothing. */
  full: boolean;
  /** Writes lines to the log; resolves once they are synced. */
  readonly write: (...lines: readonly string[]) => Promise<void>;
}

/** Opens a log, on a disk of an earlier one if given. */
export function openLogRig(
  options: Partial<WriteLogOptions> = {},
  disk = new FakeSpoolDisk(),
  values?: ValueRules,
): LogRig {
  const clock = new FakeClock();
  const guard = new FakeGuard();
  const writer = new FakeWriter();
  writer.onWrite = () => 'stored';
  const ignore = (): void => undefined;
  const sampler = { sample: ignore };
  const flush = createFlushQueue(
    { maxPendingBytes: 2 ** 20, timeoutMs: 60_000 },
    {
      writer,
      clock,
      logger: SILENT,
      sampler,
      metrics: { flushed: ignore, flushFailed: ignore, flushRefused: ignore },
    },
  );
  const batches = createBatchPool();
  const dictionary = new SeriesDictionary({ maxSeries: 10_000, maxBytes: 2 ** 24 }, 1);
  const parser = createLineParser(dictionary, { limits: DEFAULT_LIMITS });
  const parking: Pick<Parking, 'holds'> = { holds: ({ key }) => disk.laneOf(key) !== undefined };
  const dead: (DeadRows | string)[] = [];
  const counted: string[] = [];
  const keep = (what: DeadRows | string): Promise<void> => {
    if (rig.full) return Promise.reject(new Error('no room'));
    dead.push(what);
    return Promise.resolve();
  };
  const log = openWriteLog(
    {
      maxBytes: 2 ** 20,
      maxHeldBytes: 2 ** 20,
      readBytes: 2 ** 20,
      lingerMs: LINGER_MS,
      closeMs: 4_000,
      ...options,
    },
    {
      disk,
      batches,
      flush,
      guard,
      values,
      parking,
      clock,
      sampler,
      logger: SILENT,
      random: () => 0.5,
      encoder: createRecordEncoder(),
      decode: (bytes) => {
        const batch = batches.acquire(bytes, '');
        return { batch, head: decode([bytes], batch, dictionary).head };
      },
      deadLetter: { add: keep, addRaw: (_raw, message) => keep(message) },
      onLane: (key) => counted.push(`lane ${key.replace('\u0000', '.')}`),
      metrics: {
        refused: (reason) => counted.push(`refused ${reason}`),
        left: (to, rows) => counted.push(`${rows} to ${to}`),
        retried: () => counted.push('retried'),
      },
    },
  );
  const rig: LogRig = {
    log,
    disk,
    clock,
    guard,
    writer,
    dead,
    counted,
    full: false,
    async write(...lines) {
      const batch = batches.acquire(Buffer.from(`${lines.join('\n')}\n`), 'db');
      parser.parse(batch, 'ns', 1);
      try {
        await log.write(batch, { source: 'influx', askedBy: 'a test', atMs: clock.wallNow() });
      } finally {
        batches.release(batch);
      }
    },
  };
  return rig;
}

/** A log that is closed when the test ends. */
export function openUntilEnd(
  t: TestContext,
  options: Partial<WriteLogOptions> = {},
  ...more: [disk?: FakeSpoolDisk, values?: ValueRules]
): LogRig {
  const rig = openLogRig(options, ...more);
  t.after(async () => {
    const closed = rig.log.close();
    await rig.clock.advance(60_000);
    await closed;
  });
  return rig;
}

/** Numbers of the records in a lane. */
export function seqs(disk: FakeSpoolDisk, lane: string): number[] {
  return disk.content(lane).map(({ seq }) => seq);
}
