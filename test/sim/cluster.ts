/**
 * The gateways of a simulation around one memory store: starts, freezes, kills and closes their processes, and checks
 * on the way in who writes as whose leader.
 */
import type { BreakerValue, OutValue } from '../../src/ddl/codec.ts';
import { createMemoryStore, type MemoryStore, type MemoryStoreOptions } from '../../src/ddl/memory-store.ts';
import type { DdlQueueOptions, DdlSettings } from '../../src/ddl/options.ts';
import type { Store, Txn } from '../../src/ddl/store.ts';
import type { Random } from '../../src/util/backoff.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { QueueInvariants } from '../helpers/queue-invariants.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { SimDatabase } from './database.ts';
import { GatewayProcess, type World } from './process.ts';
import { StatementRules } from './statement-rules.ts';
import { Steps, type Trap } from './steps.ts';
import { Trace } from './trace.ts';

/** Stands between a gateway's link and the store, to show that the checks find what is missing. */
export type Mutation = (store: Store) => Store;

/** What a cluster is made with. */
export interface ClusterOptions {
  readonly seed: number;
  readonly gateways: number;
  readonly queue: Pick<DdlSettings, TimedOption> & DdlQueueOptions;
  readonly store: MemoryStoreOptions;
  readonly mutation?: Mutation | undefined;
  /** Where to write down what is wrong. */
  readonly complaints: string[];
}

type TimedOption =
  | 'maxOpenTasks'
  | 'maxOpenTasksPerTenant'
  | 'ddlTimeoutMs'
  | 'ambiguousHoldMs'
  | 'retryBaseMs'
  | 'maxAttempts'
  | 'transientMinMs'
  | 'permanentMinMs'
  | 'leaseTtlMs';

/** See the module comment. */
export class Cluster {
  readonly clock = new FakeClock(1);
  readonly trace = new Trace(this.clock);
  readonly steps = new Steps();
  readonly store: MemoryStore;
  readonly database: SimDatabase;
  readonly invariants: QueueInvariants;
  readonly rules: StatementRules;
  readonly counts = new Map<string, number>();
  /** The newest process of each gateway; a killed one stays until it is restarted. */
  readonly processes: GatewayProcess[] = [];
  readonly complaints: string[];
  kills = 0;
  freezes = 0;
  restarts = 0;
  readonly #options: ClusterOptions;
  readonly #random: Random;
  readonly #world: World;

  constructor(options: ClusterOptions) {
    const { seed, queue } = options;
    this.#options = options;
    this.complaints = options.complaints;
    this.#random = seededRandom(seed * 7_919 + 1);
    this.store = createMemoryStore({ clock: this.clock }, options.store);
    this.database = new SimDatabase({
      clock: this.clock,
      random: seededRandom(seed * 7_919 + 2),
      trace: (what) => this.trace.add('db', what),
    });
    this.invariants = new QueueInvariants(this.store, {
      ...queue,
      clock: this.clock,
      prefix: '/sluice',
      touched: this.database.touched,
    });
    this.rules = new StatementRules({
      ...queue,
      invariants: this.invariants,
      now: () => this.clock.now(),
      exists: (target) => this.database.exists(target),
    });
    this.database.rules = this.rules;
    this.#world = this.#makeWorld();
    for (let index = 1; index <= options.gateways; index++) this.#start(`g${index}`);
  }

  /** Everything that was found wrong so far. */
  get violations(): readonly string[] {
    return [...this.invariants.violations, ...this.rules.violations, ...this.complaints];
  }

  /** The processes that run and take requests. */
  get serving(): GatewayProcess[] {
    return this.processes.filter(({ life, closing }) => life.running && !closing);
  }

  /** Ends a process as kill -9, and starts another one in its place some time later. */
  kill(process: GatewayProcess): void {
    if (process.life.dead) return;
    this.trace.add(process.id, 'killed');
    this.kills++;
    process.kill();
    this.#restartLater(process);
  }

  /** Stops a process as SIGSTOP, for some time. */
  freeze(process: GatewayProcess): void {
    if (!process.life.running) return;
    const timersFirst = this.#random() < 0.5;
    const { leaseTtlMs } = this.#options.queue;
    // Some are so long that others have just taken over.
    const ms = this.#random() < 0.5 ? this.#random() * leaseTtlMs : leaseTtlMs + this.#random() * 4_000;
    this.trace.add(process.id, `frozen for ${Math.round(ms)} ms`);
    this.freezes++;
    process.life.freeze();
    this.clock.schedule(ms, () => {
      if (!process.life.dead) this.trace.add(process.id, 'thawed');
      process.life.thaw(timersFirst);
    });
  }

  /** Closes a process as SIGTERM does, and starts another one in its place. */
  close(process: GatewayProcess): void {
    this.trace.add(process.id, 'closing');
    void process.close().then(
      () => this.#restartLater(process),
      (error: unknown) => this.complaints.push(`${process.id} did not close: ${String(error)}`),
    );
  }

  #restartLater(process: GatewayProcess): void {
    this.clock.schedule(this.#random() ** 2 * 12_000, () => {
      const at = this.processes.indexOf(process);
      if (at === -1) return;
      this.processes.splice(at, 1);
      this.restarts++;
      this.#start(process.name);
    });
  }

  #start(name: string): void {
    const lives = this.restarts + 1;
    const random = seededRandom(this.#options.seed * 7_919 + 100 + lives * 10 + Number(name.slice(1)));
    this.processes.push(new GatewayProcess(name, lives, random, this.#world));
  }

  #makeWorld(): World {
    return {
      clock: this.clock,
      database: this.database,
      options: this.#options.queue,
      counts: this.counts,
      trace: (who, what) => this.trace.add(who, what),
      serve: (id) => this.#serve(id),
      reached: (_, step) => this.steps.reached(step),
      trapped: (process, trap: Trap) => (trap === 'kill' ? this.kill(process) : this.freeze(process)),
      sawNospace: () => this.invariants.allowDrainOfOpen(),
      complain: (what) => void this.complaints.push(what),
    };
  }

  /** The store as a process reaches it: what it publishes must be as the leader that it is itself. */
  #serve(id: string): Store {
    const store = this.#options.mutation?.(this.store) ?? this.store;
    return delegate(store, async (txn, signal) => {
      const result = await store.txn(txn, signal);
      if (result.ok) this.#checkWriter(id, txn, result.rev);
      if (result.ok && txn.label === 'forget') this.rules.forgot();
      return result;
    });
  }

  #checkWriter(id: string, { success }: Txn, rev: number): void {
    for (const op of success) {
      if (op.op !== 'put' || !/\/(out|brk)\//.test(op.key)) continue;
      const { fence } = JSON.parse(op.value) as OutValue | BreakerValue;
      const leader = this.invariants.leaders.get(fence);
      if (leader !== id) this.complaints.push(`revision ${rev}: I8 ${op.key} by ${id}, leader is ${leader}`);
    }
  }
}

/** The same store with other transactions; closing it is not for who was given it. */
export function delegate(store: Store, txn: Store['txn']): Store {
  return {
    range: (query, signal) => store.range(query, signal),
    txn,
    grant: (ttlMs, signal) => store.grant(ttlMs, signal),
    keepAlive: (id, signal) => store.keepAlive(id, signal),
    revoke: (id, signal) => store.revoke(id, signal),
    watch: (prefix, fromRev, handler) => store.watch(prefix, fromRev, handler),
    compact: (revision, signal) => store.compact(revision, signal),
    status: (signal) => store.status(signal),
    close: () => Promise.resolve(),
  };
}
