/**
 * What the memory store keeps: for each key its versions since the last compaction, and the log of revisions that
 * watches read. Bounded by `maxRevisions`; no I/O, no time.
 */
import { type KeyValue, type RangeQuery, type RangeResult, StoreError, type WatchEvent } from './store.ts';

interface Version {
  readonly rev: number;
  readonly kv: KeyValue | undefined;
}

interface LogEntry {
  readonly rev: number;
  readonly events: readonly WatchEvent[];
}

/** See the module comment. */
export interface MemoryHistory {
  readonly rev: number;
  /** Bytes of the keys and values of all versions kept. */
  readonly bytes: number;
  current(key: string): KeyValue | undefined;
  /** Makes the next revision of these changes, at most one per key, and tells the listeners. */
  commit(events: readonly WatchEvent[]): void;
  /** @throws {StoreError} compacted, future */
  range(query: RangeQuery): RangeResult;
  /** The first entry at `rev` or later; `compacted` when some at or after `rev` may be gone. */
  next(rev: number): LogEntry | 'compacted' | undefined;
  /** @throws {StoreError} compacted, future */
  compact(revision: number): void;
  /** Calls back after each commit, until the returned function is called. */
  onCommit(listener: () => void): () => void;
}

/** An empty history at revision 1. */
export function createMemoryHistory(maxRevisions: number): MemoryHistory {
  return new VersionedKeys(maxRevisions);
}

class VersionedKeys implements MemoryHistory {
  readonly #maxRevisions: number;
  readonly #versions = new Map<string, Version[]>();
  readonly #listeners = new Set<() => void>();
  /** One entry per revision, so that the entry of a revision is found by its distance from the first. */
  #log: LogEntry[] = [];
  #rev = 1;
  #compacted = 0;
  #bytes = 0;

  constructor(maxRevisions: number) {
    this.#maxRevisions = maxRevisions;
  }

  get rev(): number {
    return this.#rev;
  }

  get bytes(): number {
    return this.#bytes;
  }

  current(key: string): KeyValue | undefined {
    return this.#versions.get(key)?.at(-1)?.kv;
  }

  commit(events: readonly WatchEvent[]): void {
    const rev = ++this.#rev;
    for (const { key, kv } of events) {
      const version = { rev, kv };
      const versions = this.#versions.get(key);
      if (versions === undefined) this.#versions.set(key, [version]);
      else versions.push(version);
      this.#bytes += versionBytes(key, version);
    }
    this.#log.push({ rev, events });
    // A batch at a time, because compaction looks at every key.
    if (this.#log.length > this.#maxRevisions * 2) this.compact(rev - this.#maxRevisions);
    for (const listener of this.#listeners) listener();
  }

  range(query: RangeQuery): RangeResult {
    const at = query.revision ?? this.#rev;
    if (at > this.#rev) throw new StoreError('future', `revision ${at} is after ${this.#rev}`);
    if (at < this.#compacted)
      throw new StoreError('compacted', `revision ${at} is before ${this.#compacted}`);
    const found = this.#matches(query)
      .map((key) => this.#versions.get(key)?.findLast((version) => version.rev <= at)?.kv)
      .filter((kv) => kv !== undefined);
    const limit = query.limit === undefined || query.limit === 0 ? found.length : query.limit;
    return {
      rev: this.#rev,
      count: found.length,
      more: query.countOnly !== true && found.length > limit,
      kvs: query.countOnly === true ? [] : found.slice(0, limit),
    };
  }

  next(rev: number): LogEntry | 'compacted' | undefined {
    if (rev <= this.#compacted) return 'compacted';
    const first = this.#log[0];
    return first === undefined ? undefined : this.#log[Math.max(0, rev - first.rev)];
  }

  compact(revision: number): void {
    if (revision > this.#rev) throw new StoreError('future', `revision ${revision} is after ${this.#rev}`);
    if (revision <= this.#compacted)
      throw new StoreError('compacted', `already compacted at ${this.#compacted}`);
    this.#compacted = revision;
    this.#log = this.#log.filter((entry) => entry.rev > revision);
    for (const [key, versions] of this.#versions) this.#prune(key, versions, revision);
  }

  onCommit(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Drops the versions that nobody can read any more: all before the one that holds at `revision`. */
  #prune(key: string, versions: Version[], revision: number): void {
    const holding = versions.findLastIndex((version) => version.rev <= revision);
    const gone = versions[holding]?.kv === undefined ? holding + 1 : holding;
    for (const version of versions.splice(0, Math.max(0, gone))) this.#bytes -= versionBytes(key, version);
    if (versions.length === 0) this.#versions.delete(key);
  }

  #matches(query: RangeQuery): string[] {
    if ('key' in query) return [query.key];
    const from = query.from ?? '';
    return [...this.#versions.keys()].filter((key) => key.startsWith(query.prefix) && key >= from).sort();
  }
}

function versionBytes(key: string, version: Version): number {
  return key.length + (version.kv === undefined ? 0 : Buffer.byteLength(version.kv.value));
}
