/**
 * Read-only SQL over the file that the gateway writes, for people who want to see what arrived. One statement in a
 * read-only transaction on a connection of its own; bounded in concurrency, waiting, rows, bytes and time. Results
 * are streamed, so only what is answered is held.
 */
import type { DuckDBConnection, DuckDBResult } from '@duckdb/node-api';
import { GatewayError } from '../../errors.ts';
import type { SqlAnswer, SqlColumn, SqlLimits, SqlReader } from '../../model/sql.ts';
import type { Database } from './database.ts';
import { errorClass } from './errors.ts';
import { CATALOG } from './layout.ts';
import { quote } from './names.ts';
import { checkReadOnly, checkStatementType, invalid } from './sql-guard.ts';
import { dataTypeName, rowJson } from './sql-json.ts';
import { createTurns } from './turns.ts';

/** Bounds over all queries. */
export interface SqlReaderOptions {
  /** Queries running at a time, at least 1; each takes a thread of Node's pool of 4. */
  readonly maxRunning: number;
  /** Queries waiting for their turn; more are refused. */
  readonly maxWaiting: number;
  /** JSON text of one answer; rows beyond it are left out. */
  readonly maxAnswerBytes: number;
}

/** What the reader works with. */
export interface SqlReaderDeps {
  readonly database: Database;
  /** The schema of a database by the client's name, or undefined. */
  readonly schemaOf: (database: string) => string | undefined;
}

/** A query that is stopped at its deadline or by its caller keeps being told, for DuckDB forgets it at its start. */
const INTERRUPT_EVERY_MS = 50;

/** Creates the reader. `close` stops what runs and waits for it. */
export function createSqlReader(
  options: SqlReaderOptions,
  { database, schemaOf }: SqlReaderDeps,
): SqlReader & { close(): Promise<void>; readonly running: number } {
  const turns = createTurns(options.maxRunning, options.maxWaiting);
  const closing = new AbortController();

  async function answer(sql: string, limits: SqlLimits, stop: AbortSignal): Promise<SqlAnswer> {
    const schema = schemaOf(limits.database);
    if (schema === undefined) throw invalid(`database '${limits.database}' does not exist`);
    const connection = await database.connect();
    const endInterrupts = interruptOn(stop, connection);
    try {
      await connection.run(`USE ${quote(CATALOG)}.${quote(schema)}`);
      await checkReadOnly(connection, sql);
      await connection.run('BEGIN TRANSACTION READ ONLY');
      const prepared = await connection.prepare(sql);
      checkStatementType(prepared.statementType);
      return await collect(await prepared.stream(), limits.maxRows, options.maxAnswerBytes, stop);
    } finally {
      endInterrupts();
      // Ends the transaction and frees a result that was not read to its end.
      database.release(connection);
    }
  }

  return {
    get running() {
      return turns.running;
    },
    async query(sql, limits) {
      const stop = stopOf(limits, closing.signal);
      try {
        stop.signal.throwIfAborted();
        return await turns.take(stop.signal, () => answer(sql, limits, stop.signal));
      } catch (error) {
        throw stop.signal.aborted ? stop.signal.reason : translated(error);
      } finally {
        stop.clear();
      }
    },
    async close() {
      closing.abort();
      await turns.idle();
    },
  };
}

/** Interrupts the connection's query, and any that begins after it, from the abort on; answers how to end that. */
function interruptOn(stop: AbortSignal, connection: DuckDBConnection): () => void {
  let repeat: NodeJS.Timeout | undefined;
  const interrupt = (): void => {
    connection.interrupt();
    repeat ??= setInterval(() => connection.interrupt(), INTERRUPT_EVERY_MS);
  };
  if (stop.aborted) interrupt();
  else stop.addEventListener('abort', interrupt, { once: true });
  return () => {
    stop.removeEventListener('abort', interrupt);
    clearInterval(repeat);
  };
}

/** The first cause that ends a query early. */
interface Stop {
  readonly signal: AbortSignal;
  /** Forgets timer and listeners. */
  clear(): void;
}

function stopOf({ timeoutMs, signal }: SqlLimits, closing: AbortSignal): Stop {
  const stop = new AbortController();
  const onCaller = (): void => stop.abort(signal.reason);
  const onClosing = (): void => stop.abort(new GatewayError('closed', 'the gateway is stopping'));
  const timer = setTimeout(
    () => stop.abort(new GatewayError('sql_timeout', `no answer within ${timeoutMs} ms`)),
    timeoutMs,
  );
  if (closing.aborted) onClosing();
  else closing.addEventListener('abort', onClosing, { once: true });
  if (signal.aborted) onCaller();
  else signal.addEventListener('abort', onCaller, { once: true });
  return {
    signal: stop.signal,
    clear() {
      clearTimeout(timer);
      closing.removeEventListener('abort', onClosing);
      signal.removeEventListener('abort', onCaller);
    },
  };
}

async function collect(
  result: DuckDBResult,
  maxRows: number,
  maxBytes: number,
  stop: AbortSignal,
): Promise<SqlAnswer> {
  const columns: SqlColumn[] = result
    .columnNames()
    .map((name, i) => ({ name, data_type: dataTypeName(result.columnType(i)) }));
  const rows: string[] = [];
  let bytes = 0;
  let truncated = false;
  while (!truncated) {
    const chunk = await result.fetchChunk();
    stop.throwIfAborted();
    if (chunk === null || chunk.rowCount === 0) break;
    for (let row = 0; row < chunk.rowCount && !truncated; row++) {
      truncated = rows.length === maxRows;
      if (truncated) break;
      const text = rowJson(chunk, row);
      bytes += text.length + 1;
      truncated = bytes > maxBytes;
      if (!truncated) rows.push(text);
    }
  }
  return { columns, rowsJson: `[${rows.join(',')}]`, rows: rows.length, truncated };
}

/** What DuckDB says about a statement is the sender's; what it says about files and memory is not. */
function translated(error: unknown): unknown {
  const cause = errorClass(error);
  if (cause === undefined || !(error instanceof Error)) return error;
  // Neither deadline nor caller: the file was opened anew (session.ts).
  if (cause === 'INTERRUPT')
    return new GatewayError('overload', 'stopped, for the database was opened anew', { cause: error });
  if (['IO', 'FATAL', 'INTERNAL'].includes(cause)) {
    return new GatewayError('unavailable', 'the database failed', { cause: error });
  }
  return invalid(error.message, error);
}
