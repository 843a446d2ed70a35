/** What the parts of the replay share: options, neighbours and counters. */
import type { Guard } from '../model/admission.ts';
import type { BatchPool } from '../model/batch-pool.ts';
import type { Clock } from '../model/clock.ts';
import type { DdlQueue } from '../model/ddl-queue.ts';
import type { Logger } from '../model/logger.ts';
import type { PointBatch } from '../model/point-batch.ts';
import type { ValueRules } from '../model/sink.ts';
import type { DeadLetter, DeadReason, SeriesInterner, SpoolDisk, WriteLog } from '../model/spool.ts';
import type { Random } from '../util/backoff.ts';
import type { LogSampler } from '../util/log-sampler.ts';
import type { LaneGateOptions } from './lane-gate.ts';

/** Bounds of the replay. */
export interface LaneDrainerOptions extends LaneGateOptions {
  /** Bytes of records that a lane has in memory, at least one record. Default 262,144. */
  readonly windowBytes: number;
  /** Rows that are still deferred at this age go to the dead letter; 0: they wait for as long as it takes. */
  readonly expireAfterMs: number;
  /** How long `close` waits for what is being written. */
  readonly closeMs: number;
}

/** What the replay counts. */
export interface LaneDrainerMetrics {
  /** Rows came into the database. */
  replayed(rows: number): void;
  /** Rows went to the dead letter; an unreadable record counts as one. */
  dead(reason: DeadReason, rows: number): void;
  /** The database failed while rows were replayed. */
  replayFailed(): void;
}

/** What the replay needs. */
export interface LaneDrainerDeps {
  readonly disk: SpoolDisk;
  readonly interner: SeriesInterner;
  readonly batches: BatchPool;
  readonly guard: Guard;
  /** Undefined: the database holds every value. */
  readonly values: ValueRules | undefined;
  readonly flush: {
    write(batch: PointBatch): Promise<void>;
    stats(): { readonly pendingBatches: number };
  };
  readonly deadLetter: DeadLetter;
  /** Subscribe to it after the guard did: the guard shall know first. */
  readonly queue: Pick<DdlQueue, 'subscribe'>;
  /** Without a log, `drainedSeq` is Infinity. */
  readonly log: Pick<WriteLog, 'drainedSeq'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly sampler: LogSampler;
  readonly metrics: LaneDrainerMetrics;
}
