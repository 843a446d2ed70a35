/** The two targets of the storm: the unguarded stand-in, and real gateways. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Cluster } from '../helpers/cluster.ts';
import type { Cleanups, Target } from './run.ts';

const UNGUARDED = fileURLToPath(new URL('unguarded.js', import.meta.url));
const PROCESSES = 3;

/** A task in etcd per failed create. */
export function unguarded(): Target {
  return {
    name: 'unguarded',
    taskPrefix: '/ddl/tasks/',
    purge: undefined,
    start: (etcd, database, cleanup) =>
      Promise.all(
        Array.from({ length: PROCESSES }, (_, index) =>
          startUnguarded(
            { UNGUARDED_ID: `u${index}`, UNGUARDED_DATABASE: database.url, UNGUARDED_ETCD: etcd.url },
            cleanup,
          ),
        ),
      ),
  };
}

/** Gateways with the defaults of the product, but for the log. */
export function guarded(): Target {
  let cluster: Cluster | undefined;
  return {
    name: 'guarded',
    taskPrefix: '/sluice/v1/task/',
    purge: async (prefix) => {
      await cluster?.forget({ kind: 'prefix', database: 'public', table: prefix });
    },
    start: async (etcd, database, cleanup) => {
      const started = new Cluster(cleanup, [etcd], { database, base: {} });
      cluster = started;
      const gateways = await Promise.all(Array.from({ length: PROCESSES }, () => started.add()));
      await started.ready();
      return gateways.map(({ url }) => url);
    },
  };
}

async function startUnguarded(env: Readonly<Record<string, string>>, cleanup: Cleanups): Promise<string> {
  const child: ChildProcess = spawn(process.execPath, [UNGUARDED], {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  cleanup.after(async () => {
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    await exited;
  });
  const [port] = (await once(createInterface({ input: child.stdout as NodeJS.ReadableStream }), 'line')) as [
    string,
  ];
  return `http://127.0.0.1:${port}`;
}
