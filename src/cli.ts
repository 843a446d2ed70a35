/**
 * The command line: turns arguments into what is to be done, and does none of it. Nothing is printed and the
 * process is not ended here; main.ts acts on the answer.
 */
import { parseArgs } from 'node:util';
import { readAccessArguments } from './commands/access.ts';
import { type AdminCommand, isAdminCommand, readAdminArguments } from './commands/admin.ts';
import { type DeadLetterCommand, type FindFolder, readDeadLetterArguments } from './commands/dead-letter.ts';
import {
  adminToken,
  type Config,
  type ConfigOrigin,
  type ConfigSources,
  loadConfig,
  printConfig,
} from './config.ts';

/**
 * What main.ts is to do: run the gateway, run a command and end, or print `text` (to stderr when `exitCode` is not 0)
 * and end.
 */
export type CliAction =
  | { readonly kind: 'run'; readonly config: Config; readonly sources: ConfigSources }
  | { readonly kind: 'command'; readonly command: DeadLetterCommand | AdminCommand }
  | { readonly kind: 'exit'; readonly exitCode: 0 | 2; readonly text: string };

const USAGE = `Usage: sluice [options]
       sluice status | tasks | tables | policy | failures | lanes | offenders ...
       sluice pause | resume | retry | forget | cancel | drain | plan ...
       sluice dead-letter ls | show | replay ...    (--help tells more)
       sluice access token | password NAME          (--help tells more)

Options:
  --config FILE     configuration file (YAML); also SLUICE_CONFIG
  --check-config    check the configuration, print every mistake, and end
  --print-config    print the configuration in effect as YAML, and end
  --version         print the version, and end
  --help            print this, and end

Every option of the file can also be set by an environment variable, which wins
over the file: listen.port is SLUICE_LISTEN_PORT. See docs/configuration.md.

Exit codes: 0 stopped on request, 1 failed while running, 2 bad usage or
configuration.
`;

/** Reads the arguments after the program's name; `origin` replaces environment and files in tests. */
export function readCommandLine(
  args: readonly string[],
  version: string,
  origin: Omit<ConfigOrigin, 'file'> = {},
): CliAction {
  if (args[0] === 'access') return readAccessArguments(args.slice(1));
  if (args[0] === 'dead-letter') return readDeadLetterArguments(args.slice(1), deadLetterFolder(origin));
  if (isAdminCommand(args[0])) return readAdminArguments(args, adminToken(origin));
  const flags = parseFlags(args);
  if (typeof flags === 'string') return { kind: 'exit', exitCode: 2, text: `sluice: ${flags}\n\n${USAGE}` };
  if (flags.help) return { kind: 'exit', exitCode: 0, text: USAGE };
  if (flags.version) return { kind: 'exit', exitCode: 0, text: `sluice ${version}\n` };
  const loaded = loadConfig({ ...origin, file: flags.config });
  if (loaded.kind === 'invalid') return { kind: 'exit', exitCode: 2, text: listProblems(loaded.problems) };
  if (flags.printConfig) {
    return { kind: 'exit', exitCode: 0, text: printConfig(loaded.config, loaded.sources) };
  }
  if (flags.checkConfig) return { kind: 'exit', exitCode: 0, text: 'The configuration is valid.\n' };
  return { kind: 'run', config: loaded.config, sources: loaded.sources };
}

/** Where the dead letter of a configuration lies. */
function deadLetterFolder(origin: Omit<ConfigOrigin, 'file'>): FindFolder {
  return (file) => {
    const loaded = loadConfig({ ...origin, file });
    return loaded.kind === 'ok'
      ? { path: loaded.config.deadLetter.path }
      : { problem: listProblems(loaded.problems) };
  };
}

interface Flags {
  readonly config: string | undefined;
  readonly help: boolean;
  readonly version: boolean;
  readonly checkConfig: boolean;
  readonly printConfig: boolean;
}

/** The flags, or what is wrong with the arguments. */
function parseFlags(args: readonly string[]): Flags | string {
  try {
    const { values } = parseArgs({
      args: [...args],
      strict: true,
      allowPositionals: false,
      options: {
        config: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
        version: { type: 'boolean', short: 'v', default: false },
        'check-config': { type: 'boolean', default: false },
        'print-config': { type: 'boolean', default: false },
      },
    });
    const { config, help, version } = values;
    return {
      config,
      help,
      version,
      checkConfig: values['check-config'],
      printConfig: values['print-config'],
    };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function listProblems(problems: readonly string[]): string {
  const count = problems.length === 1 ? 'one mistake' : `${problems.length} mistakes`;
  return `sluice: the configuration has ${count}:\n${problems.map((problem) => `  - ${problem}\n`).join('')}`;
}
