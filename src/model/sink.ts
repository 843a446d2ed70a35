/** What a database must offer to stand behind the gateway. One folder in sink/ per implementation. */
import type { ColumnSpec } from './column.ts';
import type { PointBatch } from './point-batch.ts';
import type { TableId, TableSchema, TableSource } from './table.ts';

/**
 * How a DDL statement ended. `invalid`: this table can't be made like this, ever. `denied`: permission, authentication,
 * or a database that takes no DDL at all just now; not the table's fault. `transient`: may work later. `ambiguous`: sent, no answer; it may have
 * worked or still run, so read the schema before anything else.
 */
export type DdlResult =
  | { readonly kind: 'done' }
  | {
      readonly kind: 'invalid' | 'denied' | 'transient' | 'ambiguous';
      readonly code: string;
      readonly message: string;
      /** With `denied`: it concerns the creates of all tenants. */
      readonly everywhere?: true;
    };

/** A table to create. */
export interface TableSpec {
  readonly id: TableId;
  readonly source: TableSource;
  readonly columns: readonly ColumnSpec[];
}

/** The number of tables in one database. */
export interface DatabaseInventory {
  readonly database: string;
  readonly tables: number;
}

/** One change that a database is asked for. */
export type DdlChange =
  | { readonly kind: 'database'; readonly database: string }
  | { readonly kind: 'table'; readonly spec: TableSpec }
  | { readonly kind: 'columns'; readonly id: TableId; readonly columns: readonly ColumnSpec[] };

/** Creates and describes; every statement is idempotent (IF NOT EXISTS). Unexpected failures reject. */
export interface DdlExecutor {
  /** Schemas of many tables in one round trip; undefined where the table does not exist. */
  describe(ids: readonly TableId[], signal: AbortSignal): Promise<readonly (TableSchema | undefined)[]>;
  /** Every database with its number of tables. */
  inventory(signal: AbortSignal): Promise<readonly DatabaseInventory[]>;
  createDatabase(database: string, signal: AbortSignal): Promise<DdlResult>;
  createTable(spec: TableSpec, signal: AbortSignal): Promise<DdlResult>;
  /** Adds the columns that are missing; a column that is there with another type is `invalid`. */
  addColumns(id: TableId, columns: readonly ColumnSpec[], signal: AbortSignal): Promise<DdlResult>;
  /**
   * The statements that the change would take now, for people; sends nothing. What depends on the server (an
   * extension) may be left out. Undefined: this database has no statements.
   */
  readonly explain?: (change: DdlChange) => readonly string[];
}

/**
 * Why a write failed; nothing of it was stored, except perhaps when `ambiguous` or over very many tables, which does no
 * harm: the same rows again replace it. With `tables` it is only their fault, and the rest can be written without them.
 */
export type WriteFailure =
  | { readonly kind: 'missing'; readonly tables: readonly TableId[] }
  | {
      readonly kind: 'transient' | 'denied' | 'ambiguous';
      readonly code: string;
      readonly message: string;
      readonly tables?: readonly TableId[];
    };

/** Rejection of `Writer.write`. */
export class WriteError extends Error {
  override readonly name = 'WriteError';
  readonly failure: WriteFailure;

  constructor(failure: WriteFailure, options?: ErrorOptions) {
    super(failure.kind === 'missing' ? 'table or column missing' : failure.message, options);
    this.failure = failure;
  }
}

/** Writes rows; one call at a time (the flush queue sees to it). */
export interface Writer {
  /**
   * Stores all rows that are not skipped, of all batches, in one transaction where the database has them, and
   * resolves once they are durable. The same series and time again replaces the fields given.
   * @throws WriteError
   */
  write(batches: readonly PointBatch[], signal: AbortSignal): Promise<void>;
}

/** What the database can hold; each answers the reason why not, or undefined. Synchronous, called by the guard. */
export interface NameRules {
  checkDatabase(name: string): string | undefined;
  checkTable(id: TableId): string | undefined;
  checkColumn(column: ColumnSpec): string | undefined;
}

/** What the database can't hold of points whose names it can. */
export interface ValueRules {
  /**
   * Calls back for each row, not skipped already, that can never be stored, with the reason. Synchronous; ingest asks
   * it about every batch, so it costs next to nothing where all values are fine.
   */
  checkRows(batch: PointBatch, refuse: (row: number, reason: string) => void): void;
}

/** An opened database. */
export interface Sink {
  /**
   * Names a database that only this process reaches: no other gateway can make tables in it, so its DDL tasks are kept
   * apart. The same at each start as long as the database is. Undefined: gateways share it.
   */
  readonly privateId?: string;
  readonly names: NameRules;
  /** Undefined: it holds every value that a point can have. */
  readonly values?: ValueRules;
  readonly ddl: DdlExecutor;
  readonly writer: Writer;
  /** How much DDL of all clients the database has under way; undefined: it can't get too much of it. */
  readonly backlog?: (signal: AbortSignal) => Promise<number>;
  /** Idempotent; waits for a write that is running. */
  close(): Promise<void>;
}
