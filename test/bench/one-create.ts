/**
 * G1 measured: `npm run bench:g1 [SECONDS]` (60). 3 gateways with their default options on a real etcd, 64 clients
 * that never pause, 500 tables that can be created and 500 that can't; the database counts. Prints one line of JSON and
 * fails when a table was created twice, a failing one was attempted within its back-off, or the queue's bound broke.
 */
import { cpus } from 'node:os';
import { decodeValue, type OutValue } from '../../src/ddl/codec.ts';
import { Cluster, gauge } from '../helpers/cluster.ts';
import { startEtcd } from '../helpers/etcd.ts';
import { FakeDatabase, type Statement } from '../helpers/fake-database.ts';
import { Cleanups } from '../storm/run.ts';
import { sendPoints } from '../storm/traffic.ts';

const SECONDS = Number(process.argv[2] ?? 60);
const CLIENTS = 64;
const TABLES = 500;
const POINTS = 20;

const cleanup = new Cleanups();
try {
  const result = await measure();
  process.stdout.write(`${JSON.stringify(result)}\n`);
  const { createsOfGood, attemptsWithinBackOff, mostTasks, cap, violations } = result;
  const held =
    createsOfGood === TABLES && attemptsWithinBackOff === 0 && mostTasks <= cap && violations === 0;
  process.exitCode = held ? 0 : 1;
} finally {
  await cleanup.run();
}

async function measure() {
  const etcd = await startEtcd(cleanup);
  const database = new FakeDatabase();
  await database.listen();
  database.rules = [{ pattern: /^bad_/, fault: 'invalid' }];
  const cluster = new Cluster(cleanup, [etcd], { database, base: {} });
  cluster.judge();
  const backOffs = noteBackOffs(cluster);
  await Promise.all([cluster.add(), cluster.add(), cluster.add()]);
  await cluster.ready();

  const beganMs = performance.now();
  const untilMs = beganMs + SECONDS * 1_000;
  const statuses = new Map<number, number>();
  let requests = 0;
  const client = async (number: number): Promise<void> => {
    for (let turn = number; performance.now() < untilMs; turn++) {
      const { url } = cluster.gateways[turn % 3] as { url: string };
      const status = await sendPoints(url, Array.from({ length: POINTS }, randomTable));
      requests++;
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, (_, number) => client(number)));
  const leaders = await Promise.all(cluster.gateways.map((each) => gauge(each, 'sluice_ddl_leader')));
  await cluster.history.caughtUp();

  const bad = byTable(database.creates(/^bad_/));
  return {
    bench: 'one-create',
    node: process.version,
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    seconds: SECONDS,
    gateways: cluster.gateways.length,
    leaders: leaders.filter((leads) => leads === 1).length,
    clients: CLIENTS,
    requests,
    points: requests * POINTS,
    statuses: Object.fromEntries(statuses),
    statements: database.creates().length,
    createsOfGood: database.creates(/^good_/).length,
    goodMade: [...database.tables.keys()].length,
    failingTables: bad.size,
    attemptsOfFailing: database.creates(/^bad_/).length,
    mostAttemptsOfOne: Math.max(...[...bad.values()].map((times) => times.length)),
    attemptsWithinBackOff: countEarly(bad, backOffs),
    mostTasks: cluster.invariants.mostTasks,
    cap: 256,
    revisions: cluster.history.rev,
    violations: cluster.invariants.violations.length,
  };
}

function randomTable(): string {
  const number = Math.floor(Math.random() * 2 * TABLES);
  return number < TABLES ? `good_${number}` : `bad_${number - TABLES}`;
}

function byTable(statements: readonly Statement[]): Map<string, number[]> {
  const times = new Map<string, number[]>();
  for (const { table = '', atMs } of statements) times.set(table, [...(times.get(table) ?? []), atMs]);
  return times;
}

/** The back-offs that were published for each table, in order, as etcd's history shows them. */
function noteBackOffs(cluster: Cluster): Map<string, number[]> {
  const backOffs = new Map<string, number[]>();
  cluster.history.listen((_, events) => {
    for (const { key, kv } of events) {
      if (kv === undefined || !key.startsWith('/sluice/v1/out/')) continue;
      const { table = '', failures } = decodeValue(key, kv.value) as OutValue;
      const [failure] = failures;
      if (failure !== undefined) backOffs.set(table, [...(backOffs.get(table) ?? []), failure.ttlMs]);
    }
  });
  return backOffs;
}

/** Attempts that came before the back-off after the last one was over. */
function countEarly(attempts: Map<string, number[]>, backOffs: Map<string, number[]>): number {
  let early = 0;
  for (const [table, times] of attempts) {
    for (const [i, atMs] of times.slice(1).entries()) {
      const backOffMs = backOffs.get(table)?.[i] ?? Number.POSITIVE_INFINITY;
      if (atMs - (times[i] as number) < backOffMs) early++;
    }
  }
  return early;
}
