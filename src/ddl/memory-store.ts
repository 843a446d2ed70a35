/**
 * The store in this process: multi-version, with the semantics (and the limits and refusals) of etcd, so that the
 * queue on one gateway runs the same code as on many. Nothing survives the process. History is bounded: beyond
 * `maxHistory` revisions the oldest are compacted, and a watch that was behind them ends as `compacted`.
 *
 * A call is applied as a whole in one turn; answers and events arrive later, as from a server.
 */
import type { Clock } from '../model/clock.ts';
import { createMemoryHistory, type MemoryHistory } from './memory-history.ts';
import { createMemoryLeases, type MemoryLeases } from './memory-leases.ts';
import { startMemoryWatch } from './memory-watch.ts';
import {
  type Compare,
  type KeyValue,
  type Lease,
  type Op,
  type RangeQuery,
  type RangeResult,
  type Store,
  StoreError,
  type StoreStatus,
  type Txn,
  type TxnResult,
  type WatchEvent,
  type WatchHandler,
} from './store.ts';
import { checkRange, checkTxn, requestBytes } from './store-checks.ts';

/** Options of the memory store. */
export interface MemoryStoreOptions {
  /** Bytes of keys and values, all versions kept; a put beyond it raises the alarm. Undefined: no quota. */
  readonly quotaBytes?: number | undefined;
  /** Revisions kept before the oldest are compacted by themselves; default 1_000, 1 or more. */
  readonly maxHistory?: number | undefined;
}

/** The memory store, and what an operator does to etcd by hand. */
export interface MemoryStore extends Store {
  /** Takes the nospace alarm back, as `etcdctl alarm disarm`. */
  disarm(): void;
}

/** An empty store at revision 1, as a fresh etcd. */
export function createMemoryStore(deps: { clock: Clock }, options: MemoryStoreOptions = {}): MemoryStore {
  return new InProcessStore(deps.clock, options);
}

class InProcessStore implements MemoryStore {
  readonly #history: MemoryHistory;
  readonly #leases: MemoryLeases;
  readonly #watches = new Set<() => void>();
  readonly #quotaBytes: number | undefined;
  #nospace = false;
  #closed = false;

  constructor(clock: Clock, options: MemoryStoreOptions) {
    this.#quotaBytes = options.quotaBytes;
    this.#history = createMemoryHistory(options.maxHistory ?? 1_000);
    this.#leases = createMemoryLeases(clock, (keys) => this.#deleteAll(keys));
  }

  async range(query: RangeQuery, signal: AbortSignal): Promise<RangeResult> {
    this.#enter(signal);
    checkRange(query);
    return this.#history.range(query);
  }

  async txn(txn: Txn, signal: AbortSignal): Promise<TxnResult> {
    this.#enter(signal);
    checkTxn(txn);
    this.#checkQuota(txn);
    const ok = txn.compare.every((compare) => this.#holds(compare));
    const ops = ok ? txn.success : (txn.failure ?? []);
    for (const op of ops) {
      if (op.op === 'put' && op.lease !== undefined) this.#leases.check(op.lease);
    }
    return { ok, ...this.#apply(ops) };
  }

  async grant(ttlMs: number, signal: AbortSignal): Promise<Lease> {
    this.#enter(signal);
    if (this.#nospace) throw nospace();
    return this.#leases.grant(ttlMs);
  }

  async keepAlive(leaseId: string, signal: AbortSignal): Promise<void> {
    this.#enter(signal);
    this.#leases.keepAlive(leaseId);
  }

  async revoke(leaseId: string, signal: AbortSignal): Promise<void> {
    this.#enter(signal);
    this.#leases.revoke(leaseId);
  }

  watch(prefix: string, fromRev: number, handler: WatchHandler): () => void {
    const stop = startMemoryWatch(this.#history, {
      prefix,
      fromRev,
      handler,
      onStopped: () => this.#watches.delete(stop),
    });
    this.#watches.add(stop);
    return stop;
  }

  async compact(revision: number, signal: AbortSignal): Promise<void> {
    this.#enter(signal);
    this.#history.compact(revision);
  }

  async status(signal: AbortSignal): Promise<StoreStatus> {
    this.#enter(signal);
    return {
      rev: this.#history.rev,
      dbSizeBytes: this.#history.bytes,
      quotaBytes: this.#quotaBytes,
      nospace: this.#nospace,
    };
  }

  disarm(): void {
    this.#nospace = false;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#leases.close();
    for (const stop of this.#watches) stop();
    this.#watches.clear();
  }

  #enter(signal: AbortSignal): void {
    signal.throwIfAborted();
    if (this.#closed) throw new StoreError('closed', 'the store is closed');
  }

  #holds(compare: Compare): boolean {
    const kv = this.#history.current(compare.key);
    return 'create' in compare ? (kv?.create ?? 0) === compare.create : (kv?.mod ?? 0) === compare.mod;
  }

  #checkQuota(txn: Txn): void {
    const putsIn = (ops: readonly Op[] | undefined): boolean => ops?.some((op) => op.op === 'put') ?? false;
    if (!putsIn(txn.success) && !putsIn(txn.failure)) return;
    if (this.#quotaBytes !== undefined && this.#history.bytes + requestBytes(txn) > this.#quotaBytes)
      this.#nospace = true;
    if (this.#nospace) throw nospace();
  }

  #apply(ops: readonly Op[]): { rev: number; found: Map<string, KeyValue> } {
    const rev = this.#history.rev + 1;
    const found = new Map<string, KeyValue>();
    const changed = new Map<string, WatchEvent>();
    const read = (key: string): KeyValue | undefined => {
      const event = changed.get(key);
      return event === undefined ? this.#history.current(key) : event.kv;
    };
    for (const op of ops) {
      const before = read(op.key);
      if (op.op === 'get') {
        if (before !== undefined) found.set(op.key, before);
      } else if (op.op === 'put') {
        const kv = { key: op.key, value: op.value, create: before?.create ?? rev, mod: rev, lease: op.lease };
        changed.set(op.key, { key: op.key, kv });
      } else if (before !== undefined) {
        changed.set(op.key, { key: op.key, kv: undefined });
      }
    }
    this.#commit([...changed.values()]);
    return { rev: this.#history.rev, found };
  }

  #deleteAll(keys: readonly string[]): void {
    this.#commit(keys.map((key) => ({ key, kv: undefined })));
  }

  #commit(events: readonly WatchEvent[]): void {
    if (events.length === 0) return;
    for (const { key, kv } of events) this.#leases.bind(key, kv?.lease);
    this.#history.commit(events);
  }
}

function nospace(): StoreError {
  return new StoreError('nospace', 'database space exceeded');
}
