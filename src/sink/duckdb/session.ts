/**
 * The one connection that changes the file, and its appenders, which are kept from flush to flush. DDL and writes
 * take turns on it (serial.ts). After any failure the connection is given up and the next transaction opens another,
 * so no half-filled appender can leak rows into a later transaction; and the file anew when DuckDB has given it up.
 *
 * A query may take all the memory there is. An append that runs out of it then leaves columns of different lengths
 * behind in DuckDB's memory ("misaligned count"), though not in the log: so the file is opened anew here, too, which
 * interrupts the queries, and the transaction is tried once more.
 */
import type { DuckDBAppender, DuckDBConnection, DuckDBPreparedStatement } from '@duckdb/node-api';
import type { Database } from './database.ts';
import { isCommitted, isInvalidated, isOutOfMemory } from './errors.ts';
import { CATALOG, STORE } from './layout.ts';

/** What a transaction may do. */
export interface Transaction {
  /** Runs statements as they are written, without the optimizer. */
  readonly connection: DuckDBConnection;
  /** Runs a query on it that is worth optimizing; after a failure the transaction must end. */
  optimized<T>(work: (connection: DuckDBConnection) => Promise<T>): Promise<T>;
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
  readonly begin: DuckDBPreparedStatement;
  readonly commit: DuckDBPreparedStatement;
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
      givenUp = false;
      return await prepare(connection);
    } catch (error) {
      database.release(connection);
      throw error;
    }
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
      await opened.commit.run();
    } catch (error) {
      if (!isCommitted(error)) throw error;
      givenUp = true;
      close();
    }
  }

  async function attempt<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    try {
      current ??= await open();
      await current.begin.run();
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

/**
 * An appender plans an INSERT each time it is flushed. There is nothing to optimize about it, and without trying, and
 * with the frame of the transaction prepared, a flush of 100 points takes a quarter less CPU.
 */
async function prepare(connection: DuckDBConnection): Promise<Opened> {
  await connection.run('PRAGMA disable_optimizer');
  const appenders = new Map<string, DuckDBAppender>();
  return {
    connection,
    appenders,
    begin: await connection.prepare('BEGIN'),
    commit: await connection.prepare('COMMIT'),
    async optimized(work) {
      await connection.run('PRAGMA enable_optimizer');
      const result = await work(connection);
      await connection.run('PRAGMA disable_optimizer');
      return result;
    },
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
