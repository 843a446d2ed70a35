/** Opens the spool's disk for tests, with counters instead of metrics. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext } from 'node:test';
import type { LaneName, LaneState, NewRecord, SpoolDisk, StoredRecord } from '../../src/model/spool.ts';
import {
  openSpoolDisk,
  type SpoolDiskDeps,
  type SpoolDiskMetrics,
  type SpoolDiskOptions,
} from '../../src/spool/disk.ts';
import { createSystemClock } from '../../src/util/clock.ts';
import { SILENT } from './duckdb.ts';

/** What a disk counted. */
export interface DiskCounts {
  groups: number;
  records: number;
  bytes: number;
  failed: number;
  unreadable: number;
  lost: number;
  repaired: number;
  refused: Record<string, number>;
  /** What was logged as an error. */
  errors: string[];
}

/** Metrics that only count. */
export function countingMetrics(): { readonly counts: DiskCounts; readonly metrics: SpoolDiskMetrics } {
  const counts: DiskCounts = {
    groups: 0,
    records: 0,
    bytes: 0,
    failed: 0,
    unreadable: 0,
    lost: 0,
    repaired: 0,
    refused: {},
    errors: [],
  };
  const metrics: SpoolDiskMetrics = {
    committed(records, bytes) {
      counts.groups++;
      counts.records += records;
      counts.bytes += bytes;
    },
    refused: (reason) => void (counts.refused[reason] = (counts.refused[reason] ?? 0) + 1),
    failed: () => void counts.failed++,
    unreadable: () => void counts.unreadable++,
    lost: (records) => void (counts.lost += records),
    repaired: () => void counts.repaired++,
  };
  return { counts, metrics };
}

/** An open disk and what it counted. */
export interface TestDisk {
  readonly disk: SpoolDisk;
  readonly counts: DiskCounts;
}

/** Opens a disk that the test's end closes. */
export async function openTestDisk(
  t: Pick<TestContext, 'after'>,
  options: Pick<SpoolDiskOptions, 'path'> & Partial<SpoolDiskOptions>,
  deps: Partial<SpoolDiskDeps> = {},
): Promise<TestDisk> {
  const { counts, metrics } = countingMetrics();
  const logger = { ...SILENT, error: (_: object, message: string) => void counts.errors.push(message) };
  const disk = await openSpoolDisk(
    { minFreeBytes: 0, maxPendingBytes: 64 * 2 ** 20, ...options },
    { logger, clock: createSystemClock(), metrics, ...deps },
  );
  t.after(() => disk.close());
  return { disk, counts };
}

const folders: string[] = [];
after(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

/** A folder that is not there yet, removed when the tests of the file have ended. */
export async function spoolPath(parent = tmpdir()): Promise<string> {
  const folder = await mkdtemp(join(parent, 'sluice-spool-'));
  folders.push(folder);
  return join(folder, 'spool');
}

/** A lane's name. */
export function laneName(table: string, database = 'public'): LaneName {
  return { tenant: database, database, table };
}

/** A record of `text`. */
export function newRecord(lane: number | LaneName, text: string, more: Partial<NewRecord> = {}): NewRecord {
  return { lane, rows: 1, atMs: 1_000, bytes: Buffer.from(text), ...more };
}

/** Appends records and waits for them. */
export async function append(disk: SpoolDisk, ...records: NewRecord[]): Promise<readonly number[]> {
  const { seqs, done } = disk.commit({ append: records });
  await done;
  return seqs;
}

/** All of a lane, read in windows of `maxBytes`. */
export async function readLane(
  disk: SpoolDisk,
  lane: number,
  maxBytes = 2 ** 20,
): Promise<readonly StoredRecord[]> {
  const records: StoredRecord[] = [];
  for (let after = 0; ; ) {
    const window = await disk.read(lane, after, maxBytes);
    const last = window.at(-1);
    if (last === undefined) return records;
    records.push(...window);
    after = last.seq;
  }
}

/** What of a record is text: its number and bytes. */
export function textOf({ seq, data }: StoredRecord): readonly [number, string | undefined] {
  return [seq, data === undefined ? undefined : Buffer.from(data).toString()];
}

/** A lane's state as it is now. */
export function snapshot({ id, name, records, rows, bytes, oldestAtMs }: LaneState): LaneState {
  return { id, name, records, rows, bytes, oldestAtMs };
}
