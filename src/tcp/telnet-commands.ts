/** The commands of OpenTSDB's telnet protocol besides `put`: pure answers to single lines (protocols.md 3). */
import { type BuildInfo, versionText } from '../model/build-info.ts';

/** What commands tell of. */
export interface CommandDeps {
  readonly build: BuildInfo;
  /** Lines of `stats`, each with its newline. */
  stats(): Promise<string>;
  status(): 'ok' | 'error';
}

/** An answer with its newlines; undefined: the connection is to be ended. */
export type CommandAnswer = string | undefined;

const HELP = 'available commands: put dropcaches exit help stats status version\n';
const SHOWN_CHARS = 64;

/** Answers a command. Nothing it does can be undone by others: `diediedie` is unknown, and there are no caches to drop. */
export async function answerCommand(
  line: string,
  mayRead: boolean,
  deps: CommandDeps,
): Promise<CommandAnswer> {
  const [word = ''] = line.split(' ');
  switch (word) {
    case 'exit':
      return undefined;
    case 'version':
      return versionText(deps.build);
    case 'help':
      return HELP;
    case 'stats':
      return mayRead ? await deps.stats() : 'stats: permission denied\n';
    case 'status':
      return `${deps.status()}\n`;
    case 'dropcaches':
      return 'Caches dropped.\n';
    case 'rollup':
      return 'rollup: illegal argument: No rollup or aggregations were configured\n';
    case 'histogram':
      return 'histogram: illegal argument: Histogram storage has not been enabled\n';
    default:
      return `unknown command: ${word.slice(0, SHOWN_CHARS)}.  Try \`help'.\n`;
  }
}
