/**
 * The order of the guard's checks for one group of rows, cheapest first (ARCHITECTURE.md: guard). `decide` is
 * synchronous and either knows the answer or names one thing to wait for; after the wait it decides anew, a bounded
 * number of times and within the wait time. Rules that concern creating (auto-create off, lists of what is allowed,
 * budgets) come after the question whether the table exists: what exists is written, whatever may be created.
 */
import type { Admission, AdmitContext, Verdict } from '../model/admission.ts';
import type { Clock } from '../model/clock.ts';
import { type DdlRequest, fingerprint } from '../model/ddl-queue.ts';
import type { Logger } from '../model/logger.ts';
import type { TableGroup } from '../model/point-batch.ts';
import type { Table } from '../model/series.ts';
import { assess, type ColumnRules } from './assess.ts';
import type { Budget, Room } from './budget.ts';
import { answer, type Call, createCall, idOf, type Step, type Wait } from './call.ts';
import type { Creator } from './creator.ts';
import type { Gate } from './gate.ts';
import { targetKey } from './keys.ts';
import type { NegativeCache } from './negative-cache.ts';
import type { GuardMetrics, GuardOptions } from './options.ts';
import type { Policy } from './policy.ts';
import { createPursuits, type Pursuits } from './pursuit.ts';
import type { Recall } from './recall.ts';
import { loadVerdict, type Registry } from './registry.ts';
import { type Defer, quote, refused, rejected } from './verdict.ts';
import { within } from './within.ts';

const MAX_ROUNDS = 6;
const RETRY_MS = 1_000;

/** The parts of the guard; a dry run (plan.ts) has others in place of those that make things. */
export interface AdmitDeps {
  readonly registry: Pick<Registry, 'get' | 'isAbsent' | 'isTrusted' | 'load'>;
  readonly policy: Policy;
  readonly negatives: NegativeCache;
  readonly gate: Gate;
  readonly budget: Pick<Budget, 'counted' | 'count' | 'hasDatabase' | 'databaseRoom' | 'tableRoom'>;
  readonly creator: Pick<Creator, 'has' | 'join' | 'start'>;
  readonly recall: Pick<Recall, 'note'>;
  readonly clock: Clock;
  readonly metrics: GuardMetrics;
  readonly logger: Logger;
  readonly defer: Defer;
}

/** `Guard.admit`; see the module comment. */
export class Admitter {
  readonly #options: GuardOptions;
  readonly #deps: AdmitDeps;
  readonly #pursuits: Pursuits;
  #waiting = 0;

  constructor(options: GuardOptions, deps: AdmitDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#pursuits = createPursuits(options.maxWaiting, deps.logger);
  }

  /** Requests that wait in `admit`. */
  get waiting(): number {
    return this.#waiting;
  }

  /** As `Guard.admit`. */
  async admit(group: TableGroup, context: AdmitContext): Promise<Admission> {
    const { clock, metrics, recall, creator } = this.#deps;
    context.signal.throwIfAborted();
    const call = createCall(group, context, context.waitMs ?? this.#options.waitMs, clock.now());
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const step = this.#decide(call);
      if (round === 0) metrics.lookup('registry', call.known !== undefined);
      if ('parts' in step) {
        if (round === 0 && call.observed === undefined && context.mayCreate !== false)
          recall.note(group, step);
        return this.#count(call, step);
      }
      if (call.waitMs <= 0 && !creator.has(group.table.key)) this.#pursue(call);
      const verdict = await this.#wait(call, step);
      if (verdict !== undefined) return this.#count(call, answer(call, verdict, step.doubts));
    }
    return this.#count(call, answer(call, this.#notReady()));
  }

  /** Ends what goes on without a caller. Idempotent. */
  async close(): Promise<void> {
    await this.#pursuits.close();
  }

  /** Goes on for a caller that does not wait, until what it wants is submitted, or known. Its group is not ours. */
  #pursue({ group, context, counted }: Call): void {
    const copy: TableGroup = { ...group, tagSets: [...group.tagSets], fields: [...group.fields] };
    this.#pursuits.start(group.table.key, async (signal) => {
      const { clock, metrics, creator } = this.#deps;
      const call = createCall(copy, context, this.#options.taskWaitMs, clock.now());
      call.counted = counted;
      for (let round = 0; round < MAX_ROUNDS; round++) {
        const step = this.#decide(call);
        if ('parts' in step || creator.has(call.table.key)) break;
        const verdict = await within(step.verdict, call.waitMs, clock, signal);
        if (verdict !== undefined) break;
      }
      for (const reason of call.observed ?? []) metrics.wouldRefuse(reason);
    });
  }

  #decide(call: Call): Step {
    const { registry, policy } = this.#deps;
    const { table } = call;
    const known = registry.get(table.key);
    call.known = known;
    if (known === undefined) {
      const verdict = this.#enforced(call, policy.refusesName(idOf(table)));
      if (verdict !== undefined) return refused(verdict);
    }
    const need = assess(call.group, known, this.#columnRules(call));
    call.need = need;
    if (known !== undefined && need.parts.size > 0 && !registry.isTrusted(known)) {
      return { ...this.#look(table), doubts: true };
    }
    if (known !== undefined && need.missing.size === 0) return answer(call, undefined);
    if (!need.useful) {
      // Of two types within the request, one that the table has wins, not the first: so look.
      const settled = known !== undefined || registry.isAbsent(table.key);
      return settled ? answer(call, undefined) : this.#look(table);
    }
    if (call.context.mayCreate === false) return this.#onlyLook(call);
    return this.#hold(call) ?? this.#obtain(call);
  }

  /** What is known about these wants without asking anyone: a cached failure, a submit under way. */
  #hold(call: Call): Step | undefined {
    const { negatives, creator, metrics } = this.#deps;
    const { key } = call.table;
    const columns = [...call.need.missing.values()];
    const negative = negatives.lookup(key, () => fingerprint(columns));
    metrics.lookup('negative', negative !== undefined);
    if (negative !== undefined && negative !== 'expired') return answer(call, negative);
    if (!creator.has(key)) return undefined;
    if (negative === 'expired') return answer(call, this.#tryingAgain());
    return this.#overCap(call) ?? creator.join(key, columns);
  }

  /** What was not asked for yet: may it be, and does it perhaps exist? Then ask. */
  #obtain(call: Call): Step {
    const { registry, gate, policy } = this.#deps;
    const { table, known, need } = call;
    const stop = gate.check(call.context.tenant ?? table.database);
    if (stop !== undefined) return answer(call, stop);
    if (known === undefined) {
      if (!registry.isAbsent(table.key)) return this.#look(table);
      const step = this.#prepare(call);
      if (step !== undefined) return step;
    } else {
      const verdict = policy.refusesAlter();
      if (verdict !== undefined) return registry.isTrusted(known) ? answer(call, verdict) : this.#look(table);
    }
    return this.#start(call, { ...this.#target(call), columns: [...need.missing.values()] });
  }

  /** Everything that must hold before a new table is asked for. */
  #prepare(call: Call): Step | undefined {
    const { budget, policy } = this.#deps;
    const { database, name } = call.table;
    const verdict = this.#enforced(call, policy.refusesCreate(idOf(call.table)));
    if (verdict !== undefined) return refused(verdict);
    if (!budget.counted) return { verdict: this.#counted() };
    const over = this.#overCap(call);
    if (over !== undefined) return over;
    if (!budget.hasDatabase(database)) return this.#prepareDatabase(call);
    const message = `no room in database ${quote(database)} for measurement ${quote(name)}`;
    return this.#overBudget(call, budget.tableRoom(database), rejected('table_budget', message));
  }

  /** The same checks for a database that does not exist. */
  #prepareDatabase(call: Call): Step {
    const { negatives, creator, budget } = this.#deps;
    const { database } = call.table;
    const key = targetKey({ database, table: undefined });
    const negative = negatives.lookup(key, () => fingerprint([]));
    if (negative !== undefined && negative !== 'expired') return refused(negative);
    if (negative === 'expired' && creator.has(key)) return refused(this.#tryingAgain());
    const creation = creator.join(key, []);
    if (creation !== undefined) return creation;
    const message = `no room for another database ${quote(database)}`;
    const over = this.#overBudget(call, budget.databaseRoom(), rejected('database_budget', message));
    if (over !== undefined) return over;
    return this.#start(call, { ...this.#target(call), table: undefined, columns: [] });
  }

  #overBudget(call: Call, room: Room, none: Verdict): Admission | undefined {
    if (room === 'free' || this.#enforced(call, none) === undefined) return undefined;
    if (room === 'none') return refused(none);
    return refused(this.#deps.defer('throttled', 'the last places are held by creates under way', RETRY_MS));
  }

  #start(call: Call, request: DdlRequest): Step {
    const creation = this.#deps.creator.start(request, call.known !== undefined);
    return 'kind' in creation ? answer(call, creation) : creation;
  }

  #target({ table: { database, name }, context }: Call): Omit<DdlRequest, 'columns'> {
    const { source, askedBy, tenant } = context;
    return { tenant: tenant ?? database, database, table: name, source, askedBy };
  }

  #overCap(call: Call): Admission | undefined {
    if (call.known !== undefined || call.counted) return undefined;
    if (call.context.newTables >= this.#options.maxNewTablesPerRequest) {
      return refused(this.#deps.defer('request_cap', 'too many new tables in one request', RETRY_MS));
    }
    call.context.newTables++;
    call.counted = true;
    return undefined;
  }

  #columnRules(call: Call): ColumnRules {
    const { policy } = this.#deps;
    const { maxColumnsPerTable } = this.#options.budget;
    return {
      refusesColumn: (column) => policy.refusesColumn(column),
      refusesWidth: ({ name }, columns) => {
        if (columns <= maxColumnsPerTable) return undefined;
        const message = `no room in measurement ${quote(name)} for more than ${maxColumnsPerTable} columns`;
        return this.#enforced(call, rejected('column_budget', message));
      },
    };
  }

  /** In observe mode the verdict is only noted. */
  #enforced(call: Call, verdict: Verdict | undefined): Verdict | undefined {
    if (verdict?.kind !== 'rejected' || !this.#deps.policy.onlyObserves(verdict.reason)) return verdict;
    (call.observed ??= new Set()).add(verdict.reason);
    return undefined;
  }

  /** The sender has no right to create: neither joins a create under way, nor waits for one. Not remembered: the next may. */
  #onlyLook(call: Call): Step {
    const { known, table } = call;
    const { registry } = this.#deps;
    const settled = known === undefined ? registry.isAbsent(table.key) : registry.isTrusted(known);
    if (!settled) return this.#look(table);
    const what = `measurement ${quote(table.name)} in database ${quote(table.database)}`;
    const verdict = rejected(
      'no_create_right',
      `${what} lacks a table or column that the sender has no right to create`,
    );
    return known === undefined ? refused(verdict) : answer(call, verdict);
  }

  #look(table: Table): Wait {
    const { registry, defer } = this.#deps;
    return { verdict: registry.load(idOf(table)).then((loaded) => loadVerdict(loaded, defer)) };
  }

  async #counted(): Promise<Verdict | undefined> {
    const failed = await this.#deps.budget.count();
    if (failed === undefined) return undefined;
    return this.#deps.defer('database_down', 'the database does not tell its tables', failed.retryAfterMs);
  }

  #tryingAgain(): Verdict {
    return this.#deps.defer('ddl_backoff', 'it failed before and is being tried again', RETRY_MS);
  }

  #notReady(): Verdict {
    return this.#deps.defer('ddl_pending', 'the table is not ready yet', RETRY_MS);
  }

  async #wait(call: Call, step: Wait): Promise<Verdict | undefined> {
    const { clock, defer } = this.#deps;
    const untilMs = Math.min(call.deadlineMs, (step.startedMs ?? Infinity) + call.waitMs);
    const leftMs = untilMs - clock.now();
    if (leftMs <= 0) return this.#notReady();
    if (this.#waiting >= this.#options.maxWaiting) {
      return defer('overload', 'too many requests wait for tables', RETRY_MS);
    }
    this.#waiting++;
    try {
      const ended = step.verdict.then((verdict) => ({ verdict }));
      const result = await within(ended, leftMs, clock, call.context.signal);
      return result === undefined ? this.#notReady() : result.verdict;
    } finally {
      this.#waiting--;
    }
  }

  #count(call: Call, admission: Admission): Admission {
    const { metrics } = this.#deps;
    for (const reason of call.observed ?? []) metrics.wouldRefuse(reason);
    const verdicts = admission.refused === undefined ? admission.parts.values() : [admission.refused];
    for (const verdict of verdicts) {
      if (verdict.kind === 'rejected') metrics.rejected(verdict.reason);
      else metrics.deferred(verdict.reason);
    }
    return admission;
  }
}
