/**
 * A real etcd as a child process: free loopback ports that it keeps over restarts, a data folder of its own, and what
 * an operator or an accident does to it. One member or a cluster. Nothing survives `close`.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Certificates } from './certificates.ts';
import { ETCD, ETCDCTL, requireEtcd } from './etcd-install.ts';
import { freePorts } from './ports.ts';
import { serving } from './serving.ts';

/** Where to register what is to be done at the end: a test's context, or the functions of node:test. */
export interface Cleanup {
  after(fn: () => Promise<void> | void): void;
}

/** How etcd is started. */
export interface EtcdOptions {
  /** `--quota-backend-bytes`; undefined: etcd's own (2 GiB). */
  readonly quotaBytes?: number | undefined;
  /** Serves TLS and asks clients for a certificate. */
  readonly certificates?: Certificates | undefined;
  /** More flags, `['--auth-token-ttl', '2']`. */
  readonly flags?: readonly string[];
}

/** A member. All functions are for a member that is in the state they name. */
export interface Etcd {
  /** `http://127.0.0.1:port`, or https. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Ends it at once; the data stays. */
  kill9(): Promise<void>;
  /** SIGSTOP: it keeps its connections and answers nothing. */
  pause(): void;
  resume(): void;
  /** Starts it again (killing it first if need be) on the same ports and data; resolves when it serves. */
  restart(): Promise<void>;
  /** As restart, but with no data and another cluster id. For a single member. */
  wipe(): Promise<void>;
  /** Copies the data (killing and starting it again); `restoreBackup` goes back to that. */
  backUp(): Promise<void>;
  restoreBackup(): Promise<void>;
  /** Runs etcdctl against it; answers what it printed. `user` is `name:password`. */
  ctl(args: readonly string[], user?: string): Promise<string>;
  /** Creates root and a user who may do anything under `prefix`, and turns authentication on. */
  enableAuth(user: {
    readonly name: string;
    readonly password: string;
    readonly prefix: string;
  }): Promise<void>;
  /** Kills it and removes its data. Idempotent. */
  close(): Promise<void>;
}

/** root's, once `enableAuth` was called. */
export const ROOT = 'root:root-secret';

interface MemberPlan {
  readonly name: string;
  readonly folder: string;
  readonly port: number;
  readonly peerPort: number;
  /** `--initial-cluster`. */
  readonly cluster: string;
  readonly token: () => string;
  readonly options: EtcdOptions;
}

const run = promisify(execFile);
/** Another port is tried so often when somebody took the one chosen. */
const START_TRIES = 3;

/** Starts one member and waits until it serves. */
export async function startEtcd(cleanup: Cleanup, options: EtcdOptions = {}): Promise<Etcd> {
  for (let tries = 1; ; tries++) {
    const [etcd] = await planMembers(1, options);
    cleanup.after(() => (etcd as Etcd).close());
    try {
      await (etcd as Etcd).restart();
      return etcd as Etcd;
    } catch (error) {
      if (tries === START_TRIES || !String(error).includes('address already in use')) throw error;
    }
  }
}

/** Starts a cluster and waits until each member serves. */
export async function startEtcdCluster(
  cleanup: Cleanup,
  size = 3,
  options: EtcdOptions = {},
): Promise<readonly Etcd[]> {
  const members = await planMembers(size, options);
  for (const member of members) cleanup.after(() => member.close());
  await Promise.all(members.map((member) => member.restart()));
  return members;
}

async function planMembers(size: number, options: EtcdOptions): Promise<readonly Etcd[]> {
  requireEtcd();
  const ports = await freePorts(size * 2);
  const at = (index: number): number => ports[index] as number;
  const names = Array.from({ length: size }, (_, index) => `member${index}`);
  const cluster = names.map((name, index) => `${name}=http://127.0.0.1:${at(size + index)}`).join(',');
  const token = `sluice-${process.pid}-${at(0)}`;
  let wiped = 0;
  return names.map((name, index) =>
    createMember(
      {
        name,
        folder: mkdtempSync(join(tmpdir(), 'sluice-etcd-')),
        port: at(index),
        peerPort: at(size + index),
        cluster,
        token: () => `${token}-${wiped}`,
        options,
      },
      () => wiped++,
    ),
  );
}

function createMember(plan: MemberPlan, onWipe: () => void): Etcd {
  const { certificates } = plan.options;
  const url = `${certificates === undefined ? 'http' : 'https'}://127.0.0.1:${plan.port}`;
  const data = join(plan.folder, 'data');
  const backup = join(plan.folder, 'backup');
  let child: ChildProcess | undefined;

  const kill9 = async (): Promise<void> => {
    const victim = child;
    child = undefined;
    if (victim === undefined || victim.exitCode !== null || victim.signalCode !== null) return;
    const exited = once(victim, 'exit');
    victim.kill('SIGKILL');
    await exited;
  };
  const restart = async (): Promise<void> => {
    await kill9();
    // etcd dies with this process, however that ends.
    const wrapper = ['--pdeathsig', 'KILL', '--', ETCD];
    child = spawn('setpriv', [...wrapper, ...flagsOf(plan, url), '--data-dir', data], {
      env: { PATH: '/usr/bin:/bin' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    await serving(child, 'etcd', '"serving client traffic');
  };
  const ctl = async (args: readonly string[], user?: string): Promise<string> => {
    const tls =
      certificates === undefined
        ? []
        : ['--cacert', certificates.caFile, '--cert', certificates.clientCertFile];
    const key = certificates === undefined ? [] : ['--key', certificates.clientKeyFile];
    const as = user === undefined ? [] : ['--user', user];
    const env = { PATH: '/usr/bin:/bin', ETCDCTL_API: '3' };
    return (await run(ETCDCTL, ['--endpoints', url, ...tls, ...key, ...as, ...args], { env })).stdout;
  };
  return {
    url,
    port: plan.port,
    get pid() {
      return child?.pid as number;
    },
    kill9,
    pause: () => void child?.kill('SIGSTOP'),
    resume: () => void child?.kill('SIGCONT'),
    restart,
    async wipe() {
      await kill9();
      rmSync(data, { recursive: true, force: true });
      onWipe();
      await restart();
    },
    async backUp() {
      await kill9();
      cpSync(data, backup, { recursive: true });
      await restart();
    },
    async restoreBackup() {
      await kill9();
      rmSync(data, { recursive: true, force: true });
      cpSync(backup, data, { recursive: true });
      await restart();
    },
    ctl,
    async enableAuth({ name, password, prefix }) {
      await ctl(['user', 'add', ROOT]);
      await ctl(['user', 'grant-role', 'root', 'root']);
      await ctl(['role', 'add', name]);
      await ctl(['role', 'grant-permission', name, '--prefix=true', 'readwrite', prefix]);
      await ctl(['user', 'add', `${name}:${password}`]);
      await ctl(['user', 'grant-role', name, name]);
      await ctl(['auth', 'enable']);
    },
    async close() {
      await kill9();
      rmSync(plan.folder, { recursive: true, force: true });
    },
  };
}

function flagsOf({ name, peerPort, cluster, token, options }: MemberPlan, url: string): string[] {
  const { quotaBytes, certificates, flags = [] } = options;
  const peer = `http://127.0.0.1:${peerPort}`;
  const result = ['--name', name, '--logger', 'zap', '--log-level', 'info'];
  result.push('--listen-client-urls', url, '--advertise-client-urls', url);
  result.push('--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer);
  result.push('--initial-cluster', cluster, '--initial-cluster-token', token());
  if (quotaBytes !== undefined) result.push('--quota-backend-bytes', String(quotaBytes));
  if (certificates !== undefined) {
    result.push('--cert-file', certificates.serverCertFile, '--key-file', certificates.serverKeyFile);
    result.push('--trusted-ca-file', certificates.caFile, '--client-cert-auth');
  }
  return [...result, ...flags];
}
