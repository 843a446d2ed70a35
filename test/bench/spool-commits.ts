/** Synced records per second and their latency: by fdatasync one after the other, and by the spool's group commit. */
import type { FileHandle } from 'node:fs/promises';
import { openSpoolDisk } from '../../src/spool/disk.ts';
import { createSystemClock } from '../../src/util/clock.ts';
import { SILENT } from '../helpers/ddl-harness.ts';

const SECONDS = 4;
const LANE = { tenant: 'bench', database: 'bench', table: 'bench' };

/** Figures of one way. */
export interface SyncFigures {
  readonly recordsPerSec: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Write and fdatasync, one record after the other. */
export function measureRawSyncs(file: FileHandle, bytes: number): Promise<SyncFigures> {
  const record = Buffer.alloc(bytes, 'x');
  return measure(1, async () => {
    await file.write(record);
    await file.datasync();
  });
}

/** Appends to the spool by so many clients, each of which waits for its own to be synced; removed again as a drain would. */
export async function measureCommits(path: string, bytes: number, clients: number): Promise<SyncFigures> {
  const nothing = (): void => undefined;
  const metrics = {
    committed: nothing,
    refused: nothing,
    failed: nothing,
    unreadable: nothing,
    lost: nothing,
    repaired: nothing,
  };
  const deps = { logger: SILENT, clock: createSystemClock(), metrics };
  const disk = await openSpoolDisk({ path, minFreeBytes: 0, maxPendingBytes: 2 ** 27 }, deps);
  const record = Buffer.alloc(bytes, 'x');
  try {
    return await measure(clients, async () => {
      const { seqs, done } = disk.commit({
        append: [{ lane: LANE, rows: 100, atMs: Date.now(), bytes: record }],
      });
      await done;
      const lane = disk.laneOf('bench\u0000bench');
      if (lane === undefined) throw new Error('the record is gone');
      const records = seqs.map((seq) => ({ seq, rows: 100, bytes }));
      await disk.commit({ remove: [{ lane: lane.id, records }] }).done;
    });
  } finally {
    await disk.close();
  }
}

async function measure(clients: number, once: () => Promise<void>): Promise<SyncFigures> {
  const began = performance.now();
  const untilMs = began + SECONDS * 1_000;
  const tookMs: number[] = [];
  const client = async (): Promise<void> => {
    for (let now = performance.now(); now < untilMs; ) {
      await once();
      const ended = performance.now();
      tookMs.push(ended - now);
      now = ended;
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  const seconds = (performance.now() - began) / 1_000;
  tookMs.sort((a, b) => a - b);
  const at = (share: number): number => Number((tookMs[Math.floor(tookMs.length * share)] ?? 0).toFixed(2));
  return { recordsPerSec: Math.round(tookMs.length / seconds), p50Ms: at(0.5), p99Ms: at(0.99) };
}
