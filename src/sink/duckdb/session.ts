/**
 * The one connection that changes the file, and its appenders, which are kept from flush to flush. DDL and writes
 * take turns on it (serial.ts). After any failure the connection is given up and the next transaction opens another,
 * so no half-filled appender can leak rows into a later transaction; and the file anew when DuckDB has given it up.
 *
 * A query may take all the memory there is. An append that runs out of it then leaves columns of different lengths
 * behind in DuckDB's memory ("misaligned count"), though not in the log: so the file is opened anew here, too, which
 * interrupts the queries, and the transaction is tried once more.
 */
import type { DuckDBAppender, DuckDBConnection } from '@duckdb/node-api';
import type { Database } from './database.ts';
import { isCommitted, isInvalidated, isOutOfMemory } from './errors.ts';
import { CATALOG, STORE } from './layout.ts';

/** What a transaction may do. */
export interface Transaction {
  readonly connection: DuckDBConnection;
  /** The appender of one of the gateway's own tables. */
  appender(table: string): Promise<DuckDBAppender>;
}

/** Transactions, one at a time: the caller sees to it. */
export interface Session {
  /**
   * Runs `work` and commits; durable when it resolves. Rolls back and rethrows when `work` or the commit fails, but
   * runs `work` a second time when memory ran out at the first.
   */
  transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T>;
  close(): void;
}

interface Opened extends Transaction {
  readonly appenders: Map<string, DuckDBAppender>;
}

/** Creates a session; it connects with the first transaction. `onReopened` comes before any other after a reopening. */
export function createSession(
  database: Database,
  onReopened: (connection: DuckDBConnection) => Promise<void> = () => Promise.resolve(),
): Session {
  let current: Opened | undefined;
  let givenUp = false;

  async function open(): Promise<Opened> {
    if (givenUp) await database.reopen();
    const connection = await database.connect();
    try {
      if (givenUp) await onReopened(connection);
    } catch (error) {
      database.release(connection);
      throw error;
    }
    givenUp = false;
    return withAppenders(connection);
  }

  function close(): void {
    if (current === undefined) return;
    for (const appender of current.appenders.values()) {
      quietly(() => appender.clear());
      quietly(() => appender.closeSync());
    }
    database.release(current.connection);
    current = undefined;
  }

  async function commit(opened: Opened): Promise<void> {
    for (const appender of opened.appenders.values()) appender.flushSync();
    try {
      await opened.connection.run('COMMIT');
    } catch (error) {
      if (!isCommitted(error)) throw error;
      givenUp = true;
      close();
    }
  }

  async function attempt<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    try {
      current ??= await open();
      await current.connection.run('BEGIN');
      const result = await work(current);
      await commit(current);
      return result;
    } catch (error) {
      givenUp ||= database.isFile && (isInvalidated(error) || isOutOfMemory(error));
      close();
      throw error;
    }
  }

  return {
    transaction: (work) =>
      attempt(work).catch((error: unknown) => {
        if (database.isFile && isOutOfMemory(error)) return attempt(work);
        throw error;
      }),
    close,
  };
}

function withAppenders(connection: DuckDBConnection): Opened {
  const appenders = new Map<string, DuckDBAppender>();
  return {
    connection,
    appenders,
    async appender(table) {
      const known = appenders.get(table);
      if (known !== undefined) return known;
      const created = await connection.createAppender(table, STORE, CATALOG);
      appenders.set(table, created);
      return created;
    },
  };
}

function quietly(action: () => void): void {
  try {
    action();
  } catch {
    // The error that led here is the one to report.
  }
}
