/**
 * Follows a store under the DDL queue, revision by revision, and writes down each violation of what must always hold:
 * I1 no more tasks than slots; I2 tasks, slots and tenant slots match one to one; I3 no tenant above its share;
 * I4 each nonce is queued once, and ends once; I5 a task is never overwritten; I6 nothing is queued while a failure
 * or a breaker forbids it; I7 a task goes only with its outcome, its breaker, under one, or (nospace) drained;
 * I8 outcomes and breakers come only from the leader of that revision; I9 no outcome for what the database was never
 * asked about. `quiescent` adds I10: nothing open, and every task that was queued has ended.
 */
import assert from 'node:assert/strict';
import {
  type BreakerValue,
  type DdlValue,
  decodeValue,
  type LeadValue,
  type OutValue,
  type SlotValue,
  type TaskValue,
} from '../../src/ddl/codec.ts';
import { blockingFailure } from '../../src/ddl/failure-rules.ts';
import { createDdlKeys, type DdlKeys, type KeyKind } from '../../src/ddl/keys.ts';
import type { KeyValue, Store, WatchEvent } from '../../src/ddl/store.ts';
import type { Clock } from '../../src/model/clock.ts';
import { fingerprint } from '../../src/model/ddl-queue.ts';
import { tableKey } from '../../src/model/table.ts';

interface InvariantOptions {
  readonly clock: Clock;
  readonly prefix: string;
  readonly maxOpenTasks: number;
  readonly maxOpenTasksPerTenant: number;
  /** What the database was asked about: databases, and `tableKey`s. */
  readonly touched: ReadonlySet<string>;
  /**
   * Back-offs are judged by the wall clock that the values themselves carry, instead of by when the checker heard of
   * them: for gateways in other processes of this machine.
   */
  readonly byWallClock?: boolean;
}

/** What the wall clock's steps of a millisecond, and a correction of it, may make a value appear to be early. */
const WALL_SLACK_MS = 20;

interface Kept<T> {
  readonly kv: KeyValue;
  readonly value: T;
  readonly atMs: number;
}

/** See the module comment. */
export class QueueInvariants {
  readonly violations: string[] = [];
  /** Most open tasks seen at any revision. */
  mostTasks = 0;
  /** Nonces that were queued, and how many outcomes each had. */
  readonly queued = new Map<string, number>();
  /** Tasks may be deleted without a trace while this is set. */
  drainAllowed = false;
  /** Which gateway wrote the leader's key of each fence there was. */
  readonly leaders = new Map<number, string>();
  readonly #options: InvariantOptions;
  readonly #keys: DdlKeys;
  readonly #tasks = new Map<string, Kept<TaskValue>>();
  readonly #outs = new Map<string, Kept<OutValue>>();
  readonly #breakers = new Map<string, Kept<BreakerValue>>();
  readonly #slots = new Map<string, Kept<SlotValue>>();
  #leadCreate: number | undefined;
  #drained = new Set<string>();
  readonly #drainable = new Set<string>();

  /** Watches from the first revision on; to be made before anything is written. */
  constructor(store: Pick<Store, 'watch'>, options: InvariantOptions) {
    this.#options = options;
    this.#keys = createDdlKeys(options.prefix);
    store.watch(this.#keys.prefix, 1, {
      onOpen: () => undefined,
      onBatch: (rev, events) => {
        try {
          this.#check(rev, events);
        } catch (error) {
          this.violations.push(`revision ${rev}: ${String(error)}`);
        }
      },
      onEnd: (reason) => this.violations.push(`the watch of the invariants ended: ${reason}`),
    });
  }

  /** The create revision of the leader's key; undefined: nobody leads. */
  get fence(): number | undefined {
    return this.#leadCreate;
  }

  /** How many tasks are open. */
  get openTasks(): number {
    return this.#tasks.size;
  }

  /** How many tasks went without an outcome of their own. */
  get drainedTasks(): number {
    return this.#drained.size;
  }

  /** The task that is open for a target now. */
  openTask(database: string, table: string | undefined): TaskValue | undefined {
    return this.#tasks.get(this.#keys.task(database, table))?.value;
  }

  /** The tasks that are open now may be deleted without a trace, even later. */
  allowDrainOfOpen(): void {
    for (const { value } of this.#tasks.values()) this.#drainable.add(value.nonce);
  }

  /** Fails with all violations. */
  assertHeld(): void {
    assert.deepEqual(this.violations, []);
  }

  /** I10 as well; to be called when nothing is to be done any more. */
  assertQuiescent(): void {
    this.assertHeld();
    assert.deepEqual([...this.#tasks.keys()], [], 'open tasks');
    assert.deepEqual([...this.#slots.keys()], [], 'slots taken');
    for (const [nonce, outcomes] of this.queued) {
      if (!this.#drained.has(nonce)) assert.equal(outcomes, 1, `outcomes of ${nonce}`);
    }
  }

  #check(rev: number, events: readonly WatchEvent[]): void {
    const fail = (what: string): void => void this.violations.push(`revision ${rev}: ${what}`);
    const of = (kind: KeyKind): WatchEvent[] => events.filter(({ key }) => this.#keys.kind(key) === kind);
    for (const { kv } of of('lead')) this.#checkLead(kv, fail);
    for (const { key, kv } of of('task')) {
      if (kv !== undefined) this.#checkQueued(kv, fail);
      else this.#checkEnded(key, events, fail);
    }
    for (const { kv } of [...of('out'), ...of('brk')]) if (kv !== undefined) this.#checkPublished(kv, fail);
    this.#take(events);
    this.#checkSlots(fail);
  }

  #checkLead(kv: KeyValue | undefined, fail: (what: string) => void): void {
    if (kv !== undefined && this.#leadCreate !== undefined) fail(`${kv.key} overwritten`);
    this.#leadCreate = kv?.create;
    if (kv !== undefined) this.leaders.set(kv.create, (decodeValue(kv.key, kv.value) as LeadValue).gateway);
  }

  #checkQueued(kv: KeyValue, fail: (what: string) => void): void {
    const task = decodeValue(kv.key, kv.value) as TaskValue;
    if (this.#tasks.has(kv.key)) fail(`I5 ${kv.key} overwritten`);
    if (this.queued.has(task.nonce)) fail(`I4 ${task.nonce} queued twice`);
    this.queued.set(task.nonce, 0);
    const out = this.#outs.get(this.#keys.out(task.database, task.table));
    const nowMs = this.#options.byWallClock === true ? task.atMs + WALL_SLACK_MS : this.#options.clock.now();
    const holding = out?.value.failures.filter(({ ttlMs }) => out.atMs + ttlMs > nowMs) ?? [];
    if (blockingFailure(holding, fingerprint(task.columns)) !== undefined) {
      fail(`I6 ${kv.key} queued during its back-off`);
    }
    if (this.#liveBreaker(task.tenant, nowMs)) fail(`I6 ${kv.key} queued under a breaker`);
  }

  #checkEnded(key: string, events: readonly WatchEvent[], fail: (what: string) => void): void {
    const task = this.#tasks.get(key)?.value;
    if (task === undefined) return;
    const outKey = this.#keys.out(task.database, task.table);
    const out = events.find((event) => event.key === outKey)?.kv;
    if (out !== undefined) {
      if ((decodeValue(outKey, out.value) as OutValue).nonce !== task.nonce) {
        fail(`I7 ${key} went with another's outcome`);
      }
      return;
    }
    const brk = events.some((event) => this.#keys.kind(event.key) === 'brk' && event.kv !== undefined);
    this.#drained.add(task.nonce);
    // Its key counts: whether its time is over is for the leader's clock to say, which may have seen it later.
    const under = this.#breakersOf(task.tenant).length > 0;
    if (!brk && !under && !this.drainAllowed && !this.#drainable.has(task.nonce))
      fail(`I7 ${key} went without an outcome`);
  }

  #checkPublished(kv: KeyValue, fail: (what: string) => void): void {
    const value = decodeValue(kv.key, kv.value) as OutValue | BreakerValue;
    if (value.fence !== this.#leadCreate)
      fail(`I8 ${kv.key} by ${value.fence}, leader is ${this.#leadCreate}`);
    if (!('nonce' in value)) return;
    const outcomes = this.queued.get(value.nonce);
    if (outcomes === undefined) fail(`I4 outcome of ${value.nonce}, which was never queued`);
    else if (outcomes > 0) fail(`I4 ${value.nonce} ended twice`);
    this.queued.set(value.nonce, (outcomes ?? 0) + 1);
    const { database, table } = value;
    const asked = table === undefined ? database : tableKey({ database, table });
    const expired = value.failures[0]?.code === 'TASK_EXPIRED';
    if (!expired && !this.#options.touched.has(asked))
      fail(`I9 outcome of ${kv.key}, which nobody asked the database for`);
  }

  #checkSlots(fail: (what: string) => void): void {
    const { maxOpenTasks, maxOpenTasksPerTenant } = this.#options;
    this.mostTasks = Math.max(this.mostTasks, this.#tasks.size);
    if (this.#tasks.size > maxOpenTasks) fail(`I1 ${this.#tasks.size} tasks`);
    if (this.#slots.size !== 2 * this.#tasks.size) {
      fail(`I2 ${this.#tasks.size} tasks, ${this.#slots.size} slots of both kinds`);
    }
    const perTenant = new Map<string, number>();
    for (const [key, { value }] of this.#tasks) {
      perTenant.set(value.tenant, (perTenant.get(value.tenant) ?? 0) + 1);
      for (const slot of [value.slot, value.tenantSlot]) {
        if (this.#slots.get(slot)?.value.task !== key) fail(`I2 ${slot} is not of ${key}`);
      }
    }
    for (const [tenant, tasks] of perTenant) {
      if (tasks > maxOpenTasksPerTenant) fail(`I3 ${tasks} tasks of ${tenant}`);
    }
  }

  #take(events: readonly WatchEvent[]): void {
    for (const { key, kv } of events) {
      const map = this.#mapOf(this.#keys.kind(key));
      if (kv === undefined) map?.delete(key);
      else {
        const value = decodeValue(key, kv.value);
        map?.set(key, { kv, value: value as never, atMs: this.#holdsFrom(value) });
      }
    }
  }

  #holdsFrom(value: DdlValue): number {
    const written = this.#options.byWallClock === true && 'untilMs' in value;
    return written ? value.untilMs - value.ttlMs : this.#options.clock.now();
  }

  #mapOf(kind: KeyKind): Map<string, Kept<never>> | undefined {
    if (kind === 'task') return this.#tasks as Map<string, Kept<never>>;
    if (kind === 'out') return this.#outs as Map<string, Kept<never>>;
    if (kind === 'brk') return this.#breakers as Map<string, Kept<never>>;
    return kind === 'slot' || kind === 'tslot' ? (this.#slots as Map<string, Kept<never>>) : undefined;
  }

  #liveBreaker(tenant: string, nowMs: number): boolean {
    return this.#breakersOf(tenant).some(({ atMs, value }) => atMs + value.ttlMs > nowMs);
  }

  #breakersOf(tenant: string): Kept<BreakerValue>[] {
    const keys = [this.#keys.breakerAll, this.#keys.breaker(tenant)];
    return keys.map((key) => this.#breakers.get(key)).filter((breaker) => breaker !== undefined);
  }
}
