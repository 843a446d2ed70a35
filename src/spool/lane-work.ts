/**
 * One turn of a lane: reads a window of its records, has them written, removes what is done with, and decides when the
 * lane has its next turn. Errors that nobody foresaw cost the lane a pause, nothing else. Used by lane-drainer.ts.
 */
import type { StoredRecord } from '../model/spool.ts';
import { exponentialMs, jitterMs } from '../util/backoff.ts';
import type { LaneCursor } from './lane-cursor.ts';
import type { LaneGate } from './lane-gate.ts';
import type { LaneSchedule, LaneTurn } from './lane-schedule.ts';
import type { LaneDrainerDeps, LaneDrainerOptions } from './lane-types.ts';
import type { LaneProgress, LaneWriter } from './lane-writer.ts';

/** What a lane reads that may have to wait: enough to ask. */
const ASK_BYTES = 4 * 1024;
/** Waiting lanes ask so often, all together, that the asking costs next to nothing: 200 times per second. */
const ASK_MS = 5;
/** After the news that a table is ready, how long to wait until its columns are known here, too. */
const NEWS_MS = 500;
/** Records that are not synced yet, or that the log has to precede. */
const SOON_MS = 100;
const BUSY_MS = 200;
const MIN_RETRY_MS = 1_000;
const MAX_RETRY_MS = 60_000;

/** A lane on the schedule. */
export interface Lane extends LaneTurn {
  readonly cursor: LaneCursor;
  /** Small until the database took rows. */
  windowBytes: number;
  /** The number of its first record, when the log has older rows. */
  blockedSeq: number | undefined;
  /** Tries in a row that ended in a failure of its own. */
  failures: number;
}

/** What the work is done with. */
export interface LaneWorkParts {
  readonly schedule: LaneSchedule<Lane>;
  readonly gate: LaneGate;
  readonly writer: LaneWriter;
  readonly closing: AbortSignal;
}

/** See the module comment. */
export class LaneWork {
  /** What a lane reads at first. */
  readonly askBytes: number;
  private readonly windowBytes: number;
  private readonly deps: LaneDrainerDeps;
  private readonly parts: LaneWorkParts;

  constructor({ windowBytes }: LaneDrainerOptions, deps: LaneDrainerDeps, parts: LaneWorkParts) {
    this.windowBytes = windowBytes;
    this.askBytes = Math.min(windowBytes, ASK_BYTES);
    this.deps = deps;
    this.parts = parts;
  }

  /** Works on a lane that was taken from the schedule. Never rejects. */
  async turn(lane: Lane): Promise<void> {
    try {
      await this.work(lane);
    } catch (error) {
      if (this.parts.closing.aborted) return;
      this.complain('replay fault', error, 'a lane could not be replayed');
      this.retry(lane);
    }
  }

  /** When that time has passed, a little scattered, and later when there are many lanes. */
  dueIn(ms: number): number {
    const leastMs = Math.max(ms, this.parts.schedule.size * ASK_MS);
    return this.deps.clock.now() + jitterMs(leastMs * 1.1, 0.1 / 1.1, this.deps.random);
  }

  private async work(lane: Lane): Promise<void> {
    const { deps, parts } = this;
    const { schedule, gate, writer } = parts;
    const { state } = lane.cursor;
    if (state === undefined) return schedule.drop(lane);
    const waitMs = lane.woken ? NEWS_MS : 0;
    lane.woken = false;
    // Before the reading, so that what the log moved to the lane until then is among what is read.
    const { drainedSeq } = deps.log;
    if (lane.blockedSeq !== undefined && lane.blockedSeq >= drainedSeq) return this.wait(lane, SOON_MS);
    const taken = Math.min(state.bytes, lane.windowBytes);
    let written = 0;
    gate.take(taken);
    try {
      const found = await lane.cursor.read(lane.windowBytes);
      const records = found.filter(({ seq }) => seq < drainedSeq);
      lane.blockedSeq = records.length === 0 ? found[0]?.seq : undefined;
      if (records.length === 0) return this.wait(lane, SOON_MS);
      const progress = await writer.write(records, waitMs);
      const done = records.slice(0, progress.done);
      if (progress.wrote) written = bytesOf(done);
      lane.cursor.remove(done);
      this.conclude(lane, progress);
    } finally {
      gate.settle(taken, written);
    }
  }

  /** Decides when the lane has its next turn. */
  private conclude(lane: Lane, { done, wrote, next }: LaneProgress): void {
    const { schedule, gate } = this.parts;
    if (wrote && gate.succeeded()) this.deps.logger.info({}, 'the database takes parked rows again');
    if (done > 0) lane.failures = 0;
    lane.windowBytes = next.kind === 'more' && wrote ? this.windowBytes : this.askBytes;
    if (lane.cursor.state === undefined) return schedule.drop(lane);
    switch (next.kind) {
      case 'more':
        return schedule.again(lane);
      case 'deferred':
        // Whoever tries while the database is down speaks for all; else only the table's own time counts.
        if (next.databaseDown && gate.down !== undefined) this.failed(next.message);
        return this.wait(lane, next.retryAfterMs);
      case 'down':
        this.failed(next.message);
        return schedule.again(lane);
      case 'busy':
        return this.wait(lane, BUSY_MS);
      case 'missing':
        return this.retry(lane);
      case 'faulty':
        this.faulty(next.message);
        return this.retry(lane);
      case 'dead_letter_failed':
        this.complain('replay dead letter', next.error, 'the dead letter takes no rows; they stay parked');
        return this.retry(lane);
    }
  }

  private failed(message: string): void {
    const { logger, metrics, sampler } = this.deps;
    metrics.replayFailed();
    this.parts.gate.failed(message);
    sampler.sample('replay down', (suppressed) =>
      logger.warn({ reason: message, suppressed }, 'the database takes no parked rows'),
    );
  }

  private faulty(message: string): void {
    const { logger, metrics, sampler } = this.deps;
    metrics.replayFailed();
    sampler.sample('replay table', (suppressed) =>
      logger.warn({ reason: message, suppressed }, 'the database takes no rows of a table with parked ones'),
    );
  }

  private complain(kind: string, error: unknown, message: string): void {
    const { logger, sampler } = this.deps;
    sampler.sample(kind, (suppressed) => logger.error({ err: error, suppressed }, message));
  }

  private retry(lane: Lane): void {
    this.wait(lane, exponentialMs(MIN_RETRY_MS, MAX_RETRY_MS, ++lane.failures));
  }

  private wait(lane: Lane, ms: number): void {
    this.parts.schedule.wait(lane, this.dueIn(ms));
  }
}

function bytesOf(records: readonly StoredRecord[]): number {
  let bytes = 0;
  for (const record of records) bytes += record.bytes;
  return bytes;
}
