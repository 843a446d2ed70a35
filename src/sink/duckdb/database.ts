/**
 * The DuckDB instance with the file attached under our own alias, and then locked: no file or network access beyond
 * it, no extensions, no change of settings by any statement. DuckDB gives a file up when merging its log fails (a
 * full disk), though every commit is safe; `reopen` then makes a new instance, which reads the log again.
 *
 * The limit of memory is one for writes and queries; what of a query does not fit is spilled, up to as much again.
 */
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { GatewayError } from '../../errors.ts';
import { CATALOG } from './layout.ts';
import { literal, quote } from './names.ts';

/** What of the options concerns the instance; see `DuckDbOptions`. */
export interface DatabaseOptions {
  readonly path: string;
  readonly memoryLimitBytes: number;
  readonly threads: number;
  readonly checkpointBytes: number;
}

/** Connections to the file. */
export interface Database {
  /** A connection whose default catalog is the file; waits while the file is reopened. */
  connect(): Promise<DuckDBConnection>;
  /** Ends a connection and its transaction, which is rolled back. */
  release(connection: DuckDBConnection): void;
  /** False for `:memory:`, which cannot be opened anew. */
  readonly isFile: boolean;
  /** Opens the file anew after all connections have ended; statements that run are interrupted. */
  reopen(): Promise<void>;
  /** All connections must have ended. */
  close(): void;
}

const INTERRUPT_EVERY_MS = 50;

/** Opens the file. @throws {GatewayError} config_invalid, with the reason, when it can't be used. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const connections = new Set<DuckDBConnection>();
  let instance: DuckDBInstance | undefined = await openInstance(options);
  let reopening: Promise<void> | undefined;
  /** Connections, those being made included. */
  let open = 0;
  let onIdle: (() => void) | undefined;

  function leave(connection: DuckDBConnection | undefined): void {
    if (connection !== undefined) {
      connections.delete(connection);
      connection.closeSync();
    }
    open--;
    if (open === 0) onIdle?.();
  }

  async function untilIdle(): Promise<void> {
    if (open === 0) return;
    const interrupts = setInterval(() => {
      for (const connection of connections) connection.interrupt();
    }, INTERRUPT_EVERY_MS);
    await new Promise<void>((resolve) => {
      onIdle = resolve;
    });
    clearInterval(interrupts);
  }

  async function replace(): Promise<void> {
    await untilIdle();
    instance?.closeSync();
    instance = undefined;
    instance = await openInstance(options);
  }

  return {
    isFile: options.path !== ':memory:',
    async connect() {
      if (reopening !== undefined) await reopening;
      if (instance === undefined) throw new GatewayError('unavailable', 'the database file is not open');
      open++;
      let connection: DuckDBConnection | undefined;
      try {
        connection = await instance.connect();
        connections.add(connection);
        await connection.run(`USE ${quote(CATALOG)}`);
        return connection;
      } catch (error) {
        leave(connection);
        throw error;
      }
    },
    release: leave,
    reopen() {
      reopening ??= replace().finally(() => {
        reopening = undefined;
      });
      return reopening;
    },
    close() {
      instance?.closeSync();
      instance = undefined;
    },
  };
}

async function openInstance(options: DatabaseOptions): Promise<DuckDBInstance> {
  const inMemory = options.path === ':memory:';
  try {
    if (!inMemory) await mkdir(dirname(options.path), { recursive: true });
    const instance = await DuckDBInstance.create(':memory:', {
      threads: String(options.threads),
      memory_limit: `${options.memoryLimitBytes}B`,
      wal_autocheckpoint: `${options.checkpointBytes}B`,
      temp_directory: inMemory ? '' : `${options.path}.tmp`,
      max_temp_directory_size: `${options.memoryLimitBytes}B`,
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
      allow_community_extensions: 'false',
      allow_persistent_secrets: 'false',
    });
    await attach(instance, options.path);
    return instance;
  } catch (error) {
    throw openFailure(options.path, error);
  }
}

async function attach(instance: DuckDBInstance, path: string): Promise<void> {
  const connection = await instance.connect();
  try {
    await connection.run(`ATTACH ${literal(path)} AS ${quote(CATALOG)}`);
    // Only an explicit CHECKPOINT may write what is in memory to the file; it may be damaged (session.ts).
    await connection.run('PRAGMA disable_checkpoint_on_shutdown');
    await connection.run('SET enable_external_access = false');
    await connection.run('SET lock_configuration = true');
  } catch (error) {
    instance.closeSync();
    throw error;
  } finally {
    connection.closeSync();
  }
}

function openFailure(path: string, error: unknown): GatewayError {
  const text = error instanceof Error ? error.message : String(error);
  const owner = /Conflicting lock is held in (.*?)\. See/s.exec(text)?.[1];
  return unusable(path, owner === undefined ? text : `another process has it open: ${owner}`, error);
}

/** The refusal of a database file. */
export function unusable(path: string, reason: string, cause?: unknown): GatewayError {
  return new GatewayError('config_invalid', `database file ${path} can't be used: ${reason}`, { cause });
}
