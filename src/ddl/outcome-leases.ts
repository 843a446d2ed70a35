/**
 * Leases that many outcomes share: a lease per key would cost a call and, when thousands expire, seconds; puts on
 * one lease slow down with its keys (etcd #15993). So there is a bucket per length of life, a new one every 2 s or 500
 * keys. A bucket lives at least as long as the outcomes put on it; nobody keeps it alive.
 */
import type { Clock } from '../model/clock.ts';
import type { Store } from './store.ts';

const ROTATE_MS = 2_000;
const ROTATE_KEYS = 500;

interface Bucket {
  readonly lease: Promise<string>;
  readonly openedMs: number;
  keys: number;
}

/** See the module comment. */
export class OutcomeLeases {
  readonly #buckets = new Map<number, Bucket>();
  readonly #store: Store;
  readonly #clock: Clock;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** A lease for one more key that is to live `ttlMs`. @throws {StoreError} as `Store.grant` */
  async leaseFor(ttlMs: number, signal: AbortSignal): Promise<string> {
    // Powers of two, so that there are few buckets.
    const lifeMs = 1_000 * 2 ** Math.ceil(Math.log2(Math.max(1, ttlMs / 1_000)));
    const nowMs = this.#clock.now();
    let bucket = this.#buckets.get(lifeMs);
    if (bucket === undefined || nowMs - bucket.openedMs >= ROTATE_MS || bucket.keys >= ROTATE_KEYS) {
      const granted = this.#store.grant(lifeMs + ROTATE_MS, signal);
      bucket = { lease: granted.then(({ id }) => id), openedMs: nowMs, keys: 0 };
      this.#buckets.set(lifeMs, bucket);
    }
    bucket.keys++;
    try {
      return await bucket.lease;
    } catch (error) {
      if (this.#buckets.get(lifeMs) === bucket) this.#buckets.delete(lifeMs);
      throw error;
    }
  }

  /** Forgets the buckets, after one was found to be gone. */
  reset(): void {
    this.#buckets.clear();
  }
}
