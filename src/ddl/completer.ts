/**
 * Transactions T3 and T4: a task ends in the same transaction that publishes why, fenced by the leader's key. An
 * unsure answer is cleared up by trying the completion again, never the statement. Where no put passes (nospace), the
 * task is deleted all the same and its result stays in the leader's memory.
 */
import type { Clock } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';
import { exponentialMs, jitterMs, type Random } from '../util/backoff.ts';
import { type BreakerValue, encodeValue, type FailureValue, type OutValue, type TaskValue } from './codec.ts';
import type { HeldFailure } from './failure-memory.ts';
import type { DdlKeys } from './keys.ts';
import type { DdlMetrics } from './metrics.ts';
import type { OutcomeLeases } from './outcome-leases.ts';
import {
  type Compare,
  MIN_LEASE_TTL_MS,
  type Op,
  type Store,
  storeErrorKind,
  type TxnLabel,
  type TxnResult,
} from './store.ts';
import type { DdlView, Entry, Lasting } from './view.ts';

/** How long a success is to be seen by those who had lost sight of the task. */
const OK_TTL_MS = 5_000;
const RETRY_BASE_MS = 100;
const RETRY_MAX_MS = 5_000;
/** The database's own words are cut to this. */
const MAX_MESSAGE_BYTES = 512;
const MAX_CODE_BYTES = 64;

/** Why a task ends. `drain`: a breaker holds, so it is not tried at all. */
export type Ending =
  | { readonly kind: 'ok' }
  /** What holds for the target, the failure that ends this task first. */
  | { readonly kind: 'failure'; readonly failures: readonly [HeldFailure, ...HeldFailure[]] }
  | {
      readonly kind: 'breaker';
      readonly scope: 'tenant' | 'all';
      readonly code: string;
      readonly message: string;
    }
  | { readonly kind: 'drain'; readonly breaker: Lasting<BreakerValue> };

/** A term of leadership; `signal` ends the trying. */
export interface TermScope {
  readonly fence: number;
  readonly signal: AbortSignal;
}

/** `fenced`: somebody else decides about the task now. `unsure`: the term ended first, or a drain's breaker is gone. */
export type Completion = 'completed' | 'fenced' | 'unsure';

/** What completing works with. */
export interface CompleterDeps {
  readonly store: Store;
  readonly keys: DdlKeys;
  readonly view: DdlView;
  readonly leases: OutcomeLeases;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: DdlMetrics;
  /** Resolves when the view has the revision. @throws the reason of `signal` */
  readonly reached: (rev: number, signal: AbortSignal) => Promise<void>;
  readonly breakerTtlMs: number;
  readonly maxOutcomes: number;
}

/** See the module comment. */
export class Completer {
  readonly #deps: CompleterDeps;

  constructor(deps: CompleterDeps) {
    this.#deps = deps;
  }

  /** Ends the task; tries until it is known to have ended, or the term is over. Never rejects. */
  async complete(task: Entry<TaskValue>, ending: Ending, term: TermScope): Promise<Completion> {
    let deleteOnly = ending.kind === 'drain';
    for (let failures = 0; ; ) {
      try {
        const puts = deleteOnly ? [] : [await this.#put(task, ending, term)];
        const result = await this.#commit(task, ending, puts, term);
        const completion = this.#judge(task, result, term);
        // The next turn must see a breaker, else it would try its luck; and a closing queue tells its waiters.
        await this.#deps.reached(result.rev, term.signal).catch(() => undefined);
        if (completion !== 'unsure') this.#count(completion, deleteOnly ? 'drained' : statusOf(ending));
        return completion;
      } catch (error) {
        if (term.signal.aborted) return 'unsure';
        const kind = storeErrorKind(error);
        this.#deps.metrics.retried('complete');
        this.#deps.logger.debug({ err: error, nonce: task.value.nonce }, 'completion of a DDL task failed');
        if (kind === 'nospace' && !deleteOnly) {
          deleteOnly = true;
          continue;
        }
        if (kind === 'lease_not_found') this.#deps.leases.reset();
        await this.#pause(++failures, term.signal);
      }
    }
  }

  #commit(task: Entry<TaskValue>, ending: Ending, puts: readonly Op[], term: TermScope): Promise<TxnResult> {
    const { store, keys } = this.#deps;
    const holds: Compare[] =
      ending.kind === 'drain' ? [{ key: ending.breaker.key, mod: ending.breaker.mod }] : [];
    const label: TxnLabel =
      ending.kind === 'breaker' ? 'breaker' : ending.kind === 'drain' ? 'drain' : 'complete';
    return store.txn(
      {
        label,
        compare: [{ key: keys.lead, create: term.fence }, { key: task.key, mod: task.mod }, ...holds],
        success: [
          { op: 'delete', key: task.key },
          { op: 'delete', key: task.value.slot },
          { op: 'delete', key: task.value.tenantSlot },
          ...puts,
        ],
        failure: [
          { op: 'get', key: keys.lead },
          { op: 'get', key: task.key },
        ],
      },
      term.signal,
    );
  }

  #judge(task: Entry<TaskValue>, result: TxnResult, term: TermScope): Completion {
    if (result.ok) return 'completed';
    if (result.found.get(this.#deps.keys.lead)?.create !== term.fence) return 'fenced';
    const there = result.found.get(task.key);
    // Only the leader ends tasks, and that is this one: an earlier try was applied after all.
    if (there === undefined) return 'completed';
    return there.mod === task.mod ? 'unsure' : 'fenced';
  }

  #count(completion: Completion, status: Parameters<DdlMetrics['completed']>[0]): void {
    if (completion === 'fenced') this.#deps.metrics.fenced();
    else this.#deps.metrics.completed(status);
  }

  async #put(task: Entry<TaskValue>, ending: Ending, term: TermScope): Promise<Op> {
    const { leases, keys } = this.#deps;
    const { key, value } =
      ending.kind === 'breaker'
        ? { key: this.#breakerKey(task, ending.scope), value: this.#breakerValue(task, ending, term) }
        : {
            key: keys.out(task.value.database, task.value.table),
            value: this.#outValue(task, ending, term),
          };
    const lease = await leases.leaseFor(value.ttlMs, term.signal);
    return { op: 'put', key, value: encodeValue(value), lease };
  }

  #breakerKey(task: Entry<TaskValue>, scope: 'tenant' | 'all'): string {
    return scope === 'all' ? this.#deps.keys.breakerAll : this.#deps.keys.breaker(task.value.tenant);
  }

  #breakerValue(
    task: Entry<TaskValue>,
    ending: Ending & { readonly kind: 'breaker' },
    term: TermScope,
  ): BreakerValue {
    const { clock, random, breakerTtlMs } = this.#deps;
    const ttlMs = Math.round(jitterMs(breakerTtlMs, 0.2, random));
    return {
      v: 1,
      code: cut(ending.code, MAX_CODE_BYTES),
      message: cut(ending.message, MAX_MESSAGE_BYTES),
      ttlMs,
      untilMs: clock.wallNow() + ttlMs,
      fence: term.fence,
      ...(ending.scope === 'all' ? {} : { tenant: task.value.tenant }),
    };
  }

  #outValue(task: Entry<TaskValue>, ending: Ending, term: TermScope): OutValue {
    const failures = ending.kind === 'failure' ? ending.failures.map((held) => this.#published(held)) : [];
    const ttlMs = failures.length === 0 ? OK_TTL_MS : Math.max(...failures.map((failure) => failure.ttlMs));
    const { nonce, tenant, database, table } = task.value;
    return {
      v: 1,
      nonce,
      failures,
      ttlMs,
      untilMs: this.#deps.clock.wallNow() + ttlMs,
      fence: term.fence,
      tenant,
      database,
      ...(table === undefined ? {} : { table }),
    };
  }

  /** With what is left of its time; less when the store already holds many, the rest is in the leader's memory. */
  #published({ untilMs, ...failure }: HeldFailure): FailureValue {
    const { view, clock, maxOutcomes } = this.#deps;
    const leftMs = Math.max(1, Math.round(untilMs - clock.now()));
    return {
      ...failure,
      code: cut(failure.code, MAX_CODE_BYTES),
      message: cut(failure.message, MAX_MESSAGE_BYTES),
      ttlMs: view.outs.size < maxOutcomes ? leftMs : Math.min(leftMs, MIN_LEASE_TTL_MS),
    };
  }

  async #pause(failures: number, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#deps;
    const waitMs = jitterMs(exponentialMs(RETRY_BASE_MS, RETRY_MAX_MS, failures), 0.2, random);
    await clock.sleep(waitMs, signal).catch(() => undefined);
  }
}

function statusOf(ending: Ending): Parameters<DdlMetrics['completed']>[0] {
  if (ending.kind === 'failure') return ending.failures[0].class;
  return ending.kind === 'drain' ? 'drained' : ending.kind;
}

/** The text, at most `maxBytes` of UTF-8, no character cut in two. */
function cut(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text.slice(0, maxBytes), 'utf8');
  if (bytes.length <= maxBytes) return text.slice(0, maxBytes);
  return bytes
    .subarray(0, maxBytes)
    .toString('utf8')
    .replace(/\ufffd+$/, '');
}
