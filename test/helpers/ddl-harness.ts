/**
 * Gateways around one memory store, in a time that tests own: each has its queue behind a fault wrapper of its own, all
 * share one fake database, and the invariants are checked at every revision. The limiter lets every turn run at once.
 */

import type { TestContext } from 'node:test';
import { createFaultStore, type FaultStore } from '../../src/ddl/fault-store.ts';
import { createMemoryStore, type MemoryStore, type MemoryStoreOptions } from '../../src/ddl/memory-store.ts';
import type { DdlMetrics } from '../../src/ddl/metrics.ts';
import type { DdlQueueOptions } from '../../src/ddl/options.ts';
import { createDdlQueue } from '../../src/ddl/queue.ts';
import type { ColumnSpec } from '../../src/model/column.ts';
import type { ControlledQueue } from '../../src/model/ddl-control.ts';
import type { DdlEvent, DdlOutcome, DdlRequest, DdlSubmission } from '../../src/model/ddl-queue.ts';
import type { Logger } from '../../src/model/logger.ts';
import { createAbortController } from '../../src/util/abort.ts';
import { FakeClock } from './fake-clock.ts';
import { FakeExecutor } from './fake-executor.ts';
import { QueueInvariants } from './queue-invariants.ts';
import { seededRandom } from './seeded-random.ts';

/** A signal that never aborts. */
export const NEVER = createAbortController().signal;

/** A logger for tests that do not look at it. */
export const SILENT: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** One gateway of a harness. */
export interface Gateway {
  readonly id: string;
  readonly queue: ControlledQueue;
  readonly store: FaultStore;
  /** Everything the queue told its subscribers. */
  readonly events: DdlEvent[];
  /** How often each method of the metrics was called, with its first argument: `refused full`. */
  readonly counts: Map<string, number>;
  count(what: string): number;
}

/** What a harness is made with. */
export interface HarnessOptions {
  readonly queue?: DdlQueueOptions;
  readonly store?: MemoryStoreOptions;
  readonly seed?: number;
}

/** See the module comment. */
export class DdlHarness {
  readonly clock = new FakeClock();
  readonly store: MemoryStore;
  readonly executor = new FakeExecutor();
  readonly invariants: QueueInvariants;
  readonly gateways: Gateway[] = [];
  readonly warnings: string[] = [];
  readonly #options: HarnessOptions;

  constructor(options: HarnessOptions = {}) {
    this.#options = options;
    this.store = createMemoryStore({ clock: this.clock }, options.store);
    this.invariants = new QueueInvariants(this.store, {
      clock: this.clock,
      prefix: options.queue?.prefix ?? '/sluice',
      maxOpenTasks: options.queue?.maxOpenTasks ?? 256,
      maxOpenTasksPerTenant: options.queue?.maxOpenTasksPerTenant ?? 64,
      touched: this.executor.touched,
    });
  }

  /** A new gateway; it neither reads nor leads before the clock moves. */
  add(id: string, options: DdlQueueOptions = {}): Gateway {
    const store = createFaultStore({ store: this.store, clock: this.clock });
    const counts = new Map<string, number>();
    const queue = createDdlQueue(
      { ...this.#options.queue, ...options, gatewayId: id },
      {
        store,
        executor: this.executor,
        clock: this.clock,
        logger: this.#logger(),
        metrics: countingMetrics(counts),
        random: seededRandom((this.#options.seed ?? 1) * 1_000 + this.gateways.length),
        limiter: { run: (turn) => turn(), stop: () => Promise.resolve() },
      },
    );
    const events: DdlEvent[] = [];
    queue.subscribe((event) => events.push(event));
    const gateway = { id, queue, store, events, counts, count: (what: string) => counts.get(what) ?? 0 };
    this.gateways.push(gateway);
    return gateway;
  }

  /** Lets the gateways read the store and elect a leader. */
  async ready(): Promise<void> {
    await this.clock.advance(2_000);
  }

  /** Ends a gateway as kill -9 does: it says and hears nothing any more. */
  kill(gateway: Gateway): void {
    gateway.store.kill();
    this.gateways.splice(this.gateways.indexOf(gateway), 1);
  }

  leader(): Gateway | undefined {
    return this.gateways.find(({ queue }) => queue.stats().leader);
  }

  /** Closes all, moving the time on for what needs it. */
  async close(): Promise<void> {
    const closed = Promise.all(this.gateways.map(({ queue }) => queue.close()));
    await this.clock.advance(60_000);
    await closed;
    await this.store.close();
  }

  #logger(): Logger {
    return {
      ...SILENT,
      warn: (_, message) => void this.warnings.push(message),
      error: (fields, message) => void this.warnings.push(`${message}: ${JSON.stringify(fields)}`),
    };
  }
}

/** A harness with gateways `a`, `b`, … that are ready; closed after the test, with its invariants checked. */
export async function startHarness(
  t: TestContext,
  count: number,
  options: HarnessOptions = {},
): Promise<DdlHarness> {
  const harness = new DdlHarness(options);
  for (let index = 0; index < count; index++) harness.add(String.fromCharCode(97 + index));
  t.after(() => harness.close());
  await harness.ready();
  return harness;
}

/** A float column. */
export function column(name: string, type: ColumnSpec['type'] = 'float64'): ColumnSpec {
  return { name, kind: 'field', type };
}

/** A request for a table with one column, unless told otherwise. */
export function wanted(table: string | undefined, changes: Partial<DdlRequest> = {}): DdlRequest {
  const database = changes.database ?? 'db';
  return {
    tenant: database,
    database,
    table,
    source: 'influx',
    columns: [column('value')],
    askedBy: 'test',
    ...changes,
  };
}

/** The outcome of a submission that is expected to have one. */
export async function outcomeOf(submission: DdlSubmission): Promise<DdlOutcome | undefined> {
  if (submission.kind === 'refused') throw new Error(`refused: ${submission.reason}`);
  return await submission.outcome;
}

/** Metrics that count calls by method and first argument. */
export function countingMetrics(counts: Map<string, number>): DdlMetrics {
  const bump = (name: string) => (argument?: string | boolean) => {
    const what = argument === undefined ? name : `${name} ${argument}`;
    counts.set(what, (counts.get(what) ?? 0) + 1);
  };
  return {
    submitted: bump('submitted'),
    joined: bump('joined'),
    known: bump('known'),
    refused: bump('refused'),
    attempted: bump('attempted'),
    sent: bump('sent'),
    completed: bump('completed'),
    ambiguous: bump('ambiguous'),
    fenced: bump('fenced'),
    breakerOpened: bump('breakerOpened'),
    leaderChanged: bump('leaderChanged'),
    watchEnded: bump('watchEnded'),
    retried: bump('retried'),
    swept: bump('swept'),
  };
}

/** Submits for a table with one column and lets everything settle that waits for no time. */
export async function submit(
  harness: DdlHarness,
  gateway: Gateway | undefined,
  table: string | undefined,
  changes: Partial<DdlRequest> = {},
): Promise<DdlSubmission> {
  if (gateway === undefined) throw new Error('no such gateway');
  const submission = gateway.queue.submit(wanted(table, changes), NEVER);
  await harness.clock.settle();
  return await submission;
}

/** The outcome of a submission, within 30 s. */
export async function endOf(harness: DdlHarness, submission: DdlSubmission): Promise<DdlOutcome | undefined> {
  await harness.clock.advance(30_000);
  return await outcomeOf(submission);
}

/** The number of keys of one kind in the store: `task`, `slot` and so on. */
export async function count(harness: DdlHarness, family: string): Promise<number> {
  return (await harness.store.range({ prefix: `/sluice/v1/${family}/` }, NEVER)).count;
}
