/**
 * Puts dry runs together: the parsers, ingest and the guard's checks as for a write, over parts that keep nothing. Each
 * run has a series dictionary of its own, so that what it names is forgotten with it.
 */
import { type Held, MAX_LISTED, type Planner, planAnswerOf } from './admin/plan.ts';
import type { PlanQuery } from './admin/schemas.ts';
import type { Base } from './app-base.ts';
import { openTsdbOptions, pointLimits } from './app-options.ts';
import type { MeteredGuard } from './guard/guard.ts';
import { createIngest, type IngestDeps } from './ingest.ts';
import type { Verdict } from './model/admission.ts';
import type { MalformedBody, ParsedPoints } from './model/parse-result.ts';
import type { PointBatch } from './model/point-batch.ts';
import type { Table } from './model/series.ts';
import type { DdlChange, DdlExecutor } from './model/sink.ts';
import { createLineParser } from './protocol/line-protocol.ts';
import { createOpenTsdbParser } from './protocol/opentsdb-json.ts';
import { SeriesDictionary } from './protocol/series-dictionary.ts';

/** What a write goes through, and who can word what it would change. */
export interface PlanParts {
  readonly ingest: IngestDeps;
  readonly guard: Pick<MeteredGuard, 'plan'>;
  readonly ddl: Pick<DdlExecutor, 'explain'>;
}

/** Makes the planner; nothing of it has to be closed. */
export function createPlanner(base: Base, { ingest, guard, ddl }: PlanParts): Planner {
  return async (query, body, signal) => {
    const changes: DdlChange[] = [];
    const held = createHeld();
    const dry = guard.plan({
      change: (change) => void changes.push(change),
      verdict: (table, verdict) => verdict.kind === 'deferred' && held.add(table, verdict),
    });
    const path = createIngest(keepingNothing({ ...ingest, guard: dry }, held.add));
    const batch = path.acquire(body, query.db ?? base.config.opentsdb.database);
    try {
      const parsed = parse(base, query, batch);
      const context = { source: query.protocol, askedBy: 'plan', tenant: query.tenant, sync: false, signal };
      const good = parsed.kind === 'parsed' && parsed.good > 0;
      const result = good ? await path.submit(batch, context) : undefined;
      return planAnswerOf({ parsed, result, changes, held: held.list() }, ddl.explain);
    } finally {
      path.release(batch);
      await dry.close();
    }
  };
}

function parse(
  base: Base,
  { protocol, precision = 'ns' }: PlanQuery,
  batch: PointBatch,
): ParsedPoints | MalformedBody {
  const { config, clock, dictionary } = base;
  const own = new SeriesDictionary(config.dictionary, dictionary.seed);
  if (protocol === 'opentsdb') return createOpenTsdbParser(own, openTsdbOptions(config)).parse(batch);
  return createLineParser(own, { limits: pointLimits(config) }).parse(batch, precision, clock.wallNow());
}

type Note = (table: Table, verdict: Pick<Verdict, 'reason' | 'message'>) => void;

/** The same path with nothing behind it. What would be parked counts as parked: bounds of the spool are not asked. */
function keepingNothing(deps: IngestDeps, note: Note): IngestDeps {
  return {
    ...deps,
    flush: { write: () => Promise.resolve() },
    parking: {
      holds(table) {
        const holds = deps.parking.holds(table);
        if (holds) note(table, { reason: 'parked', message: 'earlier rows of this table wait on disk' });
        return holds;
      },
      park: (_, rows) => Promise.resolve({ parked: rows, refusal: undefined }),
    },
    log: undefined,
    ack: 'database',
    rejects: undefined,
    untold: undefined,
    metrics: { rowsRejected() {}, rowsDeferred() {} },
    refusedCreates: { note() {} },
  };
}

/** Tables and why they are held back, each once. */
function createHeld(): { readonly add: Note; list(): readonly Held[] } {
  const found = new Map<string, Held>();
  return {
    add({ database, name, key }, { reason, message }) {
      if (found.size < MAX_LISTED)
        found.set(`${key}\u0000${reason}`, { database, table: name, reason, message });
    },
    list: () => [...found.values()],
  };
}
