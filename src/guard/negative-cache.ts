/**
 * What could not be made, as the DDL queue published it: per table (or database) a few results, told apart by the
 * columns that were wanted. Bounded in entries and bytes, for the names come from clients.
 *
 * A result is `fresh` until its own time is up. A permanent one speaks for exactly the columns it was got with; a
 * transient one for the whole table; so do `MAX_VARIANTS` permanent ones, or else a client that varies its columns
 * would get an attempt for each. After its time a result stays for a while as `expired`: the guard lets one caller
 * try again and defers the others while that attempt runs (half-open). The queue's events fill and clear it.
 */
import { LRUCache } from 'lru-cache';
import type { Verdict } from '../model/admission.ts';
import type { Clock } from '../model/clock.ts';
import type { DdlOutcome } from '../model/ddl-queue.ts';
import { shortKey } from './keys.ts';
import type { CacheBounds } from './options.ts';
import { type Defer, rejected } from './verdict.ts';

/** How a task failed. */
export type DdlFailure = Extract<DdlOutcome, { kind: 'error' }>;

/** Distinct sets of columns that may fail for one table before all wants for it are held back. */
export const MAX_VARIANTS = 8;

/** How long an expired result is kept to make the next attempt a single one. */
const EXPIRED_KEEP_MS = 60_000;

interface Negative {
  readonly failure: DdlFailure;
  readonly untilMs: number;
}

/** By `shortKey` of the wants' fingerprint. Never changed once in the cache, which counts its bytes at entry. */
type Variants = ReadonlyMap<string, Negative>;

const NONE: Variants = new Map();

/** A verdict, or `expired`: one attempt may be made. */
export type NegativeAnswer = Verdict | 'expired';

/** See the module comment. Keys are `targetKey`s. */
export interface NegativeCache {
  /** Undefined: nothing is held against these wants, whose fingerprint is asked for only when it matters. */
  lookup(key: string, wants: () => string): NegativeAnswer | undefined;
  /** Stands for all that is held against the target: another object when that has changed. */
  peek(key: string): object | undefined;
  /** True when something failed of late, even if it no longer holds. */
  has(key: string): boolean;
  put(key: string, failure: DdlFailure): void;
  /** The results no longer hold. That there were some is remembered a while longer: see `has`. */
  clear(key: string): void;
  /** What failed has succeeded. */
  forget(key: string): void;
  stats(): { readonly negatives: number; readonly negativeBytes: number };
}

/** Makes an empty cache. */
export function createNegativeCache(bounds: CacheBounds, clock: Clock, defer: Defer): NegativeCache {
  // ttlResolution 0: otherwise lru-cache keeps the time for a real millisecond, whatever the clock says.
  const cache = new LRUCache<string, Variants>({
    max: bounds.maxEntries,
    maxSize: bounds.maxBytes,
    sizeCalculation: bytesOf,
    ttlResolution: 0,
    perf: clock,
  });

  return {
    lookup(key, wants) {
      const variants = cache.get(shortKey(key));
      if (variants === undefined) return undefined;
      const nowMs = clock.now();
      const fresh = [...variants.values()].filter((negative) => negative.untilMs > nowMs);
      if (fresh.length === 0) return variants.size > 0 ? 'expired' : undefined;
      const transient = fresh.find((negative) => negative.failure.class === 'transient');
      // One transient result speaks for the table, whatever is wanted.
      const exact =
        transient !== undefined && fresh.length === 1 ? transient : variants.get(shortKey(wants()));
      if (exact !== undefined && exact.untilMs > nowMs) {
        return failureVerdict(exact.failure, exact.untilMs - nowMs, defer);
      }
      const block = transient ?? (fresh.length >= MAX_VARIANTS ? soonest(fresh) : undefined);
      if (block !== undefined) return backoff(block.failure, block.untilMs - nowMs, defer);
      return fresh.length < variants.size ? 'expired' : undefined;
    },
    peek: (key) => cache.peek(shortKey(key)),
    has: (key) => cache.has(shortKey(key)),
    put(key, failure) {
      const untilMs = clock.now() + failure.ttlMs;
      const variants = new Map(cache.peek(shortKey(key)));
      variants.set(shortKey(failure.wants), { failure: { ...failure, wants: '' }, untilMs });
      if (variants.size > MAX_VARIANTS) dropSoonest(variants);
      const lastMs = Math.max(...[...variants.values()].map((negative) => negative.untilMs));
      cache.set(shortKey(key), variants, { ttl: lastMs - clock.now() + EXPIRED_KEEP_MS });
    },
    clear(key) {
      if (cache.has(shortKey(key))) cache.set(shortKey(key), NONE, { ttl: EXPIRED_KEEP_MS });
    },
    forget(key) {
      cache.delete(shortKey(key));
    },
    stats: () => ({ negatives: cache.size, negativeBytes: cache.calculatedSize }),
  };
}

/** The verdict on wants that failed like this; `leftMs`: until they may be tried again. */
export function failureVerdict(failure: DdlFailure, leftMs: number, defer: Defer): Verdict {
  if (failure.class === 'transient') return backoff(failure, leftMs, defer);
  return rejected('ddl_failed', textOf(failure));
}

function backoff(failure: DdlFailure, leftMs: number, defer: Defer): Verdict {
  return defer('ddl_backoff', textOf(failure), leftMs);
}

function textOf(failure: DdlFailure): string {
  return `the database refused it: ${failure.message} (${failure.code})`;
}

function soonest(negatives: readonly Negative[]): Negative {
  return negatives.reduce((first, other) => (other.untilMs < first.untilMs ? other : first));
}

function dropSoonest(variants: Map<string, Negative>): void {
  const first = soonest([...variants.values()]);
  for (const [wants, negative] of variants) {
    if (negative === first) variants.delete(wants);
  }
}

/** Rough heap size: two bytes a character and the objects around it. */
function bytesOf(variants: Variants, key: string): number {
  let bytes = 400 + key.length * 2;
  for (const [wants, { failure }] of variants) {
    bytes += 300 + (wants.length + failure.message.length + failure.code.length) * 2;
  }
  return bytes;
}
