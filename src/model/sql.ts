/** What the SQL route asks of an embedded database: read-only queries, bounded in rows, bytes and time. */

/** Bounds of one query. */
export interface SqlLimits {
  /** The client's name of the database whose tables are found without a prefix. */
  readonly database: string;
  /** Rows beyond it are left out; at least 1. */
  readonly maxRows: number;
  /** Time for the whole query, waiting for its turn included; at least 1. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** One column of an answer; `data_type` as GreptimeDB prints it, e.g. `Float64` or `TimestampNanosecond`. */
export interface SqlColumn {
  readonly name: string;
  readonly data_type: string;
}

/** The answer to a query. */
export interface SqlAnswer {
  readonly columns: readonly SqlColumn[];
  /** JSON text of the array of rows, each an array; integers in full, times as nanoseconds since the epoch. */
  readonly rowsJson: string;
  readonly rows: number;
  /** True when rows were left out because of the row or byte limit. */
  readonly truncated: boolean;
}

/** Reads the database by SQL. */
export interface SqlReader {
  /**
   * Runs one read-only statement.
   * @throws {GatewayError} sql_invalid for anything else, or when the database refuses it; sql_timeout; overload
   * when too many queries run and wait; closed.
   */
  query(sql: string, limits: SqlLimits): Promise<SqlAnswer>;
}
