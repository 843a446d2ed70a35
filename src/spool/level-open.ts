/**
 * Opens the spool's folder: finds out whether it is ours and of a layout that is known, repairs what LevelDB refuses to
 * open, once, and says what kept it from opening in words for whoever wrote the configuration.
 */
import { Buffer } from 'node:buffer';
import { constants } from 'node:fs';
import { access, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../model/logger.ts';
import { LAYOUT, LAYOUT_KEY } from './disk-format.ts';
import { type LevelDb, readValue, writeBatch } from './level.ts';

/** What opening needs. */
export interface LevelOpenDeps {
  readonly logger: Logger;
  readonly metrics: { repaired(): void };
}

/** A folder that is open. */
export interface OpenedLevel {
  readonly db: LevelDb;
  /** Something was damaged: what is known of the lanes may not fit their records. */
  readonly damaged: boolean;
}

/**
 * Measured with synced batches of 8 records of 8 KiB of rows, removed 10 MiB later; CPU of all threads per MiB, memory
 * of the whole process after it (50 MiB before), time to open what was not closed:
 *
 *   write buffer   4 MiB             16 MiB            32 MiB
 *   compressed     8.6 ms,  78 MiB   7.3 ms,  88 MiB   7.2 ms, 107 MiB
 *   plain         10.5 ms,  80 MiB   9.0 ms,  89 MiB   6.9 ms, 106 MiB
 *   opening        10 to 70 ms       65 to 95 ms       105 to 145 ms
 *
 * Compression also takes a third of the space once rows have left LevelDB's log.
 */
const OPTIONS = {
  keyEncoding: 'view',
  valueEncoding: 'view',
  compression: true,
  writeBufferSize: 16 * 2 ** 20,
} as const;
/** Files of LevelDB by their names; `lost` is where a repair puts what it replaces. */
const LEVEL_FILE = /^(\d+\.(log|ldb|sst|dbtmp)|MANIFEST-\d+|CURRENT|LOCK|LOG|LOG\.old|lost)$/;
const DATA_FILE = /^(\d+\.(log|ldb|sst)|MANIFEST-\d+)$/;
/** What may lie in a folder that is not ours to begin with, such as a volume's root. */
const HARMLESS_FILE = /^(\..*|lost\+found)$/;
/** What LevelDB's own log, begun anew when it is opened, says of a log file that it could not read completely. */
const DROPPED = /dropping \d+ bytes|[Ii]gnoring error/;

/**
 * Makes the folder when it is missing.
 * @throws {GatewayError} config_invalid: not usable or not ours; unavailable: the disk fails
 */
export async function openLevel(path: string, deps: LevelOpenDeps): Promise<OpenedLevel> {
  const names = await prepareFolder(path);
  // Without CURRENT LevelDB would begin anew, and remove all files of before.
  const headless = names.some((name) => DATA_FILE.test(name)) && !names.includes('CURRENT');
  const repaired = headless && (await repair(path, new Error('CURRENT is missing'), deps));
  // Not before: it opens itself in the next turn.
  const db: LevelDb = new ClassicLevel(path, OPTIONS);
  return { db, damaged: await openOrRepair(db, deps, repaired) };
}

/** Opens it again after `db.close()`. True: something was damaged. @throws as `openLevel` */
export function reopenLevel(db: LevelDb, deps: LevelOpenDeps): Promise<boolean> {
  return openOrRepair(db, deps, false);
}

/** Repairs a closed folder. LevelDB itself keeps what is readable, and moves the rest to `lost`. Answers true. */
export async function repair(
  path: string,
  cause: unknown,
  { logger, metrics }: LevelOpenDeps,
): Promise<true> {
  logger.error({ path, err: cause }, 'the spool is damaged; repairing it');
  metrics.repaired();
  // At most one generation of what was replaced is kept, or the disk would fill up.
  await rm(join(path, 'lost'), { recursive: true, force: true });
  await ClassicLevel.repair(path);
  return true;
}

/**
 * True when LevelDB says that what it keeps is damaged, missing, or shorter than it was, rather than that the disk is
 * full, failing or forbidden.
 */
export function isDamage(error: unknown): boolean {
  if (codesOf(error).includes('LEVEL_CORRUPTION')) return true;
  return /^IO error: .*: (No such file or directory|Invalid argument)$/.test(messageOf(error));
}

async function openOrRepair(db: LevelDb, deps: LevelOpenDeps, repaired: boolean): Promise<boolean> {
  try {
    await db.open();
    await checkLayout(db, repaired);
  } catch (error) {
    if (db.status === 'open') await db.close();
    if (error instanceof GatewayError) throw error;
    if (repaired || !isDamage(error)) throw translate(db.location, error);
    await repair(db.location, error, deps).catch((reason: unknown) => {
      throw translate(db.location, reason);
    });
    return openOrRepair(db, deps, true);
  }
  return repaired || DROPPED.test(await readFile(join(db.location, 'LOG'), 'utf8').catch(() => ''));
}

/** The names in it. */
async function prepareFolder(path: string): Promise<readonly string[]> {
  let names: readonly string[];
  try {
    await mkdir(path, { recursive: true });
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
    names = await readdir(path);
  } catch (error) {
    throw new GatewayError('config_invalid', `spool.path ${path}: ${messageOf(error)}`, { cause: error });
  }
  const foreign = names.find((name) => !LEVEL_FILE.test(name) && !HARMLESS_FILE.test(name));
  if (foreign === undefined) return names;
  const file = JSON.stringify(foreign.slice(0, 100));
  throw new GatewayError(
    'config_invalid',
    `spool.path ${path}: not a spool, there are other files, such as ${file}`,
  );
}

/** Marks a new folder as ours. @throws {GatewayError} when it is somebody else's, or of an unknown layout */
async function checkLayout(db: LevelDb, repaired: boolean): Promise<void> {
  const { value, damage } = await readValue(db, LAYOUT_KEY);
  const layout = value?.toString();
  if (layout === LAYOUT) return;
  if (layout !== undefined) {
    const found = JSON.stringify(layout.slice(0, 100));
    const message = `its layout is ${found}, this version knows ${JSON.stringify(LAYOUT)} only`;
    throw new GatewayError('config_invalid', `spool.path ${db.location}: ${message}`);
  }
  if (damage !== undefined && !repaired) throw damage;
  const [first] = await db.keys({ limit: 1 }).all();
  if (first !== undefined && !repaired) {
    throw new GatewayError('config_invalid', `spool.path ${db.location}: the database there is not a spool`);
  }
  await writeBatch(db, [{ type: 'put', key: LAYOUT_KEY, value: Buffer.from(LAYOUT) }], true);
}

function translate(path: string, error: unknown): GatewayError {
  const cause = { cause: error };
  if (codesOf(error).includes('LEVEL_LOCKED')) {
    return new GatewayError('config_invalid', `spool.path ${path}: another process uses it`, cause);
  }
  const message = `spool.path ${path}: ${messageOf(error)}`;
  const isForeign = /: Invalid argument: |Permission denied|Read-only file system|Is a directory/.test(
    message,
  );
  return new GatewayError(isForeign ? 'config_invalid' : 'unavailable', message, cause);
}

/** The innermost message: the package wraps LevelDB's in "Database failed to open". */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : messageOf(error.cause);
}

function codesOf(error: unknown): unknown[] {
  if (!(error instanceof Error)) return [];
  return ['code' in error ? error.code : undefined, ...codesOf(error.cause)];
}
