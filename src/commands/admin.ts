/**
 * `sluice status`, `sluice pause` and so on: the admin API of a running gateway from the command line. Arguments are
 * read here and nothing is printed meanwhile; what a gateway answers is printed as a table or as its own JSON.
 */
import { parseArgs } from 'node:util';
import type { Clock } from '../model/clock.ts';
import { withTimeLimit } from '../util/abort.ts';
import { type CommandDeps, columns, harmless, harmlessLine } from './terminal.ts';

/** One request to the admin API. */
export interface AdminCommand {
  readonly kind: 'admin';
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  /** Undefined: none is sent. */
  readonly token: string | undefined;
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
failures   negative results             likewise, and [--class permanent|transient]
lanes      tables with parked rows      likewise, without --class
pause      stop all creates             --reason TEXT
resume     let them go on
retry      try a table again now        --database D --table T
forget     drop negative results        --all | --database D (--table T | --prefix P)
drain      wait for the write log

Options:
  --url URL     the gateway (default http://127.0.0.1:4242)
  --token T     token with the admin right; better by SLUICE_ADMIN_TOKEN, for
                arguments are seen by others
  --json        print the answer as it is
  --help        print this, and end

Exit codes: 0 done, 1 refused or failed, 2 bad usage, 3 the gateway can't be reached.
`;

const LISTING = ['database', 'prefix', 'limit', 'cursor'] as const;
/** The parameters of each command, and how it is sent. */
const COMMANDS: ReadonlyMap<string, { readonly method: 'GET' | 'POST'; readonly own: readonly string[] }> =
  new Map([
    ['status', { method: 'GET', own: [] }],
    ['tasks', { method: 'GET', own: LISTING }],
    ['failures', { method: 'GET', own: [...LISTING, 'class'] }],
    ['lanes', { method: 'GET', own: LISTING }],
    ['pause', { method: 'POST', own: ['reason'] }],
    ['resume', { method: 'POST', own: [] }],
    ['retry', { method: 'POST', own: ['database', 'table'] }],
    ['forget', { method: 'POST', own: ['all', 'database', 'table', 'prefix'] }],
    ['drain', { method: 'POST', own: [] }],
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
    const { method, own } = COMMANDS.get(name) ?? { method: 'GET', own: [] };
    const text = { type: 'string' } as const;
    const flag = { type: 'boolean' } as const;
    const { values } = parseArgs({
      args,
      strict: true,
      options: {
        url: { ...text, default: 'http://127.0.0.1:4242' },
        token: text,
        json: flag,
        help: { ...flag, short: 'h' },
        ...Object.fromEntries(own.map((option) => [option, option === 'all' ? flag : text])),
      },
    });
    if (values.help === true) return { kind: 'exit', exitCode: 0, text: USAGE };
    const url = urlOf(values.url, name);
    for (const [option, value] of Object.entries(values))
      if (own.includes(option)) url.searchParams.set(option, String(value));
    const json = values.json === true;
    const command: AdminCommand = { kind: 'admin', method, url, token: values.token ?? token, json };
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
  let answer: { readonly ok: boolean; readonly status: number; readonly text: string };
  try {
    answer = await request(command, clock, signal);
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    await terminal.err(
      `sluice: ${command.url.origin}: ${harmlessLine(cause instanceof Error ? cause.message : String(cause))}\n`,
    );
    return 3;
  }
  if (!answer.ok) {
    await terminal.err(`sluice: ${answer.status}: ${harmlessLine(answer.text.trim())}\n`);
    return 1;
  }
  await terminal.out(command.json ? `${harmless(answer.text)}\n` : tableOf(JSON.parse(answer.text)));
  return 0;
}

function request({ method, url, token }: AdminCommand, clock: Clock, closing: AbortSignal) {
  const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  const late = (): Error => new Error(`no answer within ${REQUEST_MS / 1_000} s`);
  return withTimeLimit(closing, { limitMs: REQUEST_MS, clock, late }, async (signal) => {
    const response = await fetch(url, { method, headers, signal, redirect: 'error' });
    return { ok: response.ok, status: response.status, text: await response.text() };
  });
}

function urlOf(text: string, name: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '' || url.search !== '')
    throw new Error('--url must be like http://127.0.0.1:4242');
  return new URL(`${url.pathname.replace(/\/$/, '')}/admin/${name}`, url);
}

/** A listing as a table, anything else line by line. */
function tableOf(answer: Readonly<Record<string, unknown>>): string {
  const { items, next } = answer;
  if (!Array.isArray(items)) {
    return columns(Object.entries(answer).map(([key, value]) => [key, cellOf(value)]));
  }
  const [first] = items as Readonly<Record<string, unknown>>[];
  if (first === undefined) return 'Nothing.\n';
  const names = Object.keys(first);
  const rows = (items as Readonly<Record<string, unknown>>[]).map((item) =>
    names.map((key) => cellOf(item[key])),
  );
  const more = typeof next === 'string' ? `More: --cursor ${next}\n` : '';
  return columns([names.map((key) => key.toUpperCase()), ...rows]) + more;
}

function cellOf(value: unknown): string | number {
  if (typeof value === 'number') return value;
  if (value === null) return '-';
  return harmlessLine(typeof value === 'string' ? value : JSON.stringify(value));
}
