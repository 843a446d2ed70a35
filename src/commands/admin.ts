/**
 * `sluice status`, `sluice pause` and so on: the admin API of a running gateway from the command line. Arguments are
 * read here and nothing is printed meanwhile; what a gateway answers is printed as a table or as its own JSON.
 */
import { parseArgs } from 'node:util';
import type { Clock } from '../model/clock.ts';
import { withTimeLimit } from '../util/abort.ts';
import { readBody, readToken } from './admin-files.ts';
import { type CommandDeps, columns, harmless, harmlessLine } from './terminal.ts';

/** One request to the admin API. */
export interface AdminCommand {
  readonly kind: 'admin';
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  /** A token, or where there is one; undefined: none is sent. */
  readonly token: string | { readonly file: string } | undefined;
  /** The file to send; `-`: standard input. */
  readonly body: string | undefined;
  readonly json: boolean;
}

/** A command, or a text to print and the exit code to end with. */
export type AdminArguments =
  | { readonly kind: 'command'; readonly command: AdminCommand }
  | { readonly kind: 'exit'; readonly exitCode: 0 | 2; readonly text: string };

const USAGE = `Usage: sluice COMMAND [--url URL] [--token T] [--json] [parameters]

Shows and steers a running gateway.

status     what holds at the moment
tasks      open DDL tasks               [--database D] [--prefix P] [--limit N] [--cursor C]
tables     tables known                 as tasks
policy     what may be created
failures   negative results             as tasks, and [--class permanent|transient]
lanes      tables with parked rows      as tasks
offenders  who was refused most         [--by table|client|tenant] [--limit N]
pause      stop all creates             --reason TEXT
resume     let them go on
retry      try a table again now        --database D --table T
forget     drop negative results        --all | --database D (--table T | --prefix P)
cancel     end an open task             --database D [--table T]
drain      wait for the write log
plan       what a write would do        FILE|- --protocol opentsdb|influx
                                        [--db D] [--precision P] [--tenant T]

Options:
  --url URL         the gateway (default http://127.0.0.1:4242)
  --token-file F    file with a token that has the admin right
  --token T         the token itself; better by SLUICE_ADMIN_TOKEN or a file, for
                    arguments are seen by others
  --json            print the answer as it is
  --help            print this, and end

Exit codes: 0 done, 1 refused or failed, 2 bad usage, 3 the gateway can't be reached.
`;

const LISTING = ['database', 'prefix', 'limit', 'cursor'] as const;
interface CommandRule {
  readonly method: 'GET' | 'POST';
  /** Its parameters. */
  readonly own: readonly string[];
  /** It is about a file. */
  readonly hasBody?: true;
}

/** The parameters of each command, and how it is sent. */
const COMMANDS: ReadonlyMap<string, CommandRule> = new Map<string, CommandRule>([
  ['status', { method: 'GET', own: [] }],
  ['tasks', { method: 'GET', own: LISTING }],
  ['tables', { method: 'GET', own: LISTING }],
  ['policy', { method: 'GET', own: [] }],
  ['failures', { method: 'GET', own: [...LISTING, 'class'] }],
  ['lanes', { method: 'GET', own: LISTING }],
  ['offenders', { method: 'GET', own: ['by', 'limit'] }],
  ['pause', { method: 'POST', own: ['reason'] }],
  ['resume', { method: 'POST', own: [] }],
  ['retry', { method: 'POST', own: ['database', 'table'] }],
  ['forget', { method: 'POST', own: ['all', 'database', 'table', 'prefix'] }],
  ['cancel', { method: 'POST', own: ['database', 'table'] }],
  ['drain', { method: 'POST', own: [] }],
  ['plan', { method: 'POST', own: ['protocol', 'db', 'precision', 'tenant'], hasBody: true }],
]);
const REQUEST_MS = 30_000;

/** True when the first argument is one of these commands. */
export function isAdminCommand(name: string | undefined): boolean {
  return name !== undefined && COMMANDS.has(name);
}

/** Reads the arguments; `token` is the environment's, undefined when it has none. */
export function readAdminArguments(
  [name = '', ...args]: readonly string[],
  token: string | undefined,
): AdminArguments {
  try {
    const { method, own, hasBody = false } = COMMANDS.get(name) as CommandRule;
    const text = { type: 'string' } as const;
    const flag = { type: 'boolean' } as const;
    const { values, positionals } = parseArgs({
      args,
      strict: true,
      allowPositionals: hasBody,
      options: {
        url: { ...text, default: 'http://127.0.0.1:4242' },
        token: text,
        'token-file': text,
        json: flag,
        help: { ...flag, short: 'h' },
        ...Object.fromEntries(own.map((option) => [option, option === 'all' ? flag : text])),
      },
    });
    if (values.help === true) return { kind: 'exit', exitCode: 0, text: USAGE };
    const url = urlOf(values.url, name);
    for (const [option, value] of Object.entries(values))
      if (own.includes(option)) url.searchParams.set(option, String(value));
    const [body] = positionals;
    if (hasBody && (body === undefined || positionals.length > 1)) throw new Error('say one FILE, or -');
    const file = values['token-file'];
    const given = values.token ?? (file === undefined ? token : { file });
    const command: AdminCommand = {
      kind: 'admin',
      method,
      url,
      token: given,
      body,
      json: values.json === true,
    };
    return { kind: 'command', command };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { kind: 'exit', exitCode: 2, text: `sluice ${name}: ${reason}\n\n${USAGE}` };
  }
}

/** Sends the request and prints the answer; answers the exit code. */
export async function runAdmin(
  command: AdminCommand,
  { terminal, clock, signal }: CommandDeps,
): Promise<0 | 1 | 3> {
  const failed = async (what: string, error: unknown): Promise<void> => {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    await terminal.err(
      `sluice: ${what}${harmlessLine(cause instanceof Error ? cause.message : String(cause))}\n`,
    );
  };
  let files: Files;
  try {
    files = await readFiles(command, signal);
  } catch (error) {
    await failed('', error);
    return 1;
  }
  let answer: { readonly ok: boolean; readonly status: number; readonly text: string };
  try {
    answer = await request(command, files, clock, signal);
  } catch (error) {
    await failed(`${command.url.origin}: `, error);
    return 3;
  }
  if (!answer.ok) {
    await terminal.err(`sluice: ${answer.status}: ${harmlessLine(answer.text.trim())}\n`);
    return 1;
  }
  await terminal.out(command.json ? `${harmless(answer.text)}\n` : tableOf(JSON.parse(answer.text)));
  return 0;
}

interface Files {
  readonly token: string | undefined;
  readonly body: Buffer | undefined;
}

async function readFiles({ token, body }: AdminCommand, signal: AbortSignal): Promise<Files> {
  return {
    token: typeof token === 'object' ? await readToken(token.file) : token,
    body: body === undefined ? undefined : await readBody(body, signal),
  };
}

function request({ method, url }: AdminCommand, { token, body }: Files, clock: Clock, closing: AbortSignal) {
  const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  const late = (): Error => new Error(`no answer within ${REQUEST_MS / 1_000} s`);
  return withTimeLimit(closing, { limitMs: REQUEST_MS, clock, late }, async (signal) => {
    const response = await fetch(url, { method, headers, signal, redirect: 'error', body: body ?? null });
    return { ok: response.ok, status: response.status, text: await response.text() };
  });
}

function urlOf(text: string, name: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '' || url.search !== '')
    throw new Error('--url must be like http://127.0.0.1:4242');
  return new URL(`${url.pathname.replace(/\/$/, '')}/admin/${name}`, url);
}

/** A listing as a table; anything else line by line, and lists in it as tables below. */
function tableOf(answer: Readonly<Record<string, unknown>>): string {
  const { items, next } = answer;
  if (Array.isArray(items)) {
    const more = typeof next === 'string' ? `More: --cursor ${next}\n` : '';
    return items.length === 0 ? 'Nothing.\n' : listOf(items) + more;
  }
  const isList = (value: unknown): value is object[] => Array.isArray(value) && typeof value[0] === 'object';
  const entries = Object.entries(answer);
  const plain = entries.filter(([, value]) => !isList(value)).map(([key, value]) => [key, cellOf(value)]);
  const lists = entries.map(([key, value]) => (isList(value) ? `\n${key}\n${listOf(value)}` : ''));
  return columns(plain) + lists.join('');
}

function listOf(items: readonly object[]): string {
  const names = Object.keys(items[0] ?? {});
  const rows = items.map((item) => {
    return names.map((key) => cellOf((item as Readonly<Record<string, unknown>>)[key]));
  });
  return columns([names.map((key) => key.toUpperCase()), ...rows]);
}

function cellOf(value: unknown): string | number {
  if (typeof value === 'number') return value;
  if (value === null) return '-';
  return harmlessLine(typeof value === 'string' ? value : JSON.stringify(value));
}
