/**
 * Named steps on the way of a row at which the gateway of a crash test kills itself, as kill -9 does: wrapped around
 * the spool's disk and the database's writer, so that the product knows nothing of it.
 */
import { WriteError, type Writer } from '../../src/model/sink.ts';
import type { SpoolChange, SpoolCommit, SpoolDisk } from '../../src/model/spool.ts';
import type { Random } from '../../src/util/backoff.ts';

/** `append.after`: handed over, not synced; `sync.after`: synced, not acknowledged; `remove`: of rows replayed. */
export const CRASH_POINTS = [
  'append.before',
  'append.after',
  'sync.after',
  'write.before',
  'write.after',
  'remove.before',
  'remove.after',
] as const;

/** One of `CRASH_POINTS`. */
export type CrashPoint = (typeof CRASH_POINTS)[number];

/** Dies when `point` is passed for the `passes`-th time. */
export interface CrashSwitch {
  readonly point: CrashPoint | undefined;
  passes: number;
}

/** Slow writes and syncs take this much longer. */
const SLOW_MS = 20;

/** The spool's disk with its steps; some syncs are slow, by chance. */
export function withDiskSteps(disk: SpoolDisk, crash: CrashSwitch, random: Random): SpoolDisk {
  return {
    commit(change) {
      const step = stepOf(change);
      if (step === undefined) return disk.commit(change);
      reach(crash, `${step}.before`);
      const commit = disk.commit(change);
      reach(crash, `${step}.after`);
      return step === 'append' ? { ...commit, done: synced(commit, crash, random) } : commit;
    },
    read: (lane, afterSeq, maxBytes) => disk.read(lane, afterSeq, maxBytes),
    laneOf: (key) => disk.laneOf(key),
    lanes: () => disk.lanes(),
    stats: () => disk.stats(),
    close: () => disk.close(),
  };
}

/** The writer with its steps, of a database that fails, is slow, or stores without answering, by chance. */
export function withWriterSteps(writer: Writer, crash: CrashSwitch, random: Random): Writer {
  let downFor = 0;
  return {
    async write(batches, signal) {
      reach(crash, 'write.before');
      const chance = random();
      if (downFor === 0 && chance < 0.1) downFor = 1 + Math.floor(random() * 3);
      if (downFor > 0) {
        downFor--;
        throw new WriteError({ kind: 'transient', code: 'DOWN', message: 'the database is down' });
      }
      if (chance > 0.85) await new Promise((resolve) => setTimeout(resolve, SLOW_MS));
      await writer.write(batches, signal);
      reach(crash, 'write.after');
      if (chance > 0.75 && chance < 0.85) {
        throw new WriteError({ kind: 'ambiguous', code: 'LOST', message: 'the answer was lost' });
      }
    },
  };
}

async function synced({ done }: SpoolCommit, crash: CrashSwitch, random: Random): Promise<void> {
  await done;
  if (random() > 0.85) await new Promise((resolve) => setTimeout(resolve, SLOW_MS));
  reach(crash, 'sync.after');
}

function stepOf({ append = [], remove = [] }: SpoolChange): 'append' | 'remove' | undefined {
  if (append.length > 0) return 'append';
  return remove.length > 0 ? 'remove' : undefined;
}

function reach(crash: CrashSwitch, point: CrashPoint): void {
  if (crash.point === point && --crash.passes === 0) process.kill(process.pid, 'SIGKILL');
}
