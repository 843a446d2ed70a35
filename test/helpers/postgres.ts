/**
 * A real PostgreSQL as a child process: a cluster of its own in a temporary folder, a free loopback port that it keeps
 * over restarts, and what an operator or an accident does to it. It refuses to run as root, so root runs it as `nobody`.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import type { Cleanup } from './etcd.ts';
import { freePorts } from './ports.ts';
import { requirePostgres } from './postgres-install.ts';
import { serving } from './serving.ts';

/** A server. */
export interface Postgres {
  readonly port: number;
  readonly pid: number;
  /** Ends all its processes at once; what was committed stays. */
  kill9(): Promise<void>;
  /** Ends it as `pg_ctl stop -m fast` does: sessions are told. */
  stop(): Promise<void>;
  /** Starts it again on the same port and data; resolves when it serves. */
  start(): Promise<void>;
  /** A new, empty database, with no schema at all; answers its name. */
  createDatabase(): Promise<string>;
  /** Runs SQL as the superuser; answers the rows of the last statement as arrays of what the driver makes of them. */
  sql(database: string, text: string, values?: readonly unknown[]): Promise<unknown[][]>;
  /** A superuser's session, which the test's end closes. */
  session(cleanup: Cleanup, database: string): Promise<Client>;
  /** From the next reload of its configuration on, the role must have a password. */
  demandPasswords(role: string): void;
  /** Kills it and removes its data. Idempotent. */
  close(): Promise<void>;
}

/** The superuser, without a password. */
export const SUPERUSER = 'sluice';

const run = promisify(execFile);
const NOBODY = 'nobody';

/** Starts a server with its own cluster; `settings` as on its command line. */
export async function startPostgres(
  cleanup: Cleanup,
  settings: Readonly<Record<string, string | number>> = {},
): Promise<Postgres> {
  const programs = requirePostgres();
  const folder = mkdtempSync(join(tmpdir(), 'sluice-postgres-'));
  const [port] = (await freePorts(1)) as [number];
  const postgres = createServer({ programs, folder, port, settings });
  cleanup.after(() => postgres.close());
  // Also when the runner ends this process because a test took too long.
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o700);
  const asUser = userArguments(folder);
  const options = ['--username', SUPERUSER, '--auth', 'trust', '--encoding', 'UTF8', '--locale', 'C.UTF-8'];
  const [program, ...args] = [...asUser, join(programs, 'initdb'), '--no-sync', ...options];
  await run(program as string, [...args, '-D', join(folder, 'data')], { cwd: folder });
  await postgres.start();
  return postgres;
}

interface ServerPlan {
  readonly programs: string;
  readonly folder: string;
  readonly port: number;
  readonly settings: Readonly<Record<string, string | number>>;
}

function createServer(plan: ServerPlan): Postgres {
  const { port, folder } = plan;
  let child: ChildProcess | undefined;
  let databases = 0;

  const ended = async (signal: NodeJS.Signals): Promise<void> => {
    const victim = child;
    child = undefined;
    if (victim === undefined || victim.exitCode !== null || victim.signalCode !== null) return;
    const exited = once(victim, 'exit');
    // First the parent, or it would start a recovery.
    victim.kill('SIGSTOP');
    const children = signal === 'SIGKILL' ? await childrenOf(victim.pid as number) : [];
    victim.kill(signal);
    victim.kill('SIGCONT');
    for (const pid of children) killQuietly(pid);
    await exited;
  };
  const connect = async (database: string): Promise<Client> => {
    const client = new Client({ host: '127.0.0.1', port, user: SUPERUSER, database });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  };
  const sql = async (database: string, text: string, values?: readonly unknown[]): Promise<unknown[][]> => {
    const client = await connect(database);
    try {
      const answer = await client.query<unknown[]>({
        text,
        rowMode: 'array',
        ...(values === undefined ? {} : { values: [...values] }),
      });
      return (Array.isArray(answer) ? (answer as { rows: unknown[][] }[]).at(-1)?.rows : answer.rows) ?? [];
    } finally {
      await client.end();
    }
  };
  return {
    port,
    get pid() {
      return child?.pid as number;
    },
    kill9: () => ended('SIGKILL'),
    stop: () => ended('SIGINT'),
    async start() {
      child = launch(plan);
      await serving(child, 'PostgreSQL', 'database system is ready to accept connections');
    },
    async createDatabase() {
      const name = `test${++databases}`;
      await sql('postgres', `CREATE DATABASE ${name} TEMPLATE template0`);
      await sql(name, 'DROP SCHEMA public');
      return name;
    },
    sql,
    async session(cleanup, database) {
      const client = await connect(database);
      cleanup.after(() => client.end());
      return client;
    },
    demandPasswords(role) {
      const file = join(folder, 'data', 'pg_hba.conf');
      writeFileSync(file, `host all ${role} all scram-sha-256\n${readFileSync(file, 'utf8')}`);
    },
    async close() {
      await ended('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function launch({ programs, folder, port, settings }: ServerPlan): ChildProcess {
  const all = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    // Survives the death of the server, though not of the machine.
    fsync: 'off',
    ...settings,
  };
  const flags = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const user = userArguments(folder);
  // It dies with this process, however that ends.
  const wrapper = [...(user.length === 0 ? ['setpriv'] : user), '--pdeathsig', 'KILL', '--'];
  const command = [...wrapper, join(programs, 'postgres'), '-D', join(folder, 'data'), '-p', String(port)];
  return spawn(command[0] as string, [...command.slice(1), ...flags], {
    cwd: folder,
    env: { PATH: '/usr/bin:/bin', LC_ALL: 'C.UTF-8' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
}

/** How to run a program as a user that is not root, to whom the folder is given. */
function userArguments(folder: string): readonly string[] {
  if (process.getuid?.() !== 0) return [];
  const [uid, gid] = ['-u', '-g'].map((flag) =>
    Number(execFileSync('id', [flag, NOBODY], { encoding: 'utf8' })),
  );
  chownSync(folder, uid as number, gid as number);
  return ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'];
}

async function childrenOf(pid: number): Promise<readonly number[]> {
  const { stdout } = await run('ps', ['--ppid', String(pid), '-o', 'pid=']).catch(() => ({ stdout: '' }));
  return stdout.trim().split(/\s+/).filter(Boolean).map(Number);
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
