/**
 * One seed: a cluster lives through trouble by chance, then all trouble ends, and it must come to rest as if nothing
 * had been. The same seed gives the same trace.
 */
import { isDeepStrictEqual } from 'node:util';
import { decodeValue } from '../../src/ddl/codec.ts';
import type { KeyValue } from '../../src/ddl/store.ts';
import type { Entry } from '../../src/ddl/view.ts';
import type { Random } from '../../src/util/backoff.ts';
import { NEVER, wanted } from '../helpers/ddl-harness.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { Chaos } from './chaos.ts';
import { Clients } from './clients.ts';
import { Cluster, type ClusterOptions, type Mutation } from './cluster.ts';
import type { GatewayProcess } from './process.ts';

/** What to simulate. */
export interface SimulationOptions {
  readonly seed: number;
  /** Things that happen before all trouble ends; default 150. */
  readonly steps?: number;
  readonly mutation?: Mutation | undefined;
  /** False: it ends in the middle of all trouble, for half the price. Default true. */
  readonly rest?: boolean;
}

/** What a seed came to. */
export interface SeedReport {
  readonly seed: number;
  readonly violations: readonly string[];
  /** Digest of the trace. */
  readonly hash: string;
  readonly tail: readonly string[];
  /** Figures to be added up over seeds. */
  readonly figures: ReadonlyMap<string, number>;
}

const STEPS = 150;
/** Longest that a table may take to be made, once all trouble is over. */
const FRESH_TABLE_MS = 30_000;
/** The views are compared this often while they still change. */
const COMPARE_MS = 3_000;
/** By then every task has ended, and every negative result is gone. */
const REST_MS = 90_000;
const TAIL_LINES = 80;

/** Runs one seed; one at a time, for it listens to what nobody catches. */
export async function simulate(options: SimulationOptions): Promise<SeedReport> {
  const uncaught: string[] = [];
  const catchIt = (reason: unknown): void =>
    void uncaught.push(`nobody caught: ${reason instanceof Error ? reason.stack : String(reason)}`);
  process.on('unhandledRejection', catchIt);
  try {
    return await simulateSeed(options, uncaught);
  } finally {
    process.off('unhandledRejection', catchIt);
  }
}

async function simulateSeed(options: SimulationOptions, uncaught: string[]): Promise<SeedReport> {
  const random = seededRandom(options.seed);
  const cluster = new Cluster({
    ...clusterOptions(options.seed, random),
    mutation: options.mutation,
    complaints: uncaught,
  });
  const clients = new Clients({
    random: seededRandom(options.seed * 7_919 + 3),
    trace: (who, what) => cluster.trace.add(who, what),
    complain: (what) => void cluster.complaints.push(what),
    exists: (target) => cluster.database.exists(target) || cluster.database.everDropped.has(target),
    serving: () => cluster.serving,
    schedule: (ms, then) => void cluster.clock.schedule(ms, then),
  });
  const chaos = new Chaos({ cluster, clients, random });
  await cluster.clock.advance(2_000);
  for (let step = 0; step < (options.steps ?? STEPS); step++) {
    if (cluster.violations.length > 0) break;
    chaos.step();
    await cluster.clock.advance(random() ** 2 * 2_000);
  }
  if (options.rest !== false && cluster.violations.length === 0) await recover(cluster, clients, chaos);
  return report(options.seed, { cluster, clients, chaos });
}

function clusterOptions(seed: number, random: Random): Omit<ClusterOptions, 'complaints'> {
  const pick = (from: number, to: number): number => from + Math.floor(random() * (to - from + 1));
  return {
    seed,
    gateways: pick(3, 5),
    store: { quotaBytes: 1_400_000, maxHistory: random() < 0.2 ? 20 : 1_000 },
    queue: {
      maxOpenTasks: pick(3, 10),
      maxOpenTasksPerTenant: pick(2, 5),
      concurrency: pick(1, 4),
      ratePerSec: pick(2, 50),
      ddlTimeoutMs: 2_000,
      ambiguousHoldMs: 5_000,
      maxAttempts: pick(1, 3),
      retryBaseMs: 500,
      retryMaxMs: 2_000,
      leaseTtlMs: pick(3, 10) * 1_000,
      transientMinMs: 1_000,
      transientMaxMs: 8_000,
      permanentMinMs: 4_000,
      permanentMaxMs: 16_000,
      breakerTtlMs: 4_000,
      breakerAfterTables: pick(2, 4),
      maxOutcomes: random() < 0.2 ? 3 : 4_096,
      taskMaxAgeMs: random() < 0.3 ? 10_000 : 900_000,
      janitorIntervalMs: 5_000,
      spaceCheckMs: 2_000,
    },
  };
}

/** All trouble ends: the cluster works again, all that was begun ends, and what every gateway knows is the truth. */
async function recover(cluster: Cluster, clients: Clients, chaos: Chaos): Promise<void> {
  const { clock, complaints } = cluster;
  chaos.end();
  // The last to be killed are back, and hear of their leader.
  await clock.advance(15_000);
  const fresh = cluster.serving.map((process) => makeFresh(process, cluster, clients));
  for (let passedMs = 0; passedMs < FRESH_TABLE_MS; passedMs += COMPARE_MS) {
    await compareViews(cluster);
    await clock.advance(COMPARE_MS);
  }
  for (const made of fresh) {
    const what = await Promise.race([made, Promise.resolve('nothing yet')]);
    if (what !== 'ok') complaints.push(`a fresh table was not made within 30 s: ${what}`);
  }
  await compareViews(cluster);
  await clock.advance(REST_MS);
  checkRest(cluster, clients);
  await compareViews(cluster);
  await closeAll(cluster);
}

/** Asks for a new table until there is an answer that is not only for now. */
async function makeFresh(process: GatewayProcess, { clock }: Cluster, clients: Clients): Promise<string> {
  const database = `fresh-${process.name}`;
  for (;;) {
    const outcome = await clients.submit(process, wanted('good-1', { database, tenant: database }));
    if (outcome !== 'refused' && outcome !== undefined) return outcome.kind;
    await clock.sleep(500);
  }
}

function checkRest({ invariants, complaints, processes }: Cluster, clients: Clients): void {
  try {
    invariants.assertQuiescent();
  } catch (error) {
    complaints.push(`I10 ${String(error)}`);
  }
  const leaders = processes.filter(({ queue }) => queue.stats().leader);
  if (leaders.length !== 1) complaints.push(`${leaders.length} gateways lead`);
  for (const what of clients.unanswered) complaints.push(`never answered: ${what}`);
}

/** Every gateway's view is what is in the store. */
async function compareViews({ store, processes, complaints }: Cluster): Promise<void> {
  const { kvs } = await store.range({ prefix: '/sluice/' }, NEVER);
  for (const { id, view, queue } of processes) {
    if (!queue.stats().live) complaints.push(`${id} is not live`);
    const { lead } = view;
    const held = [view.tasks, view.outs, view.breakers, view.slots].flatMap((map): Entry<never>[] =>
      [...map.values()].map((entry) => entry as Entry<never>),
    );
    const seen = new Map(held.map(({ key, create, mod, value }) => [key, { create, mod, value }]));
    if (lead !== undefined) seen.set(lead.key, contents(lead));
    const truth = new Map(kvs.map((kv) => [kv.key, contents(kv)]));
    if (!isDeepStrictEqual(seen, truth)) {
      complaints.push(
        `the view of ${id} differs: ${[...seen.keys()].join()} instead of ${[...truth.keys()].join()}`,
      );
    }
  }
}

function contents(kv: KeyValue): { create: number; mod: number; value: never } {
  return { create: kv.create, mod: kv.mod, value: decodeValue(kv.key, kv.value) as never };
}

/** Of all that was, only the leader's key is left, and after closing not even that. */
async function closeAll({ clock, processes, store, complaints }: Cluster): Promise<void> {
  const { count } = await store.range({ prefix: '/sluice/' }, NEVER);
  if (count !== 1) complaints.push(`I10 ${count} keys are left`);
  let closed = 0;
  for (const process of processes) void process.close().then(() => closed++);
  await clock.advance(5_000);
  if (closed !== processes.length) complaints.push(`${closed} of ${processes.length} gateways closed`);
  const left = await store.range({ prefix: '/sluice/' }, NEVER);
  if (left.count !== 0) complaints.push(`${left.count} keys are left after closing`);
  await store.close();
  await clock.advance(0);
  if (clock.sleeping !== 0) complaints.push(`${clock.sleeping} timers are left`);
}

function report(
  seed: number,
  { cluster, clients, chaos }: { cluster: Cluster; clients: Clients; chaos: Chaos },
): SeedReport {
  const { invariants, rules, trace } = cluster;
  const figures = new Map<string, number>([
    ['tasks', invariants.queued.size],
    ['drained', invariants.drainedTasks],
    ['terms', invariants.leaders.size],
    ['statements', rules.sent],
    ['statements again after another term', rules.afterOtherTerm],
    ['kills', cluster.kills],
    ['freezes', cluster.freezes],
    ['lines', trace.lines],
  ]);
  for (const [name, counts] of [
    ['submit', clients.answers],
    ['trouble', chaos.done],
    ['trap', cluster.steps.sprung],
    ['metric', cluster.counts],
  ] as const) {
    for (const [what, count] of counts) figures.set(`${name} ${what}`, count);
  }
  return {
    seed,
    violations: [...cluster.violations],
    hash: trace.hash(),
    tail: trace.tail(TAIL_LINES),
    figures,
  };
}
