/**
 * How fast this gateway may ask for new tables: a token bucket and a number of open submits, over all and for each
 * tenant. It refuses and never queues: a refused caller's rows are parked or sent again, a queue here would only
 * hide the overload. Own lines and not Bottleneck, which can refuse neither at once nor exactly and whose time tests
 * can't own. Buckets of tenants are bounded; one that was dropped starts full again, within the overall rate.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../model/clock.ts';
import { shortKey } from './keys.ts';
import type { ThrottleOptions } from './options.ts';

const MAX_TENANTS = 10_000;

/** `release` must be called once when the submit has ended; it gives back the place, not the token. */
export type Grant =
  | { readonly granted: true; readonly release: () => void }
  | { readonly granted: false; readonly retryAfterMs: number };

/** Submits that would be granted at this moment: as the buckets have it, and as places are free. */
export interface ThrottleRoom {
  readonly tokens: number;
  readonly places: number;
}

/** See the module comment. */
export interface Throttle {
  tryTake(tenant: string): Grant;
  /** Changes nothing. */
  room(tenant: string): ThrottleRoom;
}

/** Tokens that grow back with time; holds at most `burst`, from which it starts. */
interface Bucket {
  tokens: number;
  atMs: number;
}

/** Makes a throttle with full buckets. */
export function createThrottle(options: ThrottleOptions, clock: Clock): Throttle {
  const overall: Bucket = { tokens: options.burst, atMs: clock.now() };
  const tenants = new LRUCache<string, Bucket>({ max: MAX_TENANTS });
  const openByTenant = new Map<string, number>();
  let open = 0;

  function release(tenant: string): void {
    open--;
    const left = (openByTenant.get(tenant) ?? 1) - 1;
    if (left === 0) openByTenant.delete(tenant);
    else openByTenant.set(tenant, left);
  }

  /** The tenant's bucket, which is not remembered here; it and the overall one as they are now. */
  function refilled(tenant: string): Bucket {
    const nowMs = clock.now();
    const own = tenants.get(shortKey(tenant)) ?? { tokens: options.tenantBurst, atMs: nowMs };
    refill(own, options.tenantPerSec, options.tenantBurst, nowMs);
    refill(overall, options.perSec, options.burst, nowMs);
    return own;
  }

  return {
    room(tenant) {
      const own = refilled(tenant);
      const tokensOf = (bucket: Bucket, perSec: number): number =>
        perSec === 0 ? Infinity : Math.floor(bucket.tokens);
      const ofTenant = options.maxOpenPerTenant - (openByTenant.get(tenant) ?? 0);
      return {
        tokens: Math.min(tokensOf(own, options.tenantPerSec), tokensOf(overall, options.perSec)),
        places: Math.min(options.maxOpen - open, ofTenant),
      };
    },
    tryTake(tenant) {
      const openOfTenant = openByTenant.get(tenant) ?? 0;
      if (open >= options.maxOpen) return { granted: false, retryAfterMs: spacingMs(options.perSec) };
      if (openOfTenant >= options.maxOpenPerTenant) {
        return { granted: false, retryAfterMs: spacingMs(options.tenantPerSec) };
      }
      const own = refilled(tenant);
      const retryAfterMs = Math.max(untilOne(own, options.tenantPerSec), untilOne(overall, options.perSec));
      if (retryAfterMs > 0) return { granted: false, retryAfterMs };
      own.tokens--;
      overall.tokens--;
      tenants.set(shortKey(tenant), own);
      open++;
      openByTenant.set(tenant, openOfTenant + 1);
      return { granted: true, release: () => release(tenant) };
    },
  };
}

function refill(bucket: Bucket, perSec: number, burst: number, nowMs: number): void {
  const grown = bucket.tokens + ((nowMs - bucket.atMs) / 1_000) * perSec;
  bucket.tokens = perSec === 0 ? burst : Math.min(burst, grown);
  bucket.atMs = nowMs;
}

/** Without a rate it is a place that is waited for, which has no known time. */
function spacingMs(perSec: number): number {
  return 1_000 / (perSec === 0 ? 1 : perSec);
}

function untilOne(bucket: Bucket, perSec: number): number {
  return bucket.tokens >= 1 ? 0 : ((1 - bucket.tokens) / perSec) * 1_000;
}
