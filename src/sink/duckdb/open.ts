/**
 * Opens the embedded database: a DuckDB file that this process owns alone, or `:memory:`. What may fail because of
 * the file (lock, path, a foreign or newer file) fails here, with a message for people.
 */
import { randomUUID } from 'node:crypto';
import type { DuckDBConnection } from '@duckdb/node-api';
import { GatewayError } from '../../errors.ts';
import type { Logger } from '../../model/logger.ts';
import type { Sink } from '../../model/sink.ts';
import type { SqlReader } from '../../model/sql.ts';
import { type Catalog, loadCatalog, type ReadRows } from './catalog.ts';
import { type Database, type DatabaseOptions, openDatabase, unusable } from './database.ts';
import { createDdl } from './ddl.ts';
import { CATALOG, createStore, LAYOUT_VERSION, STORE } from './layout.ts';
import { literal, nameRules } from './names.ts';
import { createSerial } from './serial.ts';
import { createSeriesIds } from './series-ids.ts';
import { createSession, type Session } from './session.ts';
import { createSqlReader, type SqlReaderOptions } from './sql.ts';
import { createWriter } from './writer.ts';

/** How to open the database. */
export interface DuckDbOptions extends DatabaseOptions {
  /** Path of the file, its folders are created; or `:memory:`. */
  readonly path: string;
  /** Name of the time column in every view; fixed when the file is made. */
  readonly timeColumn: string;
  /** Bytes that DuckDB may use, at least 64 MiB for steady work; beyond it queries fail or spill to `<path>.tmp`. */
  readonly memoryLimitBytes: number;
  /** Threads of DuckDB, at least 1, which is best for writing: every statement wakes the others. */
  readonly threads: number;
  /** The log is merged into the file at a commit that finds it longer than this. */
  readonly checkpointBytes: number;
  readonly sql: SqlReaderOptions;
}

/** Numbers for gauges. */
export interface DuckDbStats {
  readonly tables: number;
  readonly series: number;
  /** Writes and DDL statements waiting or running. */
  readonly operations: number;
  readonly queries: number;
}

/** The embedded database. */
export interface DuckDbSink extends Sink {
  readonly sql: SqlReader;
  stats(): DuckDbStats;
}

/** The flush queue sends one write at a time and the DDL worker a few statements, so this is never reached. */
const MAX_OPERATIONS = 256;

/** Opens the database. @throws {GatewayError} config_invalid, with the reason, when the file can't be used. */
export async function openDuckDb(
  options: DuckDbOptions,
  { logger }: { readonly logger: Logger },
): Promise<DuckDbSink> {
  const database = await openDatabase(options);
  let catalog: Catalog | undefined;
  const session = createSession(database, async (connection) => catalog?.reload(readRows(connection)));
  try {
    const found = await openStore(options, database, session);
    catalog = await withConnection(database, (connection) => loadCatalog(readRows(connection)));
    logger.info(
      { path: options.path, tables: catalog.tableCount, series: found.lastSeriesId },
      'database opened',
    );
    return createSink(options, { logger, database, session, catalog, ...found });
  } catch (error) {
    session.close();
    database.close();
    if (error instanceof GatewayError) throw error;
    throw unusable(options.path, error instanceof Error ? error.message : String(error), error);
  }
}

/** What the file says of itself. */
interface Found {
  readonly privateId: string;
  /** The highest number of a series. */
  readonly lastSeriesId: number;
}

interface Opened extends Found {
  readonly logger: Logger;
  readonly database: Database;
  readonly session: Session;
  readonly catalog: Catalog;
}

function createSink(options: DuckDbOptions, opened: Opened): DuckDbSink {
  const { logger, database, session, catalog, privateId, lastSeriesId } = opened;
  const serial = createSerial(MAX_OPERATIONS);
  const seriesIds = createSeriesIds(lastSeriesId);
  const sql = createSqlReader(options.sql, {
    database,
    schemaOf: (name) => catalog.databases.get(name)?.schemaName,
  });
  let closed: Promise<void> | undefined;

  async function close(): Promise<void> {
    await sql.close();
    await serial.run(async () => {
      session.close();
      await checkpoint(database).catch((error: unknown) => {
        logger.warn(
          { err: error },
          'the log could not be merged into the database file; it is read at the next start',
        );
      });
      database.close();
    });
  }

  return {
    privateId,
    names: nameRules,
    ddl: createDdl({ catalog, serial, session, timeColumn: options.timeColumn }),
    writer: createWriter({ catalog, seriesIds, serial, session }),
    sql,
    stats: () => ({
      tables: catalog.tableCount,
      series: seriesIds.count,
      operations: serial.size,
      queries: sql.running,
    }),
    close: () => (closed ??= close()),
  };
}

async function checkpoint(database: Database): Promise<void> {
  await withConnection(database, async (connection) => {
    await connection.run('CHECKPOINT');
  });
}

async function withConnection<T>(
  database: Database,
  work: (connection: DuckDBConnection) => Promise<T>,
): Promise<T> {
  const connection = await database.connect();
  try {
    return await work(connection);
  } finally {
    database.release(connection);
  }
}

function readRows(connection: DuckDBConnection): ReadRows {
  return async (sql) => (await connection.runAndReadAll(sql)).getRowsJS();
}

/** Makes the tables of an empty file or checks those of another. */
function openStore(options: DuckDbOptions, database: Database, session: Session): Promise<Found> {
  return withConnection(database, async (connection) => {
    const read = readRows(connection);
    const schemas = await read(
      `SELECT schema_name FROM duckdb_schemas() WHERE database_name = ${literal(CATALOG)}`,
    );
    const names = schemas.map(([name]) => name);
    if (names.includes(STORE)) await checkStore(options, read);
    else if (names.some((name) => name !== 'main'))
      throw unusable(options.path, 'it was made by something else');
    else
      await session.transaction((transaction) =>
        runAll(transaction.connection, createStore(options.timeColumn)),
      );
    const [last] = await read(`SELECT coalesce(max(id), 0) FROM ${STORE}.series`);
    return { privateId: await idOf(read, session), lastSeriesId: last?.[0] as number };
  });
}

/** The file's own name, which it is given when it is first opened and keeps. */
async function idOf(read: ReadRows, session: Session): Promise<string> {
  const [kept] = await read(`SELECT value FROM ${STORE}.meta WHERE key = 'id'`);
  if (kept !== undefined) return String(kept[0]);
  const id = randomUUID();
  await session.transaction(({ connection }) =>
    connection.run(`INSERT INTO ${STORE}.meta VALUES ('id', ${literal(id)})`),
  );
  return id;
}

async function checkStore(options: DuckDbOptions, read: ReadRows): Promise<void> {
  const meta = new Map(
    (await read(`SELECT key, value FROM ${STORE}.meta`)).map(([key, value]) => [String(key), String(value)]),
  );
  const layout = meta.get('layout') ?? 'unknown';
  if (layout !== LAYOUT_VERSION)
    throw unusable(options.path, `its layout is ${layout}, not ${LAYOUT_VERSION}`);
  const column = meta.get('time_column') ?? '';
  if (column === options.timeColumn) return;
  throw unusable(options.path, `its time column is '${column}', but '${options.timeColumn}' is configured`);
}

async function runAll(connection: DuckDBConnection, statements: readonly string[]): Promise<void> {
  for (const sql of statements) await connection.run(sql);
}
