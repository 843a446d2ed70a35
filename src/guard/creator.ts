/**
 * Has tables, columns and databases made, by the DDL queue: at most one submit per target is under way in this
 * process, and whoever wants the same target waits for that one. Wants that arrive while it gathers are united,
 * unless the target failed of late: then each set of columns is tried by itself, so that one client's impossible
 * column can't spoil a table for the others. After success the schema is read back before anyone resumes.
 *
 * What it tells those who wait is a verdict on their wants, or nothing: then they look at the registry again.
 */

import type { DeferReason, Verdict } from '../model/admission.ts';
import type { Clock } from '../model/clock.ts';
import type { ColumnSpec } from '../model/column.ts';
import {
  type DdlOutcome,
  type DdlQueue,
  type DdlRefusal,
  type DdlRequest,
  fingerprint,
} from '../model/ddl-queue.ts';
import type { Logger } from '../model/logger.ts';
import type { TableId } from '../model/table.ts';
import { createAbortController } from '../util/abort.ts';
import type { Budget } from './budget.ts';
import { targetKey } from './keys.ts';
import { type DdlFailure, failureVerdict, type NegativeCache } from './negative-cache.ts';
import type { GuardMetrics, GuardOptions } from './options.ts';
import { loadVerdict, type Registry } from './registry.ts';
import { createSingleFlight } from './single-flight.ts';
import type { Throttle } from './throttle.ts';
import { type Defer, throttled } from './verdict.ts';
import { within } from './within.ts';

/** A submit under way: since when, and what it means for the wants it was joined with. Never rejects. */
export interface Creation {
  readonly startedMs: number;
  readonly verdict: Promise<Verdict | undefined>;
}

/** What the creator works with. */
export interface CreatorDeps {
  readonly queue: DdlQueue;
  readonly registry: Registry;
  readonly negatives: NegativeCache;
  readonly throttle: Throttle;
  readonly budget: Budget;
  readonly clock: Clock;
  readonly metrics: GuardMetrics;
  readonly logger: Logger;
  readonly defer: Defer;
}

type End =
  | { readonly kind: 'look' }
  | { readonly kind: 'verdict'; readonly verdict: Verdict }
  | { readonly kind: 'failed'; readonly failure: DdlFailure };

interface Ticket {
  readonly key: string;
  readonly request: DdlRequest;
  readonly exists: boolean;
  /** By name: the first want for a name counts, the others will meet its type. */
  readonly wants: Map<string, ColumnSpec>;
  readonly startedMs: number;
  gathering: boolean;
}

/** The wants may be met: the registry knows. */
const LOOK: End = { kind: 'look' };
const RETRY_MS = 1_000;
/** Invalidations that may overtake the reading back before the caller is sent away. */
const MAX_READS = 3;

/** See the module comment. Keys are those of `targetKey`. */
export class Creator {
  readonly #options: Pick<GuardOptions, 'uniteMs' | 'taskWaitMs'>;
  readonly #deps: CreatorDeps;
  readonly #closing = createAbortController();
  readonly #flights = createSingleFlight<Ticket, End>();

  constructor(options: Pick<GuardOptions, 'uniteMs' | 'taskWaitMs'>, deps: CreatorDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** Submits without an outcome. */
  get creating(): number {
    return this.#flights.size;
  }

  /** True while a submit for the target is under way. */
  has(key: string): boolean {
    return this.#flights.find(key) !== undefined;
  }

  /** Waits for the submit under way, adding wants when it still gathers; undefined when there is none. */
  join(key: string, columns: readonly ColumnSpec[]): Creation | undefined {
    const flight = this.#flights.find(key);
    if (flight === undefined) return undefined;
    const { gathering, wants, startedMs } = flight.ticket;
    for (const column of gathering ? columns : []) {
      if (!wants.has(column.name)) wants.set(column.name, column);
    }
    return { startedMs, verdict: this.#verdict(flight.result, columns) };
  }

  /** Begins a submit for a target that has none, or says why not. `exists`: the table is there, columns are not. */
  start(request: DdlRequest, exists: boolean): Creation | Verdict {
    const { throttle, budget, negatives, clock, defer } = this.#deps;
    const grant = throttle.tryTake(request.tenant);
    if (!grant.granted) return throttled(defer, grant.retryAfterMs);
    const freePlace = budget.reserve(request, exists);
    const key = targetKey(request);
    const ticket: Ticket = {
      key,
      request,
      exists,
      wants: new Map(request.columns.map((column) => [column.name, column])),
      startedMs: clock.now(),
      gathering: request.columns.length > 0 && this.#options.uniteMs > 0 && !negatives.has(key),
    };
    const result = this.#flights.start(key, ticket, async () => {
      try {
        return await this.#run(ticket);
      } finally {
        grant.release();
        freePlace();
      }
    });
    return { startedMs: ticket.startedMs, verdict: this.#verdict(result, request.columns) };
  }

  /** Ends all waits. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort(new Error('the guard was closed'));
    await this.#flights.idle();
  }

  async #run(ticket: Ticket): Promise<End> {
    const { clock, logger } = this.#deps;
    const { signal } = this.#closing;
    try {
      if (ticket.gathering) await clock.sleep(this.#options.uniteMs, signal);
      ticket.gathering = false;
      return await this.#submit(ticket, signal);
    } catch (error) {
      if (!signal.aborted) logger.error({ err: error }, 'a DDL task could not be submitted');
      return this.#later('control_plane', 'the DDL queue does not answer');
    }
  }

  async #submit(ticket: Ticket, signal: AbortSignal): Promise<End> {
    const { queue, negatives, metrics, clock } = this.#deps;
    const submission = await queue.submit({ ...ticket.request, columns: [...ticket.wants.values()] }, signal);
    metrics.submission(submission.kind);
    if (submission.kind === 'refused') return this.#refused(submission.reason, submission.retryAfterMs);
    if (submission.kind === 'known') {
      // The cache had lost it, or has yet to hear of it.
      if (submission.outcome.kind === 'error') negatives.put(ticket.key, submission.outcome);
      return await this.#conclude(ticket, submission.outcome);
    }
    const outcome = await within(submission.outcome, this.#options.taskWaitMs, clock, signal);
    return await this.#conclude(ticket, outcome);
  }

  async #conclude(ticket: Ticket, outcome: DdlOutcome | undefined): Promise<End> {
    if (outcome === undefined) return this.#later('ddl_pending', 'the DDL task is still under way');
    if (outcome.kind === 'error') return { kind: 'failed', failure: outcome };
    const { database, table } = ticket.request;
    if (table !== undefined) return await this.#readBack(ticket, { database, table });
    this.#deps.budget.sawDatabase(database);
    return LOOK;
  }

  async #readBack(ticket: Ticket, id: TableId): Promise<End> {
    for (let read = 0; read < MAX_READS; read++) {
      const loaded = await this.#deps.registry.load(id);
      if (loaded.kind === 'stale') continue;
      if (loaded.kind === 'missing') return this.#vanished(ticket);
      const verdict = loadVerdict(loaded, this.#deps.defer);
      if (verdict !== undefined) return { kind: 'verdict', verdict };
      if (!ticket.exists) this.#deps.budget.sawTable(id.database);
      return LOOK;
    }
    return this.#later('ddl_pending', 'the table keeps changing');
  }

  /** Somebody drops what is made, or the database is behind: not again at once. */
  #vanished({ key, wants }: Ticket): End {
    const failure: DdlFailure = {
      kind: 'error',
      class: 'transient',
      code: 'vanished',
      message: 'the table was created but is not there',
      attempts: 1,
      ttlMs: RETRY_MS,
      wants: fingerprint([...wants.values()]),
    };
    this.#deps.negatives.put(key, failure);
    return { kind: 'failed', failure };
  }

  #refused(refusal: DdlRefusal, retryAfterMs: number): End {
    if (refusal === 'full' || refusal === 'tenant_full') {
      return this.#later('queue_full', 'too many tables are being created', retryAfterMs);
    }
    if (refusal === 'breaker') return this.#later('breaker', 'nothing is created just now', retryAfterMs);
    return this.#later('control_plane', 'the DDL queue does not answer', retryAfterMs);
  }

  #later(reason: DeferReason, message: string, retryAfterMs = RETRY_MS): End {
    return { kind: 'verdict', verdict: this.#deps.defer(reason, message, retryAfterMs) };
  }

  /** What the end of a submit means for one caller's wants. */
  async #verdict(result: Promise<End>, columns: readonly ColumnSpec[]): Promise<Verdict | undefined> {
    const end = await result;
    if (end.kind !== 'failed') return end.kind === 'verdict' ? end.verdict : undefined;
    const { failure } = end;
    if (failure.class === 'permanent' && failure.wants !== fingerprint(columns)) return undefined;
    return failureVerdict(failure, failure.ttlMs, this.#deps.defer);
  }
}
