/**
 * `sluice dead-letter replay`: posts what lies in the dead letter to a gateway. An entry is removed only after the
 * gateway acknowledged it; whatever else happens it stays. Progress goes to stderr, the result to stdout.
 */
import type { DeadLetterFile } from '../spool/dead-letter-files.ts';
import type { FiledEntry } from '../spool/dead-letter-reader.ts';
import { selectFiles } from './dead-letter-select.ts';
import { claimFile, finishFile, lockFolder, returnFile } from './replay-claim.ts';
import { type FileOutcome, replayFile, type Tally } from './replay-file.ts';
import { createPoster } from './replay-poster.ts';
import { type CommandDeps, count, harmlessLine } from './terminal.ts';

/** What to replay; see DeadLetterCommand. */
export interface ReplayOptions {
  readonly path: string;
  readonly files: readonly string[];
  readonly url: URL | undefined;
  readonly dryRun: boolean;
  readonly keep: boolean;
  readonly waitMs: number;
}

/** Entries that stay are told one by one up to this many. */
const MAX_TOLD = 20;

/** Replays; 0 when all was taken, 1 when something stays, 2 when a file is not there. */
export async function replayDeadLetter(options: ReplayOptions, deps: CommandDeps): Promise<0 | 1 | 2> {
  const { path, dryRun, keep } = options;
  const { files, missing } = await selectFiles(path, options.files);
  if (missing !== undefined) {
    await deps.terminal.err(`sluice: ${harmlessLine(missing)} is not in ${harmlessLine(path)}\n`);
    return 2;
  }
  if (files.length === 0) {
    await deps.terminal.out('The dead letter is empty.\n');
    return 0;
  }
  if (dryRun || keep) return await replayAll(files, options, deps);
  const lock = await lockFolder(path);
  if (lock === undefined) {
    await deps.terminal.err('sluice: another replay of this folder is running\n');
    return 1;
  }
  try {
    // Once more: another replay may just have ended.
    return await replayAll((await selectFiles(path, options.files)).files, options, deps);
  } finally {
    await lock.unlock();
  }
}

async function replayAll(
  files: readonly DeadLetterFile[],
  options: ReplayOptions,
  deps: CommandDeps,
): Promise<0 | 1> {
  const { terminal } = deps;
  const replay = createFileReplay(options, deps);
  const taken: Tally = { entries: 0, rows: 0 };
  const stays: Tally = { entries: 0, rows: 0 };
  let complete = true;
  for (const file of files) {
    const outcome = await replay(file);
    for (const key of ['entries', 'rows'] as const) {
      taken[key] += outcome.taken[key];
      stays[key] += outcome.stays[key];
    }
    complete &&= outcome.left.length === 0;
    if (outcome.stopped === undefined) continue;
    complete = false;
    await terminal.err(`sluice: stopped: ${outcome.stopped}\n`);
    break;
  }
  await terminal.out(
    `${options.dryRun ? 'would post' : 'taken'}: ${tallyText(taken)}; stays: ${tallyText(stays)}\n`,
  );
  return complete ? 0 : 1;
}

/** A function that replays one file and leaves of it what has to stay. */
function createFileReplay(
  options: ReplayOptions,
  deps: CommandDeps,
): (file: DeadLetterFile) => Promise<FileOutcome> {
  const { url, dryRun, keep, waitMs } = options;
  const { terminal, clock, signal } = deps;
  const waiting = (message: string): Promise<void> => terminal.err(`waiting: ${message}\n`);
  const post =
    dryRun || url === undefined ? undefined : createPoster({ url, waitMs }, { clock, signal, waiting });
  let told = 0;
  const stays = async ({ head }: FiledEntry, message: string): Promise<void> => {
    if (told++ < MAX_TOLD) {
      const table = head.table === undefined ? 'a record' : harmlessLine(`${head.database}.${head.table}`);
      await terminal.err(`stays: ${count(head.rows, 'row')} of ${table}: ${message}\n`);
    } else if (told === MAX_TOLD + 1) await terminal.err('stays: more, see the files\n');
  };

  return async (file) => {
    const path = dryRun || keep ? file.path : await claimFile(file);
    const outcome = await replayFile(path, {
      post,
      stays,
      damaged: ({ offset, bytes }) =>
        terminal.err(`stays: ${file.name} is damaged from ${offset} on (${count(bytes, 'byte')})\n`),
    });
    if (!dryRun && !keep) {
      if (outcome.taken.entries === 0 && outcome.left.length > 0) await returnFile(file);
      else await finishFile(file, outcome.left);
    }
    await terminal.err(
      `${file.name}: taken ${tallyText(outcome.taken)}, stays ${tallyText(outcome.stays)}\n`,
    );
    return outcome;
  };
}

function tallyText({ entries, rows }: Tally): string {
  return `${count(rows, 'row')} in ${count(entries, 'entry')}`;
}
