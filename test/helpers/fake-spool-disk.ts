/**
 * A spool's disk in memory, which keeps the contract: numbers in order, changes as a whole, reads of what is synced
 * only. What is handed over is synced by the test, or at once (`autoSync`).
 */
import { GatewayError } from '../../src/errors.ts';
import type {
  LaneName,
  LaneState,
  NewRecord,
  RecordRef,
  SpoolChange,
  SpoolCommit,
  SpoolDisk,
  SpoolDiskStats,
  StoredRecord,
} from '../../src/model/spool.ts';
import { LOG_LANE } from '../../src/model/spool.ts';
import { tableKey } from '../../src/model/table.ts';
import { createDeferred } from '../../src/util/deferred.ts';

interface Lane {
  readonly id: number;
  readonly name: LaneName | undefined;
  /** What counts, and what is synced. */
  readonly records: Map<number, NewRecord & { readonly seq: number }>;
  readonly synced: Map<number, NewRecord & { readonly seq: number }>;
}

/** See the module comment. */
export class FakeSpoolDisk implements SpoolDisk {
  autoSync = true;
  /** Set: appends are refused as unavailable. */
  failing: string | undefined;
  /** Numbers of records that can't be read. */
  readonly damaged = new Set<number>();
  readonly #lanes = new Map<number, Lane>([[LOG_LANE, lane(LOG_LANE, undefined)]]);
  #seq = 0;
  #waiting: { readonly sync: () => void; readonly fail: () => void }[] = [];

  commit({ append = [], remove = [] }: SpoolChange): SpoolCommit {
    if (append.length > 0 && this.failing !== undefined) throw new GatewayError('unavailable', this.failing);
    const added = append.map((record) => {
      const seq = record.seq ?? ++this.#seq;
      const home = this.#laneFor(record.lane);
      const stored = { ...record, seq };
      home.records.set(seq, stored);
      return { home, stored };
    });
    for (const { lane: id, records } of remove) {
      for (const { seq } of records) this.#lanes.get(id)?.records.delete(seq);
    }
    const done = createDeferred<void>();
    const sync = (): void => {
      for (const { home, stored } of added) home.synced.set(stored.seq, stored);
      for (const { lane: id, records } of remove) {
        for (const { seq } of records) this.#lanes.get(id)?.synced.delete(seq);
      }
      done.resolve();
    };
    this.#waiting.push({ sync, fail: () => done.reject(new GatewayError('unavailable', 'the disk failed')) });
    if (this.autoSync) this.sync();
    return { seqs: added.map(({ stored }) => stored.seq), done: done.promise };
  }

  /** Syncs all that was handed over. */
  sync(): void {
    for (const { sync } of this.#waiting.splice(0)) sync();
  }

  /** Fails all that was handed over. */
  fail(): void {
    for (const { fail } of this.#waiting.splice(0)) fail();
  }

  read(id: number, afterSeq: number, maxBytes: number): Promise<readonly StoredRecord[]> {
    const found: StoredRecord[] = [];
    let bytes = 0;
    const records = [...(this.#lanes.get(id)?.synced.values() ?? [])].sort((a, b) => a.seq - b.seq);
    for (const { seq, rows, atMs, bytes: raw } of records) {
      if (seq <= afterSeq) continue;
      bytes += raw.length;
      if (found.length > 0 && bytes > maxBytes) break;
      const data = this.damaged.has(seq) ? undefined : raw;
      found.push({ seq, rows, bytes: raw.length, atMs, raw, data });
    }
    return Promise.resolve(found);
  }

  laneOf(key: string): LaneState | undefined {
    for (const { id, name, records } of this.#lanes.values()) {
      if (name !== undefined && tableKey(name) === key && records.size > 0) return this.#state(id);
    }
    return undefined;
  }

  *lanes(): Iterable<LaneState> {
    for (const { id, records } of this.#lanes.values()) {
      if (id === LOG_LANE || records.size > 0) yield this.#state(id);
    }
  }

  stats(): SpoolDiskStats {
    const states = [...this.lanes()];
    const sum = (of: (state: LaneState) => number): number =>
      states.reduce((all, state) => all + of(state), 0);
    return {
      lanes: states.length - 1,
      records: sum(({ records }) => records),
      rows: sum(({ rows }) => rows),
      bytes: sum(({ bytes }) => bytes),
      pendingBytes: 0,
      freeBytes: undefined,
      failing: this.failing,
    };
  }

  close(): Promise<void> {
    this.sync();
    return Promise.resolve();
  }

  /** Numbers and rows of the records of a lane, `log` or a table's name. */
  content(which: string): readonly RecordRef[] {
    for (const { name, records } of this.#lanes.values()) {
      if ((name?.table ?? 'log') !== which) continue;
      return [...records.values()]
        .sort((a, b) => a.seq - b.seq)
        .map(({ seq, rows, bytes }) => ({ seq, rows, bytes: bytes.length }));
    }
    return [];
  }

  #laneFor(which: number | LaneName): Lane {
    if (typeof which === 'number') return this.#lanes.get(which) as Lane;
    for (const known of this.#lanes.values()) {
      if (known.name !== undefined && tableKey(known.name) === tableKey(which)) return known;
    }
    const made = lane(this.#lanes.size, which);
    this.#lanes.set(made.id, made);
    return made;
  }

  #state(id: number): LaneState {
    const { name, records } = this.#lanes.get(id) as Lane;
    const all = [...records.values()];
    return {
      id,
      name,
      records: all.length,
      rows: all.reduce((sum, { rows }) => sum + rows, 0),
      bytes: all.reduce((sum, { bytes }) => sum + bytes.length, 0),
      oldestAtMs: all.length === 0 ? undefined : Math.min(...all.map(({ atMs }) => atMs)),
    };
  }
}

function lane(id: number, name: LaneName | undefined): Lane {
  return { id, name, records: new Map(), synced: new Map() };
}
