/** A guard over a fake database, a fake DDL queue and a fake clock, with counts of what it did. */
import assert from 'node:assert/strict';
import { createGuard, type MeteredGuard } from '../../src/guard/guard.ts';
import type { GuardMetrics, GuardOptions } from '../../src/guard/options.ts';
import type { Admission, AdmitContext } from '../../src/model/admission.ts';
import type { ColumnSpec, ValueType } from '../../src/model/column.ts';
import { type DdlOutcome, type DdlRequest, fingerprint } from '../../src/model/ddl-queue.ts';
import type { Logger } from '../../src/model/logger.ts';
import type { TableGroup } from '../../src/model/point-batch.ts';
import { Field, Table, TagSet } from '../../src/model/series.ts';
import type { NameRules } from '../../src/model/sink.ts';
import { type TableId, type TableSchema, tableKey } from '../../src/model/table.ts';
import { FakeClock } from './fake-clock.ts';
import { FakeDdlQueue } from './fake-ddl-queue.ts';

/** Options with room to breathe; tests narrow what they are about. */
export const GUARD_OPTIONS: GuardOptions = {
  policy: {
    autoCreate: 'on',
    allowTables: [],
    allowDatabases: [],
    denyTables: [],
    denyDatabases: [],
    reservedColumns: ['time'],
  },
  budget: { maxDatabases: 64, maxTablesPerDatabase: 10_000, maxColumnsPerTable: 1_000, recountMs: 60_000 },
  throttle: {
    perSec: 1_000,
    burst: 1_000,
    tenantPerSec: 1_000,
    tenantBurst: 1_000,
    maxOpen: 256,
    maxOpenPerTenant: 256,
  },
  describer: { maxNames: 256, maxPending: 100_000, timeoutMs: 5_000, minDownMs: 500, maxDownMs: 10_000 },
  registry: { maxTables: 1_000, maxBytes: 1 << 24, softTtlMs: 300_000, trustMs: 5_000 },
  negative: { maxEntries: 1_000, maxBytes: 1 << 20 },
  decisions: { maxEntries: 1_000, maxBytes: 1 << 20 },
  waitMs: 1_000,
  uniteMs: 10,
  taskWaitMs: 30_000,
  maxWaiting: 20_000,
  maxNewTablesPerRequest: 100,
};

/** Nothing is impossible but what a test puts in its place. */
export const ANY_NAME: NameRules = {
  checkDatabase: () => undefined,
  checkTable: () => undefined,
  checkColumn: () => undefined,
};

/** Logs nothing. */
export const SILENT: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** Runs jobs at once; Bottleneck's time is not the fake clock's. */
export const NO_PACE = { run: <T>(job: () => Promise<T>) => job(), stop: () => Promise.resolve() };

/** A failure of a task as the queue publishes it. */
export function failure(
  kind: 'permanent' | 'transient',
  ttlMs: number,
  columns: readonly ColumnSpec[] = [],
): DdlOutcome & { kind: 'error' } {
  return {
    kind: 'error',
    class: kind,
    code: 'E1',
    message: 'no such luck',
    attempts: 1,
    ttlMs,
    wants: fingerprint(columns),
  };
}

/** Tables in memory; `describe` can be held or made to fail. */
export class FakeDatabase {
  readonly tables = new Map<string, ColumnSpec[]>();
  readonly databases = new Set(['db']);
  describes = 0;
  described = 0;
  inventories = 0;
  down = false;
  /** Awaited before each answer; the answer is taken from the tables before the wait. */
  hold: Promise<void> | undefined;

  async describe(ids: readonly TableId[]): Promise<readonly (TableSchema | undefined)[]> {
    this.describes++;
    this.described += ids.length;
    if (this.down) throw new Error('the database is down');
    const schemas = ids.map((id) => {
      const columns = this.tables.get(tableKey(id));
      return columns === undefined ? undefined : { columns: [...columns] };
    });
    await this.hold;
    return schemas;
  }

  async inventory() {
    this.inventories++;
    if (this.down) throw new Error('the database is down');
    return [...this.databases].map((database) => ({
      database,
      tables: [...this.tables.keys()].filter((key) => key.startsWith(`${database}\u0000`)).length,
    }));
  }

  /** What a worker would do. */
  make({ database, table, columns }: DdlRequest): DdlOutcome {
    this.databases.add(database);
    if (table === undefined) return { kind: 'ok' };
    const key = tableKey({ database, table });
    const have = this.tables.get(key) ?? [];
    for (const column of columns) {
      if (!have.some((other) => other.name === column.name)) have.push(column);
    }
    this.tables.set(key, have);
    return { kind: 'ok' };
  }
}

/** Counts per method and argument. */
export function countingMetrics() {
  const counts = new Map<string, number>();
  const count =
    (name: string) =>
    (...args: unknown[]) => {
      const key = [name, ...args].join(' ');
      counts.set(key, (counts.get(key) ?? 0) + 1);
    };
  const metrics: GuardMetrics = {
    rejected: count('rejected'),
    deferred: count('deferred'),
    wouldRefuse: count('wouldRefuse'),
    submission: count('submission'),
    lookup: count('lookup'),
    described: count('described'),
  };
  return { counts, metrics };
}

/** A guard and everything around it. */
export interface GuardRig {
  readonly clock: FakeClock;
  readonly queue: FakeDdlQueue;
  readonly database: FakeDatabase;
  readonly guard: MeteredGuard;
  readonly counts: ReadonlyMap<string, number>;
  controlPlaneOk: boolean;
  paused: boolean;
}

/** Makes a rig whose queue makes what is asked for, at once. */
export function createGuardRig(
  options: Partial<GuardOptions> = {},
  names: Partial<NameRules> = {},
): GuardRig {
  const clock = new FakeClock();
  const queue = new FakeDdlQueue(clock);
  const database = new FakeDatabase();
  const { counts, metrics } = countingMetrics();
  queue.run = (request) => database.make(request);
  const guard = createGuard(
    { ...GUARD_OPTIONS, ...options },
    {
      queue,
      ddl: database,
      names: { ...ANY_NAME, ...names },
      clock,
      metrics,
      logger: SILENT,
      controlPlaneOk: () => rig.controlPlaneOk,
      paused: () => rig.paused,
      random: () => 0.5,
      pace: NO_PACE,
    },
  );
  const rig: GuardRig = { clock, queue, database, guard, counts, controlPlaneOk: true, paused: false };
  return rig;
}

/** The rows of one table: its tag sets and its fields, e.g. `groupOf('m', [['host']], { v: 'float64' })`. */
export function groupOf(
  table: string | Table,
  tagSets: readonly (readonly string[])[] = [['host']],
  fields: Readonly<Record<string, ValueType>> | readonly (readonly [string, ValueType])[] = { v: 'float64' },
): TableGroup {
  const of = typeof table === 'string' ? new Table('db', table) : table;
  const pairs = Array.isArray(fields)
    ? (fields as readonly (readonly [string, ValueType])[])
    : Object.entries(fields);
  return {
    table: of,
    firstRow: 0,
    lastRow: 0,
    rows: 1,
    tagSets: tagSets.map((keys) => new TagSet(of, keys)),
    fields: pairs.map(([name, type]) => new Field(of, name, type)),
  };
}

/** One request's dealings with the guard. */
export function contextOf(signal: AbortSignal = new AbortController().signal): AdmitContext {
  return { source: 'influx', askedBy: 'a test', newTables: 0, signal };
}

/** A field column. */
export function field(name: string, type: ValueType = 'float64'): ColumnSpec {
  return { name, kind: 'field', type };
}

/** A tag column. */
export function tag(name: string): ColumnSpec {
  return { name, kind: 'tag', type: 'string' };
}

/** What the guard answers when that much time passes meanwhile. */
export async function admitIn({ guard, clock }: GuardRig, group: TableGroup, ms = 50): Promise<Admission> {
  const answer = guard.admit(group, contextOf());
  await clock.advance(ms);
  return await answer;
}

/** Closes the guard, which must leave nothing behind. */
export async function closeRig({ guard, clock, queue }: GuardRig): Promise<void> {
  await guard.close();
  assert.equal(clock.sleeping, 0, 'no timer is left');
  assert.equal(queue.listeners, 0, 'nobody listens to the queue');
}
