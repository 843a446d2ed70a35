/** What the parts of the write log share: options, neighbours, and the entries that go from one part to the next. */
import type { Guard } from '../model/admission.ts';
import type { BatchPool } from '../model/batch-pool.ts';
import type { Clock } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';
import type { PointBatch } from '../model/point-batch.ts';
import type { ValueRules } from '../model/sink.ts';
import type { DeadLetter, Parking, RecordHead, RecordRef, SpoolDisk, WriteLog } from '../model/spool.ts';
import type { Random } from '../util/backoff.ts';
import type { LogSampler } from '../util/log-sampler.ts';
import type { RecordEncoder } from './record.ts';

/** Bounds of the log. */
export interface WriteLogOptions {
  /** Bytes of the whole spool; a write that would go over is refused, unless the spool is empty. */
  readonly maxBytes: number;
  /** Memory of rows that wait for the database; over it they are read back from disk. */
  readonly maxHeldBytes: number;
  /** How much is read back at a time. */
  readonly readBytes: number;
  /** How long rows wait for others before they are written to the database. */
  readonly lingerMs: number;
  /** After `close`, how long it goes on writing to the database; what is left stays on disk. */
  readonly closeMs: number;
}

/** What the log counts. */
export interface WriteLogMetrics {
  /** A write was not taken; the value set is closed. */
  refused(reason: 'full' | 'failing'): void;
  /** Rows left the log. */
  left(to: 'database' | 'lane' | 'dead_letter', rows: number): void;
  /** The database failed and the same rows are tried again. */
  retried(): void;
}

/** What the log needs. */
export interface WriteLogDeps {
  readonly disk: SpoolDisk;
  readonly encoder: RecordEncoder;
  /** The rows of one record; its batch was lent by `batches`. @throws when it can't be read. */
  readonly decode: (bytes: Uint8Array) => { readonly batch: PointBatch; readonly head: RecordHead };
  readonly batches: Pick<BatchPool, 'letGo'>;
  /** All batches or none, in this order. */
  readonly flush: { writeAll(batches: readonly PointBatch[]): Promise<void> };
  readonly guard: Guard;
  /** Undefined: the database holds every value. */
  readonly values: ValueRules | undefined;
  readonly parking: Pick<Parking, 'holds'>;
  readonly deadLetter: DeadLetter;
  /** Rows were moved to the table's lane. */
  readonly onLane: (tableKey: string) => void;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly sampler: LogSampler;
  readonly metrics: WriteLogMetrics;
  readonly random: Random;
}

/** Numbers for gauges and health. */
export interface WriteLogStats {
  readonly heldBytes: number;
  /** Records are read back from disk because the database is far behind, or since the start. */
  readonly reading: boolean;
  /** The spool has reached its bound, so that writes are refused. */
  readonly full: boolean;
  /** Why the database does not take rows at the moment; undefined: it does. */
  readonly stalled: string | undefined;
}

/** The log as app.ts sees it. */
export interface OpenWriteLog extends WriteLog {
  /** Nothing that was accepted waits for the database. */
  readonly isEmpty: boolean;
  stats(): WriteLogStats;
  /** Takes no more, writes what it can within the time, and leaves the rest on disk. Idempotent. */
  close(): Promise<void>;
}

/** The rows of one request. */
export interface LogEntry {
  /** Where they are on disk; ascending. */
  readonly records: readonly RecordRef[];
  readonly batch: PointBatch;
  readonly head: RecordHead;
  /** Memory that it holds. */
  readonly heldBytes: number;
}

/** The number of the entry's first record. */
export function firstSeq(entry: LogEntry): number {
  return (entry.records[0] as RecordRef).seq;
}
