/** The gateway as a process of its own, with its own folder, on a free port; and small clients for it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Cleanup } from './etcd.ts';

const MAIN = fileURLToPath(new URL('../../src/main.js', import.meta.url));

/** What must not outlive this process, also when the runner ends it because a test took too long. */
const leftovers = new Set<() => void>();
process.once('exit', () => {
  for (const clear of [...leftovers].toReversed()) clear();
});
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(1));

/** A line of the log. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly msg: string };

/** A gateway's process, which may still be starting. */
interface Launched {
  readonly child: ChildProcess;
  readonly logs: readonly LogLine[];
  /** Resolves with the first line, past or future, that has this message. */
  logged(message: string): Promise<LogLine>;
  /** Sends the signal and resolves with the exit code, or the signal that ended it. */
  stop(signal?: NodeJS.Signals): Promise<number | string>;
}

/** A running gateway. */
export interface Gateway extends Launched {
  readonly url: string;
  readonly port: number;
}

/** A folder that vanishes with the test. */
export function temporaryFolder(t: Cleanup): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-test-'));
  const clear = (): void => rmSync(folder, { recursive: true, force: true });
  leftovers.add(clear);
  t.after(() => {
    leftovers.delete(clear);
    clear();
  });
  return folder;
}

/** Starts a gateway in `folder`, options by environment variable; it is killed when the test ends. */
export async function startGateway(
  t: Cleanup,
  folder: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Gateway> {
  const launched = launchGateway(t, folder, env);
  const url = String((await launched.logged('listening'))['url']);
  return { ...launched, url, port: Number(new URL(url).port) };
}

/** The same without waiting until it serves; `command`: another way to run it than directly. */
export function launchGateway(
  t: Cleanup,
  folder: string,
  env: Readonly<Record<string, string>> = {},
  [program, ...args]: readonly [string, ...string[]] = [process.execPath, MAIN],
): Launched {
  const child = spawn(program, args, {
    cwd: folder,
    env: { PATH: process.env['PATH'] ?? '', SLUICE_LISTEN_PORT: '0', SLUICE_LOG_SAMPLE_MS: '0', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  const clear = (): boolean => child.kill('SIGKILL');
  leftovers.add(clear);
  t.after(async () => {
    leftovers.delete(clear);
    clear();
    await exited;
  });
  return {
    ...followLog(child),
    child,
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      const [code, by] = await exited;
      return code ?? by ?? 'unknown';
    },
  };
}

/** The lines that a process logs as JSON. */
export function followLog(child: ChildProcess): Pick<Launched, 'logs' | 'logged'> {
  const logs: LogLine[] = [];
  const waiting = new Set<() => void>();
  let ended = false;
  const wake = (): void => {
    for (const look of waiting) look();
  };
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  lines.on('line', (line) => {
    logs.push(JSON.parse(line) as LogLine);
    wake();
  });
  lines.on('close', () => {
    ended = true;
    wake();
  });
  return {
    logs,
    logged: (message) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = logs.find(({ msg }) => msg === message);
          if (found === undefined && !ended) return;
          waiting.delete(look);
          if (found !== undefined) resolve(found);
          else reject(new Error(`ended without "${message}": ${JSON.stringify(logs)}`));
        };
        waiting.add(look);
        look();
      }),
  };
}

/** Runs the program to its end; answers the exit code and all it printed. */
export async function runGateway(
  folder: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ code: number | null; out: string }> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: folder,
    env: { PATH: process.env['PATH'] ?? '', ...env },
  });
  let out = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (out += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out };
}

/** Posts a body; answers status, text and headers. */
export async function post(
  url: string,
  body: string,
): Promise<{ status: number; text: string; headers: Headers }> {
  const response = await fetch(url, { method: 'POST', body });
  return { status: response.status, text: await response.text(), headers: response.headers };
}

/** Rows of a query as JSON text, so that 64-bit integers stay as they are. */
export async function query(url: string, sql: string, database = 'public'): Promise<string> {
  const response = await fetch(`${url}/v1/sql?db=${encodeURIComponent(database)}`, {
    method: 'POST',
    body: new URLSearchParams({ sql }),
  });
  const text = await response.text();
  const rows = /"rows":(\[.*\]),"total_rows"/s.exec(text)?.[1];
  if (rows === undefined) throw new Error(`${sql}: ${text}`);
  return rows;
}

/** The value of a metric, labels written as Prometheus prints them; 0 when it is not there. */
export async function metric(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${name} `));
  return line === undefined ? 0 : Number(line.slice(name.length + 1));
}
