/**
 * Rows on disk: what ingest, the write log, the parked lanes and the dead letter ask of each other. One order of
 * sequence numbers runs over all records, so a table's rows keep the order in which they were accepted even when
 * they move from the log to the table's own lane. The parts themselves live in spool/.
 */

import type { ValueType } from './column.ts';
import type { PointBatch } from './point-batch.ts';
import type { Field, Series, Table } from './series.ts';
import type { TableId, TableSource } from './table.ts';

/** Whose rows a lane holds. */
export interface LaneName extends TableId {
  /** Whose share of the disk it takes. */
  readonly tenant: string;
}

/** The lane of the write log; it alone holds rows of all tables, has no name, and is always there. */
export const LOG_LANE = 0;

/** What is known of a lane without reading it. Changes with every commit; copies nothing. */
export interface LaneState {
  readonly id: number;
  /** Undefined for the log. */
  readonly name: LaneName | undefined;
  readonly records: number;
  readonly rows: number;
  readonly bytes: number;
  /** Unix milliseconds of the oldest record's acceptance; undefined when there is none. */
  readonly oldestAtMs: number | undefined;
}

/** A record to be kept. `seq` undefined: it gets the next number; given: it moves from another lane and keeps its own. */
export interface NewRecord {
  readonly lane: number | LaneName;
  readonly seq?: number;
  readonly rows: number;
  /** When its rows were accepted, Unix milliseconds. */
  readonly atMs: number;
  readonly bytes: Uint8Array;
}

/** A record that is there; enough to remove it. */
export interface RecordRef {
  readonly seq: number;
  readonly rows: number;
  readonly bytes: number;
}

/** A record as read back. `data` is what was given; undefined: it is unreadable (checksum), `raw` is all there is of it. */
export interface StoredRecord extends RecordRef {
  readonly atMs: number;
  readonly data: Uint8Array | undefined;
  readonly raw: Uint8Array;
}

/** Appends and removals that happen together or not at all. */
export interface SpoolChange {
  readonly append?: readonly NewRecord[];
  readonly remove?: readonly { readonly lane: number; readonly records: readonly RecordRef[] }[];
}

/** A change on its way. */
export interface SpoolCommit {
  /** Sequence numbers of the appended records, in order; given out in the order of the calls. */
  readonly seqs: readonly number[];
  /**
   * Resolves once everything is synced. A change of removals alone is not synced, for coming back is harmless.
   * @throws {GatewayError} unavailable when the disk failed: whether the change happened is unknown.
   */
  readonly done: Promise<void>;
}

/** Numbers for gauges and health. */
export interface SpoolDiskStats {
  /** Lanes with records, the log left out. */
  readonly lanes: number;
  readonly records: number;
  readonly rows: number;
  readonly bytes: number;
  /** Bytes handed over and not synced yet. */
  readonly pendingBytes: number;
  /** Free bytes of the file system, as of the last look; undefined before it. */
  readonly freeBytes: number | undefined;
  /** Why nothing can be kept at the moment; undefined: all is well. */
  readonly failing: string | undefined;
}

/** The spool's disk: lanes of records, group commit. One process per folder. It knows no bounds but its own queue's. */
export interface SpoolDisk {
  /**
   * Takes part in the next group commit. Lane states and sequence numbers count the change from now on.
   * @throws {GatewayError} unavailable (synchronously) while the disk fails or free space is below what is to be
   * kept; closed after `close`. Changes without appends are always taken.
   */
  commit(change: SpoolChange): SpoolCommit;
  /**
   * The synced records of a lane with numbers above `afterSeq`, in order: as many as fit `maxBytes`, at least one if
   * there is one. Empty: there is none.
   */
  read(lane: number, afterSeq: number, maxBytes: number): Promise<readonly StoredRecord[]>;
  /** Of the table (`tableKey`); undefined when it has no records. Synchronous, allocates nothing. */
  laneOf(tableKey: string): LaneState | undefined;
  /** All lanes with records, and the log. */
  lanes(): Iterable<LaneState>;
  stats(): SpoolDiskStats;
  /** Waits for what was handed over. Idempotent. */
  close(): Promise<void>;
}

/** What is the same for all rows of a record. */
export interface RecordHead {
  readonly source: TableSource;
  /** Protocol and peer address, for people. */
  readonly askedBy: string;
  readonly atMs: number;
}

/** Makes the shared objects that rows of a batch refer to; the series dictionary is one. */
export interface SeriesInterner {
  /** Tags in any order, without duplicates or empty values. */
  series(database: string, table: string, tags: readonly (readonly [key: string, value: string])[]): Series;
  field(table: Table, name: string, type: ValueType): Field;
}

/** Why rows went to the dead letter; the value set is closed, so it can be a metric label. */
export type DeadReason = 'rejected' | 'unreadable' | 'expired' | 'full';

/** Rows that could not be written. */
export interface DeadRows extends RecordHead {
  readonly batch: PointBatch;
  /** Indexes into the batch, ascending. */
  readonly rows: readonly number[];
  readonly reason: DeadReason;
  /** Why, for people; one line. */
  readonly message: string;
}

/** Where rows end whose sender can't be told. */
export interface DeadLetter {
  /** Resolves once the rows are synced. @throws {GatewayError} unavailable when there is no room or the disk fails. */
  add(rows: DeadRows): Promise<void>;
  /** The same for a record that can't be read. */
  addRaw(raw: Uint8Array, message: string): Promise<void>;
}

/** Why rows could not be parked; the value set is closed, so it can be a metric label. */
export type ParkRefusal = 'off' | 'total' | 'tenant' | 'table' | 'tables' | 'age' | 'disk';

/** What became of rows that were to be parked; the rows that are not in `parked` were refused. */
export interface Parked {
  /** Indexes into the batch. */
  readonly parked: readonly number[];
  readonly refusal: { readonly reason: ParkRefusal; readonly message: string } | undefined;
}

/** Lanes of rows that wait for their table or the database. */
export interface Parking {
  /** True while rows of the table wait, so that new ones must join them. Synchronous, allocates nothing. */
  holds(table: Table): boolean;
  /** Keeps rows (ascending indexes, any tables); resolves once they are synced. Never rejects. */
  park(batch: PointBatch, rows: readonly number[], head: RecordHead): Promise<Parked>;
}

/** The log that acknowledges before the database does. */
export interface WriteLog {
  /**
   * Keeps the rows that are not skipped; resolves once they are synced. The batch stays in use (`users`) until its
   * rows are in the database.
   * @throws {GatewayError} overload over a bound; unavailable when the disk fails; closed.
   */
  write(batch: PointBatch, head: RecordHead): Promise<void>;
  /** Resolves when all that was acknowledged up to now is in the database, in a lane or in the dead letter. */
  drained(signal: AbortSignal): Promise<void>;
  /** Records with lower numbers are not in the log any more: a lane may write its own up to here. */
  readonly drainedSeq: number;
}
