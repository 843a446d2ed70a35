/**
 * One run of the storm: etcd with a small quota, the fake database, a target that takes points, healthy traffic, and
 * from second 10 to 50 a flood of points whose tables can't be created. Looks at everything once a second.
 */
import { type Etcd, startEtcd } from '../helpers/etcd.ts';
import { type EtcdReading, readEtcd } from '../helpers/etcd-meter.ts';
import { FakeDatabase } from '../helpers/fake-database.ts';
import { quantile, type Stream, sendPoints, startStream } from './traffic.ts';

/** Seconds of the run. */
export const STORM = { fromS: 10, toS: 50, healS: 35 } as const;
const UNTIL_S = 60;
/** Longest wait for etcd to empty itself. */
const FALL_BACK_S = 150;
export const QUOTA_BYTES = 16 * 1024 * 1024;
/** As in docker-compose.yml, but history is kept for as short as the run is. */
export const ETCD_FLAGS = ['--auto-compaction-mode=periodic', '--auto-compaction-retention=10s'];

/** The offered load. */
export const LOAD = {
  healthy: { requestsPerSec: 60, pointsPerRequest: 50, tables: 20 },
  storm: { requestsPerSec: 100, pointsPerRequest: 10, tables: 2_000 },
} as const;

/** One of the two things that are compared. */
export interface Target {
  readonly name: string;
  /** Its keys of open tasks. */
  readonly taskPrefix: string;
  /** Starts its processes; answers their URLs. */
  start(etcd: Etcd, database: FakeDatabase, cleanup: Cleanups): Promise<readonly string[]>;
  /** Forgets the failures of tables whose names begin like this, as an operator would; undefined: it can't. */
  readonly purge: ((prefix: string) => Promise<void>) | undefined;
}

/** What one second was like. */
export interface Sample {
  readonly s: number;
  readonly etcd: EtcdReading | undefined;
  readonly openTasks: number;
  readonly attempts: number;
  readonly points: number;
  readonly failed: number;
  readonly p99Ms: number;
}

/** The whole run. */
export interface Run {
  readonly name: string;
  readonly samples: readonly Sample[];
  /** New tables that healthy senders asked for, and how many there were at the end. */
  readonly newTables: { readonly asked: number; readonly made: number };
  /** Seconds from when a table could be created until it was; NaN: never. */
  readonly healS: readonly number[];
  readonly purgedS: readonly number[];
  readonly attempts: number;
  /** At the end, and after a defragmentation. */
  readonly end: EtcdReading | undefined;
  readonly defragmented: EtcdReading | undefined;
}

/** Functions to be called at the end, the last first. */
export class Cleanups {
  readonly #all: (() => Promise<void> | void)[] = [];

  after(fn: () => Promise<void> | void): void {
    this.#all.push(fn);
  }

  async run(): Promise<void> {
    for (const fn of this.#all.splice(0).toReversed()) await fn();
  }
}

interface Healing {
  readonly names: readonly string[];
  readonly at: Map<string, number>;
}

/** Runs it to its end. `tell` hears how far it is. */
export async function runStorm(target: Target, tell: (line: string) => void): Promise<Run> {
  const cleanup = new Cleanups();
  try {
    const etcd = await startEtcd(cleanup, { quotaBytes: QUOTA_BYTES, flags: ETCD_FLAGS });
    const database = new FakeDatabase();
    await database.listen();
    cleanup.after(async () => database.close());
    const urls = await target.start(etcd, database, cleanup);
    return await new StormRun({ target, etcd, database, urls, tell }).run();
  } finally {
    await cleanup.run();
  }
}

interface RunDeps {
  readonly target: Target;
  readonly etcd: Etcd;
  readonly database: FakeDatabase;
  readonly urls: readonly string[];
  readonly tell: (line: string) => void;
}

class StormRun {
  readonly #deps: RunDeps;
  readonly #samples: Sample[] = [];
  readonly #newTables: string[] = [];
  readonly #heal: Healing = { names: names('heal', 5), at: new Map() };
  readonly #purge: Healing = { names: names('purge', 5), at: new Map() };
  #startMs = 0;
  #seenStatements = 0;

  constructor(deps: RunDeps) {
    this.#deps = deps;
  }

  async run(): Promise<Run> {
    const { database, urls, target, etcd } = this.#deps;
    const known = names('healthy', LOAD.healthy.tables);
    for (const url of urls) while ((await sendPoints(url, known)) !== 204);
    database.rules = [{ pattern: /^(bad|heal|purge)_/, fault: 'invalid' }];
    this.#startMs = performance.now();
    this.#seenStatements = database.statements.length;
    const healthy = startStream({ urls, ...LOAD.healthy, metrics: () => known });
    let storm: Stream | undefined;
    let stopped: Promise<void> | undefined;
    for (let s = 1; s <= UNTIL_S + FALL_BACK_S; s++) {
      await this.#until(s);
      if (s === STORM.fromS) storm = startStream({ urls, ...LOAD.storm, metrics: badNames });
      // Its last answers may take a while: the looks go on.
      if (s === STORM.toS) stopped = storm?.stop();
      if (s === STORM.healS) this.#letHeal();
      if (s <= STORM.toS) this.#newTables.push(`new_${s}`);
      const sample = await this.#sample(s, healthy.take());
      this.#sendSingles(s);
      if (s >= UNTIL_S && (target.purge === undefined || (sample.etcd?.keys ?? 0) <= 5)) break;
    }
    await Promise.all([healthy.stop(), stopped]);
    const end = await readEtcd(etcd.url, '/');
    await etcd.ctl(['defrag']);
    return {
      name: target.name,
      samples: this.#samples,
      newTables: {
        asked: this.#newTables.length,
        made: this.#newTables.filter((table) => database.has(table)).length,
      },
      healS: this.#secondsOf(this.#heal),
      purgedS: this.#secondsOf(this.#purge),
      attempts: database.statements.length,
      end,
      defragmented: await readEtcd(etcd.url, '/'),
    };
  }

  async #until(s: number): Promise<void> {
    const leftMs = this.#startMs + s * 1_000 - performance.now();
    if (leftMs > 0) await new Promise((resolve) => setTimeout(resolve, leftMs));
  }

  /** From now on two groups of tables can be created; one group's failures are purged by hand. */
  #letHeal(): void {
    this.#deps.database.rules = [{ pattern: /^bad_/, fault: 'invalid' }];
    void this.#deps.target.purge?.('purge_');
    const untilMs = performance.now() + (UNTIL_S + FALL_BACK_S) * 1_000;
    const healedMs = performance.now();
    const look = (): void => {
      for (const { names: tables, at } of [this.#heal, this.#purge]) {
        for (const table of tables) {
          if (!at.has(table) && this.#deps.database.has(table))
            at.set(table, (performance.now() - healedMs) / 1_000);
        }
      }
      const all =
        this.#heal.at.size === this.#heal.names.length && this.#purge.at.size === this.#purge.names.length;
      if (!all && performance.now() < untilMs) setTimeout(look, 20).unref();
    };
    look();
  }

  /** Senders of a few tables, each asking again every second until its table is there. */
  #sendSingles(s: number): void {
    const { urls, database } = this.#deps;
    const wanted = [...this.#newTables];
    if (s >= STORM.fromS) wanted.push(...this.#heal.names, ...this.#purge.names);
    for (const [index, table] of wanted.entries()) {
      if (!database.has(table)) void sendPoints(urls[(s + index) % urls.length] as string, [table]);
    }
  }

  async #sample(
    s: number,
    healthy: { points: number; failed: number; latenciesMs: number[] },
  ): Promise<Sample> {
    const { etcd, database, target, tell } = this.#deps;
    const [reading, open] = await Promise.all([
      readEtcd(etcd.url, '/'),
      readEtcd(etcd.url, target.taskPrefix),
    ]);
    const attempts = database.statements.length - this.#seenStatements;
    this.#seenStatements = database.statements.length;
    const sample: Sample = {
      s,
      etcd: reading,
      openTasks: open?.keys ?? Number.NaN,
      attempts,
      points: healthy.points,
      failed: healthy.failed,
      p99Ms: quantile(healthy.latenciesMs, 0.99),
    };
    this.#samples.push(sample);
    if (s % 5 === 0) {
      const mib = ((reading?.dbSizeBytes ?? 0) / 2 ** 20).toFixed(1);
      tell(
        `${target.name} ${s} s: etcd ${mib} MiB${reading?.nospace === true ? ' NOSPACE' : ''}, ${sample.openTasks} tasks, ` +
          `${reading?.keys} keys, ${attempts} attempts/s, ${healthy.points} points/s, p99 ${sample.p99Ms.toFixed(0)} ms`,
      );
    }
    return sample;
  }

  #secondsOf({ names: tables, at }: Healing): number[] {
    return tables.map((table) => at.get(table) ?? Number.NaN);
  }
}

function names(kind: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${kind}_${index}`);
}

function badNames(n: number): readonly string[] {
  const { pointsPerRequest, tables } = LOAD.storm;
  return Array.from({ length: pointsPerRequest }, (_, i) => `bad_${(n * pointsPerRequest + i) % tables}`);
}
