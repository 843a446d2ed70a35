/** A dead letter in a folder of its own, and what tests read from its files. */
import { readFileSync } from 'node:fs';
import type { DeadReason, DeadRows } from '../../src/model/spool.ts';
import {
  type DeadLetterFolder,
  type DeadLetterOptions,
  openDeadLetter,
} from '../../src/spool/dead-letter.ts';
import { listFiles } from '../../src/spool/dead-letter-files.ts';
import { type FiledEntry, type FileRest, readFile } from '../../src/spool/dead-letter-reader.ts';
import { FakeClock } from './fake-clock.ts';
import { createTestSource, type TestPoint } from './points.ts';

/** An open dead letter and what it told. */
export interface DeadLetterRig {
  readonly letter: DeadLetterFolder;
  readonly clock: FakeClock;
  /** Counted events, such as `added rejected 3`, and messages of the log. */
  readonly events: readonly string[];
  /** Names and texts of the files. */
  readonly files: () => Promise<Map<string, string>>;
}

/** Opens the dead letter in `path`; `onAdded` is called as its metric is, before the caller is answered. */
export async function openRig(
  path: string,
  options: Partial<DeadLetterOptions> = {},
  onAdded: () => void = () => undefined,
): Promise<DeadLetterRig> {
  const clock = new FakeClock();
  const events: string[] = [];
  const log = (_: object, message: string): void => void events.push(message);
  const letter = await openDeadLetter(
    { path, maxBytes: 10 ** 8, fileBytes: 10 ** 7, whenFull: 'keep', ...options },
    {
      clock,
      logger: { debug: log, info: log, warn: log, error: log },
      metrics: {
        deadLetterAdded: (reason, rows) => {
          events.push(`added ${reason} ${rows}`);
          onAdded();
        },
        deadLetterRefused: (reason, rows) => void events.push(`refused ${reason} ${rows}`),
        deadLetterDropped: (rows) => void events.push(`dropped ${rows}`),
      },
    },
  );
  return {
    letter,
    clock,
    events,
    files: async () =>
      new Map((await listFiles(path)).map((file) => [file.name, readFileSync(file.path, 'utf8')])),
  };
}

/** Rows of points, all of one batch. */
export function deadRows(
  points: readonly TestPoint[],
  more: { readonly reason?: DeadReason; readonly message?: string; readonly askedBy?: string } = {},
  database = 'public',
): DeadRows {
  return {
    batch: createTestSource(database).batch(points),
    rows: [...points.keys()],
    source: 'influx',
    askedBy: 'influx 10.0.0.7',
    atMs: Date.UTC(2025, 11, 31),
    reason: 'rejected',
    message: 'no such table',
    ...more,
  };
}

/** A point of one field. */
export function simplePoint(table: string, value = 1): TestPoint {
  return { table, timeNs: 5n, fields: [['v', ['int64', BigInt(value)]]] };
}

/** All that the files hold, in order. */
export async function readAll(path: string): Promise<(FiledEntry | FileRest)[]> {
  const all: (FiledEntry | FileRest)[] = [];
  for (const file of await listFiles(path)) for await (const item of readFile(file.path)) all.push(item);
  return all;
}

/** The bodies of the entries as text. */
export async function bodiesIn(path: string): Promise<string[]> {
  return (await readAll(path)).map((item) => (item.kind === 'entry' ? item.body.toString() : item.kind));
}
