/**
 * A guard for dry runs: the same checks over the same registry, policy, caches and budgets, but what it would have
 * made is only noted, and counts as made for the rest of the run. It submits nothing, joins nothing, takes nothing
 * from the throttle and counts nothing. It reads as the real one does: names that are not known are asked for.
 * It can't foresee what the database refuses, and takes what is being made just now for not there.
 */
import type { AdmitContext, Guard, Verdict } from '../model/admission.ts';
import type { DdlRequest } from '../model/ddl-queue.ts';
import type { TableGroup } from '../model/point-batch.ts';
import type { Table } from '../model/series.ts';
import type { DdlChange } from '../model/sink.ts';
import { type AdmitDeps, Admitter } from './admit.ts';
import type { Creation } from './creator.ts';
import { targetKey } from './keys.ts';
import type { GuardMetrics, GuardOptions } from './options.ts';
import { KnownTable } from './registry.ts';
import type { Throttle } from './throttle.ts';
import { throttled } from './verdict.ts';

/** What a dry run comes upon. */
export interface PlanSeen {
  /** This would be asked for; of one table first its database, where that is missing. */
  change(change: DdlChange): void;
  /** Rows of the table, or some of them, would be refused or held back. */
  verdict(table: Table, verdict: Verdict): void;
}

/** The parts of the guard that a dry run looks at. */
export interface PlanDeps extends Omit<AdmitDeps, 'metrics' | 'recall'> {
  readonly throttle: Pick<Throttle, 'room'>;
}

/** Patience for names that are asked for; a dry run has no sender who waits. */
const WAIT_MS = 5_000;
const RETRY_MS = 1_000;

/** Makes the guard of one dry run; the groups that it is asked about must be of no other use. */
export function createPlanGuard(options: GuardOptions, deps: PlanDeps, seen: PlanSeen): Guard {
  const parts = { ...deps, ...createOverlay(deps, seen), metrics: NO_METRICS, recall: { note() {} } };
  const admitter = new Admitter({ ...options, waitMs: WAIT_MS }, parts);
  return {
    isReady: () => false,
    recall: () => undefined,
    async admit(group: TableGroup, context: AdmitContext) {
      const impatient = context.waitMs !== undefined;
      const admission = await admitter.admit(group, impatient ? { ...context, waitMs: WAIT_MS } : context);
      const { refused, parts: some } = admission;
      for (const verdict of refused === undefined ? some.values() : [refused])
        seen.verdict(group.table, verdict);
      return admission;
    },
    invalidate() {},
    close: () => admitter.close(),
  };
}

/** What would have been made, laid over what there is. */
function createOverlay(
  { registry, budget, creator, throttle, defer, clock }: PlanDeps,
  seen: PlanSeen,
): Pick<AdmitDeps, 'registry' | 'budget' | 'creator'> {
  const tables = new Map<string, KnownTable>();
  const databases = new Set<string>();
  /** By `targetKey`: others join, as they would the real one, or they would come before who asked for it. */
  const makingDatabase = new Map<string, Creation>();
  const newTables = new Map<string, number>();
  const rooms = new Map<string, { tokens: number; places: number }>();

  /** False: the throttle would not let it through. A place is free again once a database is made, before its tables. */
  function take({ tenant, table }: DdlRequest): boolean {
    const room = rooms.get(tenant) ?? { ...throttle.room(tenant) };
    rooms.set(tenant, room);
    if (room.tokens < 1 || room.places < 1) return false;
    room.tokens--;
    if (table !== undefined) room.places--;
    return true;
  }

  function make(request: DdlRequest, exists: boolean): Creation {
    const { database, table } = request;
    const key = targetKey(request);
    seen.change(changeOf(request, exists));
    if (table === undefined) {
      const made = Promise.resolve().then(() => void databases.add(database));
      const creation = { startedMs: clock.now(), verdict: made };
      makingDatabase.set(key, creation);
      return creation;
    }
    const columns = [...(registry.get(key)?.columns.values() ?? []), ...request.columns];
    tables.set(key, new KnownTable({ database, table }, { columns }));
    if (!exists) newTables.set(database, (newTables.get(database) ?? 0) + 1);
    return { startedMs: clock.now(), verdict: Promise.resolve(undefined) };
  }

  return {
    registry: {
      get: (key) => tables.get(key) ?? registry.get(key),
      isAbsent: (key) => registry.isAbsent(key),
      isTrusted: (known) => tables.get(known.key) === known || registry.isTrusted(known),
      // In the background: a dry run of many names must not take the places of writes.
      load: (id) => registry.load(id, true),
    },
    budget: {
      get counted() {
        return budget.counted;
      },
      count: () => budget.count(),
      hasDatabase: (database) => databases.has(database) || budget.hasDatabase(database),
      // All rows of a request are of one database, so a second one is never asked about.
      databaseRoom: () => budget.databaseRoom(),
      tableRoom: (database) => budget.tableRoom(database, newTables.get(database)),
    },
    creator: {
      has: (key) => creator.has(key),
      join: (key) => makingDatabase.get(key),
      start: (request, exists) => (take(request) ? make(request, exists) : throttled(defer, RETRY_MS)),
    },
  };
}

function changeOf({ database, table, source, columns }: DdlRequest, exists: boolean): DdlChange {
  if (table === undefined) return { kind: 'database', database };
  const id = { database, table };
  return exists ? { kind: 'columns', id, columns } : { kind: 'table', spec: { id, source, columns } };
}

const NO_METRICS: GuardMetrics = {
  rejected() {},
  deferred() {},
  wouldRefuse() {},
  submission() {},
  lookup() {},
  described() {},
};
