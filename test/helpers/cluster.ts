/**
 * A cluster for tests: real gateways as processes of their own, a real etcd, one fake database; and the judge, who
 * reads all of etcd's history. Short leases, so that a takeover takes two or three seconds.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type Config, loadConfig } from '../../src/config.ts';
import { createEtcdStore } from '../../src/ddl/etcd-store.ts';
import { createDdlQueue } from '../../src/ddl/queue.ts';
import type { ForgetScope } from '../../src/model/ddl-queue.ts';
import { createSystemClock } from '../../src/util/clock.ts';
import { countingMetrics, NEVER, SILENT } from './ddl-harness.ts';
import { type Cleanup, type Etcd, startEtcd } from './etcd.ts';
import { type EtcdHistory, followEtcd } from './etcd-history.ts';
import { FakeDatabase } from './fake-database.ts';
import { followLog, type LogLine } from './gateway.ts';
import type { KillPoint } from './kill-points.ts';
import { QueueInvariants } from './queue-invariants.ts';
import { createRemoteSink } from './remote-sink.ts';
import { eventually } from './wait.ts';

const PROGRAM = fileURLToPath(new URL('cluster-gateway.js', import.meta.url));
/** The mission's bound on recovery. */
const RECOVERY_MS = 30_000;
const PREFIX = '/sluice';

/** Options by environment variable. */
export type Env = Readonly<Record<string, string>>;

/** Nothing is parked: what a write is told shows what became of its table. */
const ALWAYS: Env = {
  SLUICE_LISTEN_PORT: '0',
  SLUICE_DDL_STORE: 'etcd',
  SLUICE_ETCD_PREFIX: PREFIX,
  SLUICE_SPOOL_ENABLED: 'false',
};

/** Whatever takes seconds or minutes is short, and a test is told of everything. */
const SHORT_LEASES: Env = {
  SLUICE_ETCD_REQUEST_TIMEOUT_MS: '1000',
  SLUICE_DDL_LEASE_MS: '2000',
  SLUICE_DDL_MAX_OPEN_TASKS: '32',
  SLUICE_DDL_MAX_OPEN_TASKS_PER_TENANT: '16',
  SLUICE_GUARD_WAIT_MS: '1500',
  SLUICE_LOG_LEVEL: 'debug',
};

/** A gateway process. */
export interface ClusterGateway {
  readonly id: string;
  readonly url: string;
  readonly child: ChildProcess;
  readonly logs: readonly LogLine[];
  /** With the exit code or the signal. */
  readonly exited: Promise<number | string>;
  readonly alive: boolean;
  logged(message: string): Promise<LogLine>;
  /** Makes it die at its next step of this name. */
  killAt(point: KillPoint): Promise<void>;
  stop(signal?: NodeJS.Signals): Promise<number | string>;
}

/** What a cluster is made with. */
export interface ClusterOptions {
  readonly gateways?: number;
  /** Default: one that is started for this cluster. */
  readonly etcd?: readonly Etcd[];
  readonly quotaBytes?: number;
  /** Default: one of its own, which ends with the cluster. */
  readonly database?: FakeDatabase;
  /** Where gateway `index` finds etcd; default: the members themselves. */
  readonly endpoints?: (index: number) => string;
  /** In place of `SHORT_LEASES`, which are the default. */
  readonly base?: Env;
  readonly env?: Env;
}

/** See the module comment. */
export class Cluster {
  readonly database: FakeDatabase;
  readonly etcd: readonly Etcd[];
  readonly gateways: ClusterGateway[] = [];
  readonly #cleanup: Cleanup;
  readonly #options: ClusterOptions;
  readonly #env: Env;
  history!: EtcdHistory;
  invariants!: QueueInvariants;
  #names = 0;
  #tables = 0;

  constructor(cleanup: Cleanup, etcd: readonly Etcd[], options: ClusterOptions) {
    this.#cleanup = cleanup;
    this.etcd = etcd;
    this.#options = options;
    this.#env = { ...ALWAYS, ...(options.base ?? SHORT_LEASES), ...options.env };
    this.database = options.database ?? new FakeDatabase();
    cleanup.after(async () => this.database.close());
  }

  /** Begins to judge; again, with nothing known, after etcd lost its data. */
  judge(): void {
    const { maxOpenTasks, maxOpenTasksPerTenant } = configOf({
      ...this.#env,
      SLUICE_ETCD_ENDPOINTS: 'x:1',
    }).ddl;
    this.history = followEtcd(this.#cleanup, this.etcd);
    this.invariants = new QueueInvariants(this.history, {
      clock: createSystemClock(),
      byWallClock: true,
      prefix: PREFIX,
      maxOpenTasks,
      maxOpenTasksPerTenant,
      touched: this.database.touched,
    });
  }

  get alive(): readonly ClusterGateway[] {
    return this.gateways.filter(({ alive }) => alive);
  }

  /** Starts one more gateway; resolves when it listens. */
  async add(env: Env = {}): Promise<ClusterGateway> {
    const index = this.#names++;
    const endpoints = this.#options.endpoints?.(index) ?? this.etcd.map(({ url }) => url).join(',');
    const gateway = await startGatewayProcess(this.#cleanup, `g${index}`, {
      ...this.#env,
      SLUICE_ETCD_ENDPOINTS: endpoints,
      SLUICE_GATEWAY_ID: `g${index}`,
      CLUSTER_DATABASE: this.database.url,
      ...env,
    });
    this.gateways.push(gateway);
    return gateway;
  }

  /** The gateway that leads, once there is one. */
  leader(): Promise<ClusterGateway> {
    return eventually('a leader', async () => {
      for (const gateway of this.alive) {
        if ((await gauge(gateway, 'sluice_ddl_leader')) === 1) return gateway;
      }
      return undefined;
    });
  }

  /** Gateways, alive, that do not lead. */
  async followers(): Promise<readonly ClusterGateway[]> {
    const leader = await this.leader();
    return this.alive.filter((gateway) => gateway !== leader);
  }

  /** Resolves when one leads and all see etcd. */
  async ready(): Promise<void> {
    await this.leader();
    await Promise.all(this.alive.map(live));
  }

  /** Drops negative results, as an operator does: by a queue of its own, which asks nothing of the gateways. */
  async forget(scope: ForgetScope): Promise<number> {
    const clock = createSystemClock();
    const endpoints = this.etcd.map(({ url }) => url);
    const store = createEtcdStore(
      { endpoints, prefix: PREFIX, requestTimeoutMs: 5_000, quotaBytes: 0 },
      { clock, logger: SILENT },
    );
    const executor = createRemoteSink(this.database.url, 'operator').ddl;
    const metrics = countingMetrics(new Map());
    const queue = createDdlQueue({ prefix: PREFIX }, { store, executor, clock, logger: SILENT, metrics });
    try {
      await eventually('the operator sees etcd', () => queue.stats().live);
      return await queue.forget(scope, NEVER);
    } finally {
      await queue.close();
      await store.close();
    }
  }

  /** A name that no table had. */
  freshTable(kind = 'table'): string {
    return `${kind}_${this.#tables++}`;
  }

  /** Each living gateway gets a new table made within 30 s. */
  async assertCreates(gateways = this.alive): Promise<void> {
    await Promise.all(
      gateways.map(async (gateway) => {
        const table = this.freshTable('fresh');
        await eventually(
          `${gateway.id} gets ${table} made`,
          async () => (await write(gateway, table)) === 204,
          RECOVERY_MS,
        );
        assert.ok(this.database.has(table));
      }),
    );
  }

  /** Everything that was queued has ended, nothing is left behind, and no revision broke an invariant. */
  async assertQuiescent(): Promise<void> {
    await eventually('no open tasks', async () => {
      const open = await Promise.all(this.alive.map((gateway) => gauge(gateway, 'sluice_ddl_open_tasks')));
      return open.every((count) => count === 0);
    });
    await this.history.caughtUp();
    this.invariants.assertQuiescent();
  }
}

/** Starts etcd and gateways; resolves when one leads and all see etcd. */
export async function startCluster(cleanup: Cleanup, options: ClusterOptions = {}): Promise<Cluster> {
  const etcd = options.etcd ?? [await startEtcd(cleanup, { quotaBytes: options.quotaBytes })];
  const cluster = new Cluster(cleanup, etcd, options);
  await cluster.database.listen();
  cluster.judge();
  const gateways = options.gateways ?? 3;
  await Promise.all(Array.from({ length: gateways }, () => cluster.add()));
  if (gateways > 0) await cluster.ready();
  return cluster;
}

/** Resolves when the gateway's view of etcd is current. */
export async function live(gateway: ClusterGateway): Promise<void> {
  await eventually(`${gateway.id} sees etcd`, async () => (await gauge(gateway, 'sluice_ddl_live')) === 1);
}

/** A gauge or counter of the gateway, or NaN when it does not answer. */
export async function gauge({ url }: Pick<ClusterGateway, 'url'>, name: string): Promise<number> {
  try {
    const text = await (await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(5_000) })).text();
    const line = text.split('\n').find((candidate) => candidate.startsWith(`${name} `));
    return line === undefined ? 0 : Number(line.slice(name.length + 1));
  } catch {
    return Number.NaN;
  }
}

/** Writes a point to the table; the status, or 0 when the gateway does not answer. */
export async function write({ url }: Pick<ClusterGateway, 'url'>, table: string): Promise<number> {
  try {
    const signal = AbortSignal.timeout(10_000);
    const body = JSON.stringify({ metric: table, timestamp: 1_700_000_000, value: 1, tags: { host: 'a' } });
    const response = await fetch(`${url}/api/put`, { method: 'POST', body, signal });
    await response.arrayBuffer();
    return response.status;
  } catch {
    return 0;
  }
}

function configOf(env: Env): Config {
  const loaded = loadConfig({ env });
  if (loaded.kind === 'invalid') throw new Error(loaded.problems.join('\n'));
  return loaded.config;
}

async function startGatewayProcess(cleanup: Cleanup, id: string, env: Env): Promise<ClusterGateway> {
  const child = spawn(process.execPath, ['--enable-source-maps', PROGRAM], {
    env: { PATH: process.env['PATH'] ?? '', CLUSTER_ID: id, ...env },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  const exited = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | string);
  cleanup.after(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  const { logs, logged } = followLog(child);
  const url = String((await logged('listening'))['url']);
  return {
    id,
    url,
    child,
    logs,
    logged,
    exited,
    get alive() {
      return child.exitCode === null && child.signalCode === null;
    },
    async killAt(point) {
      const armed = once(child, 'message');
      child.send({ killAt: point });
      await armed;
    },
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      return await exited;
    },
  };
}
