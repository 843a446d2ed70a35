/** What the transports (HTTP routes, TCP lines) ask of the one ingest path. */
import type { DeferReason, RejectReason } from './admission.ts';
import type { PointBatch } from './point-batch.ts';
import type { Table } from './series.ts';
import type { TableSource } from './table.ts';

/** Who sends, and how patient the sender is. */
export interface IngestContext {
  readonly source: TableSource;
  /** Protocol and peer address, for people. */
  readonly askedBy: string;
  /** Whose share of the creates is used; undefined: that of the database. */
  readonly tenant?: string | undefined;
  /** False: what is missing is refused, not created. Undefined: as true. */
  readonly mayCreate?: boolean;
  /** True: the sender wants storage's own acknowledgement (OpenTSDB `sync`), so nothing is parked. */
  readonly sync: boolean;
  /**
   * False: the sender can't be told what became of a row (telnet). What is refused for good or finds no room goes to the
   * dead letter, and while the gateway has too much to do the rows wait. Undefined: as true.
   */
  readonly tellable?: boolean;
  /** True: one row that is refused for good refuses all of them. Undefined: as false. */
  readonly allOrNothing?: boolean;
  readonly signal: AbortSignal;
}

/** A row that was refused for good. */
export interface RowRefusal {
  /** Byte offset of its line or JSON object in the body. */
  readonly offset: number;
  readonly reason: RejectReason;
  readonly message: string;
}

/** Rows that were held back: nothing of them is kept, the sender should send the whole request again. */
export interface Deferral {
  readonly reason: DeferReason;
  readonly message: string;
  /** When it is worth trying again; already jittered. */
  readonly retryAfterMs: number;
}

/** What became of a batch. `stored + parked + rejected + deferred` is the number of its rows. */
export interface IngestResult {
  /** In the database or, where the log acknowledges, in the log. */
  readonly stored: number;
  /** Synced on disk until their table or the database is ready; as good as stored to the sender. */
  readonly parked: number;
  readonly rejected: number;
  /** In the order of the rows, the first `MAX_REFUSALS` of them. */
  readonly refusals: readonly RowRefusal[];
  readonly deferred: number;
  /** The first deferral met; undefined when `deferred` is 0. */
  readonly deferral: Deferral | undefined;
}

/** Is told which creates were refused, and to whom. */
export interface RefusedCreates {
  /** Once per request that has some: its tables of which something may not be made, or not now. */
  note(tables: readonly Table[], sender: Pick<IngestContext, 'askedBy' | 'tenant'>): void;
}

/** More refusals than this are counted, not listed. */
export const MAX_REFUSALS = 1_000;

/** The one path of all transports. */
export interface Ingest {
  /** An empty batch for `body`; hand it back by `release` when its request is answered. */
  acquire(body: Uint8Array, database: string): PointBatch;
  release(batch: PointBatch): void;
  /**
   * Admits and writes the rows of a parsed batch; resolves when each row's fate is known and the batch is no longer
   * in use. Rows of healthy tables are stored whatever happens to the others.
   * @throws {GatewayError} closed when the gateway is stopping.
   * @throws the reason of `context.signal`, when that aborts before the rows were handed to the database.
   */
  submit(batch: PointBatch, context: IngestContext): Promise<IngestResult>;
}
