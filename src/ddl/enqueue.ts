/**
 * Transaction T1: makes a task for a target, if there is none, nothing forbids it, and slots are free; all of it
 * decided by the store, so that no number of gateways can make two tasks for a table or more tasks than slots. What the
 * view already shows (an open task, a back-off, a breaker, no slot) is answered without a call. An answer that got
 * lost is read back by the task's nonce; a task made after that is harmless, it is still the only one.
 */
import type { Clock } from '../model/clock.ts';
import { type DdlOutcome, type DdlRefusal, type DdlRequest, fingerprint } from '../model/ddl-queue.ts';
import type { Logger } from '../model/logger.ts';
import {
  type BreakerValue,
  type DdlValue,
  decodeValue,
  encodeValue,
  type FailureValue,
  type OutValue,
  requestFields,
  type TaskValue,
} from './codec.ts';
import { blockingFailure } from './failure-rules.ts';
import type { DdlKeys } from './keys.ts';
import type { DdlMetrics } from './metrics.ts';
import type { PickedSlots, SlotPool } from './slot-pool.ts';
import {
  absent,
  type Compare,
  type KeyValue,
  type Store,
  storeErrorKind,
  type Txn,
  type TxnResult,
} from './store.ts';
import type { DdlView, Entry } from './view.ts';
import { failureOutcome } from './waiters.ts';

/** Other slots are tried this often when the chosen ones turn out to be taken. */
const MAX_TRIES = 8;
/** Longest encoded task: 256 of them are 8 MiB. Columns beyond it are left for the next task. */
const MAX_TASK_BYTES = 32 * 1024;
/** When it is worth asking again, where nothing says better. */
export const RETRY_MS = 1_000;

/** What came of a submit; for `submitted` and `joined`, the task was in the store at `rev`. */
export type EnqueueResult =
  | { readonly kind: 'submitted' | 'joined'; readonly nonce: string; readonly rev: number }
  | { readonly kind: 'known'; readonly outcome: DdlOutcome }
  | {
      readonly kind: 'refused';
      readonly reason: DdlRefusal;
      readonly retryAfterMs: number;
      /** The store has no space left. */
      readonly nospace?: boolean;
    };

/** What enqueueing works with. */
export interface EnqueueDeps {
  readonly store: Store;
  readonly keys: DdlKeys;
  readonly view: DdlView;
  readonly slots: SlotPool;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: DdlMetrics;
  readonly gatewayId: string;
  /** Resolves when the view has the revision. */
  readonly reached: (rev: number) => Promise<void>;
}

/** The keys that decide about one target. */
interface TargetKeys {
  readonly task: string;
  readonly out: string;
  readonly breakers: readonly string[];
}

/** What lies under them; a missing key is not in it. */
type Standing = ReadonlyMap<string, Entry<DdlValue>>;

/** One try: what it is for, and what it goes by. */
interface Plan {
  readonly request: DdlRequest;
  readonly nonce: string;
  readonly keys: TargetKeys;
  readonly picked: PickedSlots;
  readonly standing: Standing;
}

/** Makes tasks; see the module comment. */
export class Enqueuer {
  readonly #deps: EnqueueDeps;

  constructor(deps: EnqueueDeps) {
    this.#deps = deps;
  }

  /** What the view alone says about a request; undefined: the store must be asked. */
  lookUp(request: DdlRequest, rev: number): EnqueueResult | undefined {
    const keys = this.#targetKeys(request);
    return this.#judge(request, keys, { standing: this.#viewStanding(keys), rev });
  }

  /** Makes the task under this nonce, or says why not. Never rejects. */
  async enqueue(request: DdlRequest, nonce: string, signal: AbortSignal): Promise<EnqueueResult> {
    const keys = this.#targetKeys(request);
    let standing = this.#viewStanding(keys);
    const knownOut = standing.get(keys.out)?.mod;
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const picked = this.#deps.slots.pick(request.tenant);
      if (typeof picked === 'string') return { kind: 'refused', reason: picked, retryAfterMs: RETRY_MS };
      const result = await this.#tryOnce({ request, nonce, keys, picked, standing }, signal);
      if ('kind' in result) return result;
      try {
        standing = decodeAll(result.found);
      } catch (error) {
        this.#deps.logger.debug({ err: error }, 'unreadable value in the DDL queue');
        return { kind: 'refused', reason: 'unavailable', retryAfterMs: RETRY_MS };
      }
      const verdict = this.#judge(request, keys, { standing, rev: result.rev, nonce });
      if (verdict !== undefined) return verdict;
      // The table was made just now, by others: let the caller look at it before it asks for more.
      const out = standing.get(keys.out);
      if (out !== undefined && out.mod !== knownOut && (out.value as OutValue).failures.length === 0) {
        return { kind: 'known', outcome: { kind: 'ok' } };
      }
      this.#deps.metrics.retried('enqueue');
    }
    return { kind: 'refused', reason: 'full', retryAfterMs: RETRY_MS };
  }

  async #tryOnce(plan: Plan, signal: AbortSignal): Promise<EnqueueResult | TxnResult> {
    const { nonce, keys, picked } = plan;
    try {
      const result = await this.#deps.store.txn(this.#transaction(plan), signal);
      if (!result.ok) {
        picked.release();
        return result;
      }
      // Ours until the view shows them as taken.
      void this.#deps.reached(result.rev).finally(() => picked.release());
      return { kind: 'submitted', nonce, rev: result.rev };
    } catch (error) {
      picked.release();
      const kind = storeErrorKind(error);
      if (kind === 'unavailable') return this.#readBack(keys.task, nonce, signal);
      this.#deps.logger.debug({ err: error }, 'a DDL task could not be queued');
      return { kind: 'refused', reason: 'unavailable', retryAfterMs: RETRY_MS, nospace: kind === 'nospace' };
    }
  }

  #transaction(plan: Plan): Txn {
    const { request, nonce, keys, picked, standing } = plan;
    const unchanged = (key: string): Compare => {
      const seen = standing.get(key);
      return seen === undefined ? absent(key) : { key, mod: seen.mod };
    };
    const slotValue = encodeValue({ v: 1, task: keys.task });
    const out = standing.get(keys.out);
    return {
      label: 'enqueue',
      compare: [
        absent(keys.task),
        absent(picked.slot),
        absent(picked.tenantSlot),
        ...[keys.out, ...keys.breakers].map(unchanged),
      ],
      success: [
        { op: 'put', key: keys.task, value: this.#encodeTask(request, nonce, picked) },
        { op: 'put', key: picked.slot, value: slotValue },
        { op: 'put', key: picked.tenantSlot, value: slotValue },
        // An outcome that no longer holds makes room for the next; one that holds, for other wants, stays.
        ...(out !== undefined && this.#holding(out).length === 0
          ? [{ op: 'delete' as const, key: keys.out }]
          : []),
      ],
      failure: [keys.task, keys.out, ...keys.breakers].map((key) => ({ op: 'get', key })),
    };
  }

  /** The answer was lost: whose task is it? */
  async #readBack(taskKey: string, nonce: string, signal: AbortSignal): Promise<EnqueueResult> {
    try {
      const { kvs, rev } = await this.#deps.store.range({ key: taskKey }, signal);
      const kv = kvs[0];
      if (kv !== undefined) {
        const found = (decodeValue(kv.key, kv.value) as TaskValue).nonce;
        return { kind: found === nonce ? 'submitted' : 'joined', nonce: found, rev };
      }
    } catch (error) {
      this.#deps.logger.debug({ err: error }, 'a DDL task could not be read back');
    }
    return { kind: 'refused', reason: 'unavailable', retryAfterMs: RETRY_MS };
  }

  /** Decides by what lies under the target's keys; undefined: a task may be made. */
  #judge(
    request: DdlRequest,
    keys: TargetKeys,
    seen: { readonly standing: Standing; readonly rev: number; readonly nonce?: string },
  ): EnqueueResult | undefined {
    const { standing, rev } = seen;
    const task = standing.get(keys.task)?.value as TaskValue | undefined;
    if (task !== undefined) {
      return { kind: task.nonce === seen.nonce ? 'submitted' : 'joined', nonce: task.nonce, rev };
    }
    for (const key of keys.breakers) {
      const breaker = standing.get(key);
      const leftMs = breaker === undefined ? 0 : this.#leftMs(breaker, breaker.value as BreakerValue);
      if (leftMs > 0) return { kind: 'refused', reason: 'breaker', retryAfterMs: leftMs };
    }
    const out = standing.get(keys.out);
    const holding = out === undefined ? [] : this.#holding(out);
    if (out === undefined || holding.length === 0) return undefined;
    const failure = blockingFailure(holding, fingerprint(request.columns));
    if (failure === undefined) return undefined;
    return { kind: 'known', outcome: failureOutcome(failure, this.#leftMs(out, failure)) };
  }

  /** The failures of an outcome that hold now. */
  #holding(out: Entry<DdlValue>): readonly FailureValue[] {
    return (out.value as OutValue).failures.filter((failure) => this.#leftMs(out, failure) > 0);
  }

  #leftMs(entry: Pick<KeyValue, 'key' | 'mod'>, { ttlMs }: { readonly ttlMs: number }): number {
    return this.#deps.view.seenMs(entry) + ttlMs - this.#deps.clock.now();
  }

  #targetKeys({ tenant, database, table }: DdlRequest): TargetKeys {
    const { keys } = this.#deps;
    return {
      task: keys.task(database, table),
      out: keys.out(database, table),
      breakers: [keys.breakerAll, keys.breaker(tenant)],
    };
  }

  #viewStanding(keys: TargetKeys): Standing {
    const { tasks, outs, breakers } = this.#deps.view;
    const entries = [
      tasks.get(keys.task),
      outs.get(keys.out),
      ...keys.breakers.map((key) => breakers.get(key)),
    ];
    return new Map(entries.filter((entry) => entry !== undefined).map((entry) => [entry.key, entry]));
  }

  #encodeTask(request: DdlRequest, nonce: string, picked: PickedSlots): string {
    const base = {
      v: 1 as const,
      nonce,
      slot: picked.slot,
      tenantSlot: picked.tenantSlot,
      gateway: this.#deps.gatewayId,
      atMs: this.#deps.clock.wallNow(),
      ...requestFields(request),
    };
    return encodeValue({ ...base, columns: fitting(request, encodeValue({ ...base, columns: [] })) });
  }
}

/** The first columns, as many as the task has room for, one at least. */
function fitting(request: DdlRequest, encodedWithout: string): DdlRequest['columns'] {
  let room = MAX_TASK_BYTES - Buffer.byteLength(encodedWithout);
  const cut = request.columns.findIndex((column, index) => {
    room -= Buffer.byteLength(JSON.stringify(column)) + 1;
    return room < 0 && index > 0;
  });
  return cut === -1 ? request.columns : request.columns.slice(0, cut);
}

function decodeAll(found: ReadonlyMap<string, KeyValue>): Standing {
  return new Map([...found.values()].map((kv) => [kv.key, { ...kv, value: decodeValue(kv.key, kv.value) }]));
}
