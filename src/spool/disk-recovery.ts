/**
 * Opens the spool's folder again after a batch failed, at growing intervals, until a synced write works; repairs it
 * when LevelDB says that it is damaged. The lanes are read from disk then, for the failed batch may have happened.
 * Removals that waited meanwhile are done after it, as far as their records are there. Made by the spool's disk.
 */
import { Buffer } from 'node:buffer';
import type { Clock } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';
import type { SpoolChange } from '../model/spool.ts';
import { createAbortController } from '../util/abort.ts';
import { exponentialMs, jitterMs, type Random } from '../util/backoff.ts';
import type { CommitQueue, PendingChange } from './commit-queue.ts';
import { RECOUNT_KEY, recordKey } from './disk-format.ts';
import type { LaneDirectory, LoadedLanes } from './disk-lanes.ts';
import { loadLanes } from './disk-load.ts';
import { haveValues, type LevelDb, writeBatch } from './level.ts';
import { isDamage, messageOf, reopenLevel, repair } from './level-open.ts';

const BASE_MS = 500;
const MAX_MS = 10_000;
const JITTER = 0.2;

/** What it needs. */
export interface RecoveryDeps {
  readonly db: LevelDb;
  readonly directory: LaneDirectory;
  readonly queue: CommitQueue;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: { failed(): void; repaired(): void; lost(records: number): void };
  /** How many records are on disk at least, whether the failed batch happened or not. */
  readonly keptRecords: () => number;
  /** Called when the lanes were read anew: all that the directory counts is on disk. */
  readonly recovered: () => void;
}

/** See the module comment. */
export interface Recovery {
  /** Why the disk can't be written to; undefined: it can. */
  readonly failing: string | undefined;
  /** Called when a batch failed, with those of its changes that only remove. The queue stands still. */
  start(error: unknown, removals: readonly PendingChange[]): void;
  /** Resolves when the folder is not being closed and opened at the moment, whether it is open or not. */
  reopened(): Promise<void>;
  /** Gives up; removals that were not done are dropped. Idempotent. */
  close(): Promise<void>;
}

/** Makes it; nothing runs before `start`. */
export function createRecovery(deps: RecoveryDeps): Recovery {
  return new FolderRecovery(deps);
}

class FolderRecovery implements Recovery {
  private readonly deps: RecoveryDeps;
  private readonly controller = createAbortController();
  /** Removals that are to be done once the folder is open. */
  private held: PendingChange[] = [];
  private running: Promise<void> | undefined;
  private reopening: Promise<LoadedLanes> | undefined;
  failing: string | undefined;

  constructor(deps: RecoveryDeps) {
    this.deps = deps;
  }

  start(error: unknown, removals: readonly PendingChange[]): void {
    this.report(error, 'a batch of the spool failed; whether it happened is unknown');
    this.held.push(...removals);
    this.running = this.run(error);
  }

  async reopened(): Promise<void> {
    await this.reopening?.catch(() => undefined);
  }

  async close(): Promise<void> {
    this.controller.abort(new Error('closed'));
    await this.running;
    // Coming back is harmless.
    for (const { done } of this.held.splice(0)) done.resolve();
  }

  private async run(error: unknown): Promise<void> {
    const { clock, random } = this.deps;
    const { signal } = this.controller;
    let cause = error;
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        await clock.sleep(jitterMs(exponentialMs(BASE_MS, MAX_MS, attempt), JITTER, random), signal);
        this.reopening = this.reopen(cause);
        return await this.goOn(await this.reopening);
      } catch (again) {
        if (signal.aborted) return;
        cause = again;
        this.report(again, 'the spool could not be opened again');
      } finally {
        this.reopening = undefined;
      }
    }
  }

  private async reopen(cause: unknown): Promise<LoadedLanes> {
    const { db } = this.deps;
    await db.close();
    // What is not there can't be repaired; it is begun anew then.
    const repaired = isDamage(cause) && (await repair(db.location, cause, this.deps).catch(() => true));
    const damaged = await reopenLevel(db, this.deps);
    const known = { damaged: repaired || damaged, records: this.deps.keptRecords() };
    const loaded = await loadLanes(db, known, this.deps);
    // Whoever was told that a change failed may ask for it again, or for its removal, so the next start counts.
    await writeBatch(db, [{ type: 'put', key: RECOUNT_KEY, value: Buffer.of(1) }], true);
    return loaded;
  }

  /** From here on everything is as the disk says; then the removals that wait are counted again. */
  private async goOn(loaded: LoadedLanes): Promise<void> {
    const { db, directory, queue, logger } = this.deps;
    this.held.push(...queue.takeWaiting());
    const seen = new Set<string>();
    const changes: SpoolChange[] = [];
    for (const { change } of this.held) changes.push(await withoutMissing(db, change, seen));
    directory.replace(loaded);
    this.deps.recovered();
    const held = this.held.splice(0).map((pending, i) => ({ ...pending, change: changes[i] as SpoolChange }));
    const waiting = [...held, ...queue.takeWaiting()];
    queue.requeue(waiting.map((pending) => ({ ...pending, ops: directory.apply(pending.change).ops })));
    this.failing = undefined;
    logger.info({ path: db.location }, 'the spool is open again');
    queue.resume();
  }

  private report(error: unknown, message: string): void {
    const { db, logger, metrics } = this.deps;
    this.failing = `the spool's disk fails: ${messageOf(error)}`;
    metrics.failed();
    logger.error({ path: db.location, err: error }, message);
  }
}

/**
 * What of a removal is there, and not yet in `seen`: a record may have been removed already, or its append failed, and
 * must not be counted out then.
 */
async function withoutMissing(
  db: LevelDb,
  { remove = [] }: SpoolChange,
  seen: Set<string>,
): Promise<SpoolChange> {
  const kept = [];
  for (const { lane, records } of remove) {
    const keys = records.map(({ seq }) => recordKey(lane, seq));
    const present = await haveValues(db, keys);
    const isNew = (key: string): boolean => seen.size < seen.add(key).size;
    kept.push({ lane, records: records.filter(({ seq }, i) => present[i] && isNew(`${lane}/${seq}`)) });
  }
  return { remove: kept };
}
