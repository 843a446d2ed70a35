/**
 * A store that fails on request, over any other: the network between a gateway and etcd, for tests and simulations.
 * A plan decides per call, so one may be a script, another seeded chance. With no plan it is transparent.
 */
import type { Clock } from '../model/clock.ts';
import { createAbortController } from '../util/abort.ts';
import type { Random } from '../util/backoff.ts';
import {
  type Lease,
  type RangeQuery,
  type RangeResult,
  type Store,
  StoreError,
  type StoreStatus,
  type Txn,
  type TxnLabel,
  type TxnResult,
  type WatchEnd,
  type WatchHandler,
} from './store.ts';

/** A call about to be made. */
export interface StoreCall {
  readonly method: 'range' | 'txn' | 'grant' | 'keepAlive' | 'revoke' | 'compact' | 'status';
  readonly label: TxnLabel | undefined;
}

/**
 * What goes wrong. `fail`: not applied, `unavailable`. `drop`: applied, then `unavailable`. `late`: `unavailable` at
 * once, applied after `ms`. `delay`: applied and answered after `ms`. `black_hole`: not applied, `unavailable` after
 * the driver's deadline.
 */
export type Fault =
  | { readonly kind: 'fail' | 'drop' | 'black_hole' }
  | { readonly kind: 'late' | 'delay'; readonly ms: number };

/** Decides about each call; undefined: nothing goes wrong. */
export type FaultPlan = (call: StoreCall) => Fault | undefined;

/** See the module comment. */
export interface FaultStore extends Store {
  plan: FaultPlan | undefined;
  /** Ends every watch that stands. */
  breakWatches(reason: WatchEnd): void;
  /** Keeps events back, in silence, until `releaseWatches`. */
  holdWatches(): void;
  releaseWatches(): void;
  /** The process behind it is gone: no call settles and no event comes, ever again. */
  kill(): void;
}

/** Wraps a store; `timeoutMs` is the deadline of calls that vanish (default 5_000). */
export function createFaultStore(deps: { store: Store; clock: Clock }, timeoutMs = 5_000): FaultStore {
  return new FaultyStore(deps.store, deps.clock, timeoutMs);
}

/** Chances per call, each 0 to 1; the rest goes well. */
export interface FaultRates {
  readonly fail: number;
  readonly drop: number;
  readonly late: number;
  readonly delay: number;
  /** Longest of the delays, evenly spread. */
  readonly maxDelayMs: number;
}

/** A plan by chance; the same random source gives the same faults for the same calls. */
export function chancePlan(random: Random, rates: FaultRates): FaultPlan {
  return () => {
    let dice = random();
    const ms = 1 + Math.floor(random() * rates.maxDelayMs);
    for (const kind of ['fail', 'drop', 'late', 'delay'] as const) {
      dice -= rates[kind];
      if (dice < 0) return kind === 'fail' || kind === 'drop' ? { kind } : { kind, ms };
    }
    return undefined;
  };
}

class FaultyStore implements FaultStore {
  plan: FaultPlan | undefined = undefined;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #closing = createAbortController();
  readonly #watches = new Set<(reason: WatchEnd) => void>();
  #held: (() => void)[] | undefined;
  #killed = false;

  constructor(store: Store, clock: Clock, timeoutMs: number) {
    this.#store = store;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  range(query: RangeQuery, signal: AbortSignal): Promise<RangeResult> {
    return this.#call({ method: 'range', label: undefined }, signal, (s) => this.#store.range(query, s));
  }

  txn(txn: Txn, signal: AbortSignal): Promise<TxnResult> {
    return this.#call({ method: 'txn', label: txn.label }, signal, (s) => this.#store.txn(txn, s));
  }

  grant(ttlMs: number, signal: AbortSignal): Promise<Lease> {
    return this.#call({ method: 'grant', label: undefined }, signal, (s) => this.#store.grant(ttlMs, s));
  }

  keepAlive(leaseId: string, signal: AbortSignal): Promise<void> {
    return this.#call({ method: 'keepAlive', label: undefined }, signal, (s) =>
      this.#store.keepAlive(leaseId, s),
    );
  }

  revoke(leaseId: string, signal: AbortSignal): Promise<void> {
    return this.#call({ method: 'revoke', label: undefined }, signal, (s) => this.#store.revoke(leaseId, s));
  }

  compact(revision: number, signal: AbortSignal): Promise<void> {
    return this.#call({ method: 'compact', label: undefined }, signal, (s) =>
      this.#store.compact(revision, s),
    );
  }

  status(signal: AbortSignal): Promise<StoreStatus> {
    return this.#call({ method: 'status', label: undefined }, signal, (s) => this.#store.status(s));
  }

  watch(prefix: string, fromRev: number, handler: WatchHandler): () => void {
    let running = true;
    const deliver = (event: () => void): void => {
      const ifRunning = (): void => {
        if (running && !this.#killed) event();
      };
      if (this.#held === undefined) ifRunning();
      else this.#held.push(ifRunning);
    };
    const stop = (): void => {
      running = false;
      this.#watches.delete(end);
      stopInner();
    };
    const end = (reason: WatchEnd): void => {
      stop();
      if (!this.#killed) handler.onEnd(reason);
    };
    const stopInner = this.#store.watch(prefix, fromRev, {
      onOpen: (rev) => deliver(() => handler.onOpen(rev)),
      onBatch: (rev, events) => deliver(() => handler.onBatch(rev, events)),
      onEnd: (reason) => deliver(() => end(reason)),
    });
    this.#watches.add(end);
    return stop;
  }

  breakWatches(reason: WatchEnd): void {
    for (const end of this.#watches) end(reason);
  }

  holdWatches(): void {
    this.#held ??= [];
  }

  releaseWatches(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const event of held) event();
  }

  kill(): void {
    this.#killed = true;
    this.breakWatches('lost');
    this.#closing.abort();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    for (const end of this.#watches) this.#watches.delete(end);
    await this.#store.close();
  }

  async #call<T>(
    call: StoreCall,
    signal: AbortSignal,
    apply: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    if (this.#killed) return never();
    const answer = await this.#faulty(this.plan?.(call), signal, apply);
    return this.#killed ? never() : answer;
  }

  async #faulty<T>(
    fault: Fault | undefined,
    signal: AbortSignal,
    apply: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    if (fault === undefined) return apply(signal);
    if (fault.kind === 'delay') {
      await this.#clock.sleep(fault.ms, signal);
      return apply(signal);
    }
    if (fault.kind === 'drop') await apply(signal);
    if (fault.kind === 'late') void this.#applyLate(fault.ms, apply);
    if (fault.kind === 'black_hole') await this.#clock.sleep(this.#timeoutMs, signal);
    throw new StoreError('unavailable', `injected fault: ${fault.kind}`);
  }

  /** What was on its way when the caller gave up arrives all the same; nobody hears of the answer. */
  async #applyLate(ms: number, apply: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
    try {
      await this.#clock.sleep(ms, this.#closing.signal);
      await apply(this.#closing.signal);
    } catch {
      // Refused or closed meanwhile: the same as never arrived.
    }
  }
}

function never(): Promise<never> {
  return new Promise<never>(() => undefined);
}
