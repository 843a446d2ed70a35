/**
 * `sluice dead-letter`: its arguments, and what each of its commands does. Reads and changes files only, so it works
 * beside a running gateway and without one. Nothing is printed while arguments are read; cli.ts passes on what is to
 * be done, main.ts runs it.
 */
import { parseArgs } from 'node:util';
import type { DeadReason } from '../model/spool.ts';
import { DEAD_REASONS } from '../spool/dead-letter-entry.ts';
import { listDeadLetter } from './dead-letter-list.ts';
import { replayDeadLetter } from './dead-letter-replay.ts';
import { showDeadLetter } from './dead-letter-show.ts';
import type { CommandDeps } from './terminal.ts';

/** What is to be done. `path`: the folder. `files`: names in it; none means all. */
export type DeadLetterCommand =
  | { readonly kind: 'ls'; readonly path: string; readonly json: boolean }
  | {
      readonly kind: 'show';
      readonly path: string;
      readonly files: readonly string[];
      readonly reason: DeadReason | undefined;
      readonly table: string | undefined;
      /** 0 = no limit. */
      readonly limit: number;
    }
  | {
      readonly kind: 'replay';
      readonly path: string;
      readonly files: readonly string[];
      readonly url: URL | undefined;
      readonly dryRun: boolean;
      readonly keep: boolean;
      readonly waitMs: number;
    };

/** A command, or a text to print and the exit code to end with. */
export type DeadLetterArguments =
  | { readonly kind: 'command'; readonly command: DeadLetterCommand }
  | { readonly kind: 'exit'; readonly exitCode: 0 | 2; readonly text: string };

/** The folder that the configuration names, or why there is none. `file` undefined: no `--config` was given. */
export type FindFolder = (
  file: string | undefined,
) => { readonly path: string } | { readonly problem: string };

const USAGE = `Usage: sluice dead-letter ls [--json]
       sluice dead-letter show FILE... | --all [--reason R] [--table T] [--limit N]
       sluice dead-letter replay [FILE...] --url URL [--dry-run] [--keep] [--wait S]

Rows that were acknowledged and could not be written lie in files of line protocol
in the folder deadLetter.path. These commands work while the gateway runs.

ls       lists the files: entries, rows by reason, oldest and newest.
show     prints entries.
replay   posts all entries, or those of the files named, to the gateway at URL.
         What it took is removed; what it refused again stays.

Options:
  --path DIR        the folder; otherwise that of the configuration
  --config FILE     configuration file (YAML); also SLUICE_CONFIG
  --json            ls: print JSON
  --all             show: all files
  --reason R        show: only entries with this reason: ${DEAD_REASONS.join(', ')}
  --table T         show: only entries of this table
  --limit N         show: at most N entries (default 100; 0: no limit)
  --url URL         replay: for example http://127.0.0.1:4242
  --dry-run         replay: only say what would be posted
  --keep            replay: post, but leave the files as they are
  --wait S          replay: give up after so many seconds without an entry taken
                    (default 60)
  --help            print this, and end

Exit codes: 0 done; 1 replay: something stays (refused, not possible, interrupted),
or a file can't be read; 2 bad usage or configuration.
`;

const OPTIONS = {
  path: { type: 'string' },
  config: { type: 'string' },
  json: { type: 'boolean' },
  all: { type: 'boolean' },
  reason: { type: 'string' },
  table: { type: 'string' },
  limit: { type: 'string' },
  url: { type: 'string' },
  'dry-run': { type: 'boolean' },
  keep: { type: 'boolean' },
  wait: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** Options that every command has, and those of each. */
const COMMON = ['path', 'config', 'help'];
const OWN: Readonly<Record<DeadLetterCommand['kind'], readonly string[]>> = {
  ls: ['json'],
  show: ['all', 'reason', 'table', 'limit'],
  replay: ['url', 'dry-run', 'keep', 'wait'],
};
const MAX_NUMBER = 1_000_000_000;

type Values = ReturnType<typeof parse>['values'];

/** Reads the arguments behind `dead-letter`. */
export function readDeadLetterArguments(
  args: readonly string[],
  findFolder: FindFolder,
): DeadLetterArguments {
  try {
    const { values, positionals } = parse(args);
    if (values.help === true) return { kind: 'exit', exitCode: 0, text: USAGE };
    const [name, ...files] = positionals;
    const kind = kindOf(name);
    for (const option of Object.keys(values))
      if (!COMMON.includes(option) && !OWN[kind].includes(option))
        throw new UsageError(`${kind} has no option --${option}`);
    const make = commandOf(kind, values, files);
    const folder = values.path === undefined ? findFolder(values.config) : { path: values.path };
    if ('problem' in folder) return { kind: 'exit', exitCode: 2, text: folder.problem };
    return { kind: 'command', command: { ...make, path: folder.path } };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { kind: 'exit', exitCode: 2, text: `sluice dead-letter: ${reason}\n\n${USAGE}` };
  }
}

/** Runs a command; answers the exit code. @throws errors of the disk */
export function runDeadLetter(command: DeadLetterCommand, deps: CommandDeps): Promise<0 | 1 | 2> {
  if (command.kind === 'ls') return listDeadLetter(command, deps);
  if (command.kind === 'show') return showDeadLetter(command, deps);
  return replayDeadLetter(command, deps);
}

class UsageError extends Error {}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

function commandOf(
  kind: DeadLetterCommand['kind'],
  values: Values,
  files: readonly string[],
): DistributiveOmit<DeadLetterCommand, 'path'> {
  if (kind === 'ls') {
    if (files.length > 0) throw new UsageError('ls takes no files');
    return { kind, json: values.json === true };
  }
  if (kind === 'show') {
    if (files.length > 0 === (values.all === true)) throw new UsageError('show needs files, or --all');
    const { table } = values;
    return {
      kind,
      files,
      reason: reasonOf(values.reason),
      table,
      limit: numberOf('limit', values.limit, 100),
    };
  }
  const dryRun = values['dry-run'] === true;
  if (values.url === undefined && !dryRun) throw new UsageError('replay needs --url');
  const waitMs = numberOf('wait', values.wait, 60) * 1_000;
  return { kind, files, url: urlOf(values.url), dryRun, keep: values.keep === true, waitMs };
}

function parse(args: readonly string[]) {
  return parseArgs({ args: [...args], strict: true, allowPositionals: true, options: OPTIONS });
}

function kindOf(name: string | undefined): DeadLetterCommand['kind'] {
  if (name === 'ls' || name === 'show' || name === 'replay') return name;
  throw new UsageError(
    name === undefined ? 'a command is missing' : `there is no command ${JSON.stringify(name)}`,
  );
}

function reasonOf(text: string | undefined): DeadReason | undefined {
  const reason = DEAD_REASONS.find((known) => known === text);
  if (text !== undefined && reason === undefined)
    throw new UsageError(`--reason must be one of ${DEAD_REASONS.join(', ')}`);
  return reason;
}

function numberOf(option: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const number = /^\d+$/.test(text) ? Number(text) : Number.POSITIVE_INFINITY;
  if (number > MAX_NUMBER) throw new UsageError(`--${option} must be an integer from 0 to ${MAX_NUMBER}`);
  return number;
}

function urlOf(text: string | undefined): URL | undefined {
  if (text === undefined) return undefined;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '' || url.search !== '')
    throw new UsageError('--url must be like http://127.0.0.1:4242');
  return url;
}
