/** A gateway as a process of its own, for benchmarks, and a client that posts to it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { type Agent, request } from 'node:http';
import { fileURLToPath } from 'node:url';
import { followLog } from '../helpers/gateway.ts';

const MAIN = fileURLToPath(new URL('../../src/main.js', import.meta.url));

/** A gateway that serves. */
export interface Running {
  readonly child: ChildProcess;
  readonly url: string;
}

/** Starts it in `folder`, which is made if need be; options by environment variable. */
export async function startGateway(folder: string, env: Readonly<Record<string, string>>): Promise<Running> {
  await mkdir(folder, { recursive: true });
  const child = spawn(process.execPath, [MAIN], {
    cwd: folder,
    env: { PATH: process.env['PATH'] ?? '', SLUICE_LISTEN_PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const url = String((await followLog(child).logged('listening'))['url']);
  return { child, url };
}

/** Ends it in good order. */
export async function stop({ child }: Running): Promise<void> {
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
}

/** Posts a body and answers the status. */
export function send(url: string, agent: Agent, body: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: 'POST', agent, headers: { 'content-length': body.length } });
    sent.on('error', reject);
    sent.on('response', (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode ?? 0));
    });
    sent.end(body);
  });
}
