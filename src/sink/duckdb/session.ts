/**
 * The one connection that changes the file, and its appenders, which are kept from flush to flush. DDL and writes
 * take turns on it (serial.ts). After any failure the connection is given up and the next transaction opens another,
 * so no half-filled appender can leak rows into a later transaction; and the file anew when DuckDB has given it up.
 */
import type { DuckDBAppender, DuckDBConnection } from '@duckdb/node-api';
import type { Database } from './database.ts';
import { isCommitted, isInvalidated } from './errors.ts';
import { CATALOG, STORE } from './layout.ts';

/** What a transaction may do. */
export interface Transaction {
  readonly connection: DuckDBConnection;
  /** The appender of one of the gateway's own tables. */
  appender(table: string): Promise<DuckDBAppender>;
}

/** Transactions, one at a time: the caller sees to it. */
export interface Session {
  /** Runs `work` and commits; durable when it resolves. Rolls back and rethrows when `work` or the commit fails. */
  transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T>;
  close(): void;
}

interface Opened extends Transaction {
  readonly appenders: Map<string, DuckDBAppender>;
}

/** Creates a session; it connects with the first transaction. */
export function createSession(database: Database): Session {
  let current: Opened | undefined;
  let givenUp = false;

  async function open(): Promise<Opened> {
    if (givenUp) await database.reopen();
    givenUp = false;
    const connection = await database.connect();
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

  return {
    async transaction(work) {
      try {
        current ??= await open();
        await current.connection.run('BEGIN');
        const result = await work(current);
        await commit(current);
        return result;
      } catch (error) {
        givenUp ||= isInvalidated(error);
        close();
        throw error;
      }
    },
    close,
  };
}

function quietly(action: () => void): void {
  try {
    action();
  } catch {
    // The error that led here is the one to report.
  }
}
