/**
 * The tables that are known to exist, as the database described them; bounded in entries and bytes. Also which
 * tables are known to be absent, for a short while.
 *
 * Guarantees: one lookup per table at a time; a lookup that began before the last invalidation changes nothing;
 * an entry that left the cache, or whose columns changed, is never `live` again, so that every pointer to it
 * (`Table.admittedBy` ...) fails at once. It does not notice by itself that a table was dropped: an entry in use
 * is refreshed behind the traffic after its soft TTL, and the guard invalidates on write errors and queue events.
 */
import { LRUCache } from 'lru-cache';
import type { Verdict } from '../model/admission.ts';
import type { Clock } from '../model/clock.ts';
import type { ColumnSpec } from '../model/column.ts';
import type { TableId, TableSchema } from '../model/table.ts';
import { tableKey } from '../model/table.ts';
import { jitterMs, type Random } from '../util/backoff.ts';
import type { Described, Describer } from './describer.ts';
import { shortKey } from './keys.ts';
import type { RegistryOptions } from './options.ts';
import { createSingleFlight } from './single-flight.ts';
import type { Defer } from './verdict.ts';

/** With keys of at most 256 characters about 15 MiB. */
const MAX_ABSENT = 20_000;
const BUSY_RETRY_MS = 1_000;

/** A table that exists. Immutable but for the fields below, which only the registry writes. */
export class KnownTable {
  readonly id: TableId;
  readonly key: string;
  readonly columns: ReadonlyMap<string, ColumnSpec>;
  /** False for ever once it left the registry. */
  live = true;
  /** The registry's tick at which it was last used. */
  tick = 0;
  /** When the database last said so, and when to ask again; monotonic milliseconds. */
  seenAtMs = 0;
  refreshAtMs = 0;

  constructor(id: TableId, schema: TableSchema) {
    this.id = id;
    this.key = tableKey(id);
    this.columns = new Map(schema.columns.map((column) => [column.name, column]));
  }
}

/** How a lookup ended; `stale`: an invalidation overtook it, so look again. */
export type Loaded = Described | { readonly kind: 'stale' };

/** What the registry works with. */
export interface RegistryDeps {
  readonly describer: Pick<Describer, 'describe'>;
  readonly clock: Clock;
  readonly random: Random;
}

/** See the module comment. Keys are those of `tableKey`. */
export class Registry {
  readonly #options: RegistryOptions;
  readonly #deps: RegistryDeps;
  readonly #tables: LRUCache<string, KnownTable>;
  readonly #absent: LRUCache<string, true>;
  readonly #loads = createSingleFlight<undefined, Loaded>();
  #tick = 1;

  constructor(options: RegistryOptions, deps: RegistryDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#tables = new LRUCache({
      max: options.maxTables,
      maxSize: options.maxBytes,
      sizeCalculation: bytesOf,
      dispose: (known) => {
        known.live = false;
      },
    });
    this.#absent = new LRUCache({
      max: MAX_ABSENT,
      ttl: options.trustMs,
      // Otherwise lru-cache keeps the time for a real millisecond, whatever the clock says.
      ttlResolution: 0,
      perf: deps.clock,
    });
  }

  /** Counts up about once a second; see `touch`. */
  get tick(): number {
    return this.#tick;
  }

  /** Begins the next tick. */
  advance(): void {
    this.#tick++;
  }

  get(key: string): KnownTable | undefined {
    return this.#tables.get(key);
  }

  /** As `get`, without keeping the entry from eviction. */
  peek(key: string): KnownTable | undefined {
    return this.#tables.peek(key);
  }

  /** All entries, the least recently used last. */
  known(): Iterable<KnownTable> {
    return this.#tables.values();
  }

  /** True when the database said, within `trustMs`, that the table does not exist. */
  isAbsent(key: string): boolean {
    return this.#absent.get(shortKey(key)) === true;
  }

  /** True when the entry is young enough to found a refusal on it. */
  isTrusted(known: KnownTable): boolean {
    return this.#deps.clock.now() - known.seenAtMs < this.#options.trustMs;
  }

  /** Asks the database; the answer is in the registry before anyone waiting for it resumes. Never rejects. */
  load(id: TableId, background = false): Promise<Loaded> {
    const key = tableKey(id);
    const flight = this.#loads.find(key);
    if (flight !== undefined) return flight.result;
    return this.#loads.start(key, undefined, async (isCurrent) => {
      const described = await this.#deps.describer.describe(id, background);
      if (!isCurrent()) return { kind: 'stale' };
      if (described.kind === 'found') this.#store(id, described.schema);
      if (described.kind === 'missing') {
        this.#tables.delete(key);
        this.#absent.set(shortKey(key), true);
      }
      return described;
    });
  }

  /** Forgets the table and whatever is being asked about it. */
  invalidate(id: TableId): void {
    const key = tableKey(id);
    this.#loads.detach(key);
    this.#tables.delete(key);
    this.#absent.delete(shortKey(key));
  }

  /** The table has got columns, or has just appeared: what is known stays, and more is learnt in the background. */
  grown(id: TableId): void {
    const key = tableKey(id);
    this.#loads.detach(key);
    this.#absent.delete(shortKey(key));
    if (this.#tables.has(key)) void this.load(id, true);
  }

  /** To be called for an entry used for the first time in a tick: keeps it from eviction, refreshes it when old. */
  touch(known: KnownTable): void {
    known.tick = this.#tick;
    this.#tables.get(known.key);
    const nowMs = this.#deps.clock.now();
    if (nowMs < known.refreshAtMs) return;
    // Should this attempt fail, the next one is a tenth of the TTL away.
    known.refreshAtMs = nowMs + this.#options.softTtlMs / 10;
    void this.load(known.id, true);
  }

  stats(): { readonly tables: number; readonly tableBytes: number; readonly absent: number } {
    return {
      tables: this.#tables.size,
      tableBytes: this.#tables.calculatedSize,
      absent: this.#absent.size,
    };
  }

  #store(id: TableId, schema: TableSchema): void {
    const fresh = new KnownTable(id, schema);
    const old = this.#tables.peek(fresh.key);
    const known = old !== undefined && sameColumns(old, fresh) ? old : fresh;
    known.seenAtMs = this.#deps.clock.now();
    known.refreshAtMs = known.seenAtMs + jitterMs(this.#options.softTtlMs, 0.2, this.#deps.random);
    known.tick = this.#tick;
    this.#absent.delete(shortKey(fresh.key));
    this.#tables.set(known.key, known);
    // A table larger than the whole registry is not stored, and never called live.
    if (this.#tables.peek(known.key) !== known) known.live = false;
  }
}

/** Why a lookup helps nobody for now; undefined when it did, or when it is worth looking again. */
export function loadVerdict(loaded: Loaded, defer: Defer): Verdict | undefined {
  if (loaded.kind === 'busy') return defer('throttled', 'too many unknown tables at once', BUSY_RETRY_MS);
  if (loaded.kind === 'down')
    return defer('database_down', 'the database does not answer', loaded.retryAfterMs);
  return undefined;
}

/** Rough heap size: two bytes a character and the objects around it. */
function bytesOf(known: KnownTable): number {
  let bytes = 400 + known.key.length * 2;
  for (const name of known.columns.keys()) bytes += 160 + name.length * 2;
  return bytes;
}

function sameColumns(a: KnownTable, b: KnownTable): boolean {
  if (a.columns.size !== b.columns.size) return false;
  for (const column of b.columns.values()) {
    const other = a.columns.get(column.name);
    if (other?.kind !== column.kind || other.type !== column.type) return false;
  }
  return true;
}
