/** What all parts of the app are given, and what opening them makes. Types only; see app.ts. */
import type { Offenders } from './admin/offenders.ts';
import type { Planner } from './admin/plan.ts';
import type { Config } from './config.ts';
import type { MeteredGuard } from './guard/guard.ts';
import type { Metrics } from './metrics.ts';
import type { BatchPool } from './model/batch-pool.ts';
import type { Clock } from './model/clock.ts';
import type { ControlledQueue } from './model/ddl-control.ts';
import type { Ingest } from './model/ingest.ts';
import type { Logger } from './model/logger.ts';
import type { Parking, SpoolDisk } from './model/spool.ts';
import type { SqlReader } from './model/sql.ts';
import type { Watermarks } from './protect/watermarks.ts';
import type { SeriesDictionary } from './protocol/series-dictionary.ts';
import type { FlushQueue } from './sink/flush-queue.ts';
import type { DeadLetterFolder } from './spool/dead-letter.ts';
import type { LaneDrainer } from './spool/lane-drainer.ts';
import type { OpenWriteLog } from './spool/write-log-types.ts';
import type { CloseStack } from './util/close-stack.ts';
import type { LogSampler } from './util/log-sampler.ts';

/** What every part may need. */
export interface Base {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly sampler: LogSampler;
  readonly metrics: Metrics;
  readonly batches: BatchPool;
  readonly dictionary: SeriesDictionary;
  readonly stack: CloseStack;
}

/** What keeps rows on disk. */
export interface Keeping {
  readonly parking: Parking;
  readonly log: OpenWriteLog;
  readonly lanes: LaneDrainer;
  readonly disk: SpoolDisk;
  readonly deadLetter: DeadLetterFolder;
}

/** Everything behind the transports. */
export interface Core {
  readonly ingest: Ingest;
  /** Names of the databases there are; undefined when the database does not answer. */
  readonly databases: () => Promise<readonly string[] | undefined>;
  readonly flush: FlushQueue;
  readonly guard: MeteredGuard;
  readonly queue: ControlledQueue;
  readonly sql: SqlReader | undefined;
  /** Undefined: rows are not kept on disk. */
  readonly keeping: Keeping | undefined;
  readonly watermarks: Watermarks;
  readonly plan: Planner;
  readonly offenders: Offenders;
}
