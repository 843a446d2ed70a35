/**
 * Rounds of crashes in one folder: a gateway is started, senders write, it dies by kill -9 at a named step or at any
 * moment; every few rounds, and at the end, a gateway without faults drains what is left and the database is compared
 * with what was acknowledged. Rounds with `ack: log` and with `ack: database` take turns.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Cleanup } from '../helpers/etcd.ts';
import { followLog, metric } from '../helpers/gateway.ts';
import { pickOne, seededRandom } from '../helpers/seeded-random.ts';
import { eventually } from '../helpers/wait.ts';
import { CRASH_POINTS, type CrashPoint } from './kill-points.ts';
import { type Sender, sendUntilGone } from './senders.ts';
import { type Findings, verify } from './verify.ts';

const PROGRAM = fileURLToPath(new URL('gateway.js', import.meta.url));
const MAX_PASSES = 5;
/** A step that is not reached within so many acknowledgements: then kill -9 from outside. */
const MAX_ACKNOWLEDGED = 120;

/** How to run. */
export interface CrashOptions {
  readonly folder: string;
  readonly rounds: number;
  readonly seed: number;
  /** A comparison after so many rounds. */
  readonly verifyEvery: number;
  readonly progress: (line: string) => void;
}

/** What came of it. */
export interface CrashReport {
  readonly kills: ReadonlyMap<CrashPoint | 'any moment', number>;
  readonly batches: number;
  /** Rows that the gateways without faults found on disk and wrote, from the log and from lanes. */
  readonly replayed: number;
  readonly points: number;
  readonly faults: readonly string[];
}

type Env = Readonly<Record<string, string>>;

/** Whatever takes seconds is short, so that rounds are. */
const OPTIONS: Env = {
  SLUICE_LISTEN_PORT: '0',
  SLUICE_LOG_LEVEL: 'info',
  SLUICE_SQL_MAX_ROWS: '1000000',
  SLUICE_GUARD_WAIT_MS: '20',
  SLUICE_GUARD_CREATES_PER_SEC: '5000',
  SLUICE_GUARD_CREATES_PER_SEC_PER_TENANT: '5000',
  SLUICE_GUARD_CREATE_BURST: '5000',
  SLUICE_DDL_TRANSIENT_MIN_MS: '50',
  SLUICE_DDL_TRANSIENT_MAX_MS: '200',
};

/** Runs all rounds; stops at the first comparison that finds faults. */
export async function crashRounds(cleanup: Cleanup, options: CrashOptions): Promise<CrashReport> {
  const { rounds, seed, verifyEvery, progress } = options;
  const random = seededRandom(seed);
  const senders = ['a', 'b', 'c', 'd'].map(
    (name, i): Sender => ({ name, dialect: i % 2 === 0 ? 'line' : 'opentsdb', acknowledged: 0 }),
  );
  const kills = new Map<CrashPoint | 'any moment', number>();
  let checked = { points: 0, faults: [] as readonly string[] };
  let replayed = 0;
  for (let round = 0; round < rounds && checked.faults.length === 0; round++) {
    const point = pickOne(random, [...CRASH_POINTS, undefined]);
    const env = {
      SLUICE_FLUSH_ACK: round % 2 === 0 ? 'log' : 'database',
      CRASH_SEED: String(Math.floor(random() * 2 ** 31)),
      CRASH_PASSES: String(1 + Math.floor(random() * MAX_PASSES)),
      ...(point && { CRASH_POINT: point }),
    };
    const acknowledgements = 1 + Math.floor(random() * MAX_ACKNOWLEDGED);
    const byItself = await crash(cleanup, { folder: options.folder, env, senders, acknowledgements });
    const how = byItself && point !== undefined ? point : 'any moment';
    kills.set(how, (kills.get(how) ?? 0) + 1);
    if ((round + 1) % verifyEvery !== 0 && round + 1 !== rounds) continue;
    const settled = await settle(cleanup, options.folder, senders);
    checked = settled.findings;
    replayed += settled.replayed;
    progress(
      `${round + 1} of ${rounds} kills, ${checked.points} points compared, ${checked.faults.length} faults`,
    );
  }
  const batches = senders.reduce((sum, { acknowledged }) => sum + acknowledged, 0);
  return { kills, batches, replayed, ...checked };
}

/** One life of a gateway. */
interface Life {
  readonly folder: string;
  readonly env: Env;
  readonly senders: readonly Sender[];
  /** Killed from outside after so many, unless it has a step to die at. */
  readonly acknowledgements: number;
}

/** Answers whether the gateway ended at its own step. */
async function crash(cleanup: Cleanup, { folder, env, senders, acknowledgements }: Life): Promise<boolean> {
  const { child, url, exited } = await start(cleanup, folder, env);
  let left = env['CRASH_POINT'] === undefined ? acknowledgements : MAX_ACKNOWLEDGED;
  let killed = false;
  if (url !== undefined) {
    const count = (): void => {
      if (--left > 0 || killed) return;
      killed = true;
      child.kill('SIGKILL');
    };
    await Promise.all(senders.map((sender) => sendUntilGone(url, sender, count)));
  }
  const by = await exited;
  if (by !== 'SIGKILL') throw new Error(`the gateway ended with ${by}`);
  return !killed;
}

/** A gateway without faults: drains, is compared, and stops. */
async function settle(
  cleanup: Cleanup,
  folder: string,
  senders: readonly Sender[],
): Promise<{ findings: Findings; replayed: number }> {
  const { child, url = '', exited } = await start(cleanup, folder, {});
  await eventually('the spool is empty', async () => (await metric(url, 'sluice_spool_rows')) === 0, 60_000);
  const findings = await verify(url, senders);
  const replayed =
    (await metric(url, 'sluice_spool_replayed_rows_total')) +
    (await metric(url, 'sluice_log_rows_total{to="database"}'));
  child.kill('SIGTERM');
  const by = await exited;
  if (by !== 0) throw new Error(`the gateway stopped with ${by}`);
  return { findings, replayed };
}

/** `url` undefined: it died at a step of its start. */
async function start(
  cleanup: Cleanup,
  folder: string,
  env: Env,
): Promise<{ child: ChildProcess; url: string | undefined; exited: Promise<number | string> }> {
  const child = spawn(process.execPath, [PROGRAM], {
    cwd: folder,
    env: { PATH: process.env['PATH'] ?? '', ...OPTIONS, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = (once(child, 'exit') as Promise<[number | null, string | null]>).then(
    ([code, signal]) => code ?? signal ?? 'unknown',
  );
  cleanup.after(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  const url = await followLog(child)
    .logged('listening')
    .then(
      (line) => String(line['url']),
      () => undefined,
    );
  return { child, url, exited };
}
