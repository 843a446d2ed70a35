/**
 * The guard: puts its parts together, gives the fast path, and feeds the caches from the DDL queue's events.
 *
 * Guarantees: rows of tables that are known pass by comparing pointers, whatever state the queue is in; `admit`
 * takes no longer than its wait time; memory is bounded by the options, not by what clients send. It does not see
 * that somebody changed a table behind the gateway's back before a write fails (`invalidate`) or the registry's
 * soft TTL has passed. Called by ingest; made and closed by app.ts.
 */
import type { Guard } from '../model/admission.ts';
import type { Clock } from '../model/clock.ts';
import type { DdlEvent } from '../model/ddl-queue.ts';
import type { TableGroup } from '../model/point-batch.ts';
import { Admitter } from './admit.ts';
import { Budget } from './budget.ts';
import { Creator } from './creator.ts';
import { Describer } from './describer.ts';
import { createGate } from './gate.ts';
import { targetKey } from './keys.ts';
import { createNegativeCache, type NegativeCache } from './negative-cache.ts';
import type { GuardDeps, GuardOptions, GuardStats } from './options.ts';
import { createPlanGuard, type PlanSeen } from './plan.ts';
import { createPolicy } from './policy.ts';
import { createRecall } from './recall.ts';
import { type KnownTable, Registry } from './registry.ts';
import { createThrottle } from './throttle.ts';
import { createDefer } from './verdict.ts';

/** How often the recency of a table in use is renewed, and its age looked at. */
const TICK_MS = 1_000;

/** A guard with sizes for gauges. */
export interface MeteredGuard extends Guard {
  /** Names of the databases there are, at most a minute old; undefined when the database does not answer. */
  databases(): Promise<readonly string[] | undefined>;
  /** The tables that are known to exist; not to be held over a change. */
  known(): Iterable<KnownTable>;
  /** A guard that makes nothing, for one dry run; see plan.ts. */
  plan(seen: PlanSeen): Guard;
  stats(): GuardStats;
}

/**
 * Makes a guard and subscribes it to the queue.
 * @throws {GatewayError} config_invalid when a pattern is not RE2 syntax.
 */
export function createGuard(options: GuardOptions, deps: GuardDeps): MeteredGuard {
  const { clock, queue } = deps;
  const defer = createDefer(deps.random);
  const policy = createPolicy(options.policy, options.decisions, deps.names);
  const throttle = createThrottle(options.throttle, clock);
  const gate = createGate(deps, defer);
  const negatives = createNegativeCache(options.negative, clock, defer);
  const describer = new Describer(options.describer, deps);
  const registry = new Registry(options.registry, { ...deps, describer });
  const budget = new Budget(options.budget, deps);
  const recall = createRecall({ registry, negatives, metrics: deps.metrics });
  const creator = new Creator(options, { ...deps, registry, negatives, throttle, budget, defer });
  const parts = { ...deps, registry, policy, negatives, gate, budget, creator, recall, defer };
  const admitter = new Admitter(options, parts);
  const stopTicking = startTicking(clock, () => registry.advance());
  const unsubscribe = queue.subscribe((event) => {
    if (event.kind === 'breaker') gate.onBreaker(event);
    else learn(event, { negatives, registry, budget });
  });
  let closed: Promise<void> | undefined;

  async function shutDown(): Promise<void> {
    unsubscribe();
    await Promise.all([stopTicking(), admitter.close(), creator.close(), describer.close(), budget.close()]);
  }

  return {
    isReady(group) {
      const known = group.table.admittedBy as KnownTable | undefined;
      if (known?.live !== true || !hasAdmitted(known, group)) return false;
      if (known.tick !== registry.tick) registry.touch(known);
      return true;
    },
    recall: (group) => recall.find(group),
    admit: (group, context) => admitter.admit(group, context),
    databases: () => budget.databases(),
    known: () => registry.known(),
    plan: (seen) => createPlanGuard(options, { ...parts, throttle }, seen),
    invalidate: ({ database, name }) => registry.invalidate({ database, table: name }),
    close: () => (closed ??= shutDown()),
    stats: () => ({
      ...registry.stats(),
      ...negatives.stats(),
      ...budget.stats(),
      decisions: policy.decisions,
      creating: creator.creating,
      describing: describer.pending,
      waiting: admitter.waiting,
    }),
  };
}

/** Takes in how a task ended, here or on another gateway, or that its failure no longer holds. */
function learn(
  event: Exclude<DdlEvent, { kind: 'breaker' }>,
  to: { readonly negatives: NegativeCache; readonly registry: Registry; readonly budget: Budget },
): void {
  const key = targetKey(event.target);
  if (event.kind === 'cleared') return to.negatives.clear(key);
  if (event.outcome.kind === 'error') return to.negatives.put(key, event.outcome);
  to.negatives.forget(key);
  const { database, table } = event.target;
  if (table === undefined) to.budget.sawDatabase(database);
  else to.registry.grown({ database, table });
}

/** Calls back once a second until the answer is called, which resolves when it has stopped. */
function startTicking(clock: Clock, tick: () => void): () => Promise<void> {
  const closing = new AbortController();
  const ticking = (async () => {
    try {
      while (!closing.signal.aborted) {
        await clock.sleep(TICK_MS, closing.signal);
        tick();
      }
    } catch (error) {
      if (!closing.signal.aborted) throw error;
    }
  })();
  return () => {
    closing.abort();
    return ticking;
  };
}

/** Compares pointers only; allocates nothing. */
function hasAdmitted(known: KnownTable, { tagSets, fields }: TableGroup): boolean {
  for (let i = 0; i < tagSets.length; i++) {
    if (tagSets[i]?.admittedBy !== known) return false;
  }
  for (let i = 0; i < fields.length; i++) {
    if (fields[i]?.admittedBy !== known) return false;
  }
  return true;
}
