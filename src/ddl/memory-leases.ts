/** The leases of the memory store: each sleeps until it is due, then its keys are deleted together. */
import type { Clock } from '../model/clock.ts';
import { type Lease, MIN_LEASE_TTL_MS, StoreError } from './store.ts';

interface LiveLease extends Lease {
  dueMs: number;
  readonly keys: Set<string>;
  readonly ended: AbortController;
}

/** See the module comment. */
export interface MemoryLeases {
  grant(ttlMs: number): Lease;
  /** @throws {StoreError} lease_not_found */
  check(id: string): void;
  /** @throws {StoreError} lease_not_found */
  keepAlive(id: string): void;
  /** @throws {StoreError} lease_not_found */
  revoke(id: string): void;
  /** Notes that the key now belongs to this lease, or (undefined) to none. */
  bind(key: string, id: string | undefined): void;
  close(): void;
}

/** No leases yet; `onEnd` is told the keys of each lease that expires or is revoked. */
export function createMemoryLeases(clock: Clock, onEnd: (keys: readonly string[]) => void): MemoryLeases {
  return new SleepingLeases(clock, onEnd);
}

class SleepingLeases implements MemoryLeases {
  readonly #clock: Clock;
  readonly #onEnd: (keys: readonly string[]) => void;
  readonly #leases = new Map<string, LiveLease>();
  readonly #leaseOfKey = new Map<string, LiveLease>();
  #granted = 0;

  constructor(clock: Clock, onEnd: (keys: readonly string[]) => void) {
    this.#clock = clock;
    this.#onEnd = onEnd;
  }

  grant(askedMs: number): Lease {
    const ttlMs = Math.max(MIN_LEASE_TTL_MS, Math.ceil(askedMs / 1_000) * 1_000);
    const id = String(++this.#granted);
    const lease = {
      id,
      ttlMs,
      dueMs: this.#clock.now() + ttlMs,
      keys: new Set<string>(),
      ended: new AbortController(),
    };
    this.#leases.set(id, lease);
    void this.#expire(lease);
    return { id, ttlMs };
  }

  check(id: string): void {
    this.#get(id);
  }

  keepAlive(id: string): void {
    const lease = this.#get(id);
    lease.dueMs = this.#clock.now() + lease.ttlMs;
  }

  revoke(id: string): void {
    this.#end(this.#get(id));
  }

  bind(key: string, id: string | undefined): void {
    this.#leaseOfKey.get(key)?.keys.delete(key);
    this.#leaseOfKey.delete(key);
    if (id === undefined) return;
    const lease = this.#get(id);
    lease.keys.add(key);
    this.#leaseOfKey.set(key, lease);
  }

  close(): void {
    for (const lease of this.#leases.values()) lease.ended.abort();
    this.#leases.clear();
  }

  async #expire(lease: LiveLease): Promise<void> {
    try {
      while (this.#clock.now() < lease.dueMs) {
        await this.#clock.sleep(lease.dueMs - this.#clock.now(), lease.ended.signal);
      }
    } catch {
      return; // Revoked, or the store was closed.
    }
    this.#end(lease);
  }

  #end(lease: LiveLease): void {
    if (!this.#leases.delete(lease.id)) return;
    lease.ended.abort();
    this.#onEnd([...lease.keys]);
  }

  #get(id: string): LiveLease {
    const lease = this.#leases.get(id);
    if (lease === undefined) throw new StoreError('lease_not_found', `lease ${id} not found`);
    return lease;
  }
}
