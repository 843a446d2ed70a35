/**
 * The lanes of the spool, in memory: a change is counted here when it is handed over, and what it changed is written
 * in the batch that carries it, so that counts and records on disk always belong together. Knows no disk; made and
 * called by the spool's disk alone.
 */
import { type LaneName, type LaneState, LOG_LANE, type SpoolChange } from '../model/spool.ts';
import { tableKey } from '../model/table.ts';
import {
  encodeCounts,
  encodeName,
  encodeProgress,
  encodeRecord,
  laneKey,
  NAMES,
  PROGRESS_KEY,
  recordKey,
  STATES,
} from './disk-format.ts';
import type { LevelOp } from './level.ts';

/** A lane; one object for as long as it has records, so that who holds a `LaneState` sees it change. */
export interface Lane extends LaneState {
  readonly key: string;
  records: number;
  rows: number;
  bytes: number;
  oldestAtMs: number | undefined;
  /** No record has a lower number. */
  headSeq: number;
  /** False: the record with that number may be gone, and `oldestAtMs` be its time. */
  headKnown: boolean;
  /** Counts the changes, to notice one that came in between. */
  version: number;
  /** Counts those that may change which record is the first. */
  headVersion: number;
  /** The last batch with a change of it. */
  group: number;
  /** Its name and state are on disk, as far as batches went. */
  stored: boolean;
}

/** What the disk says of all lanes. */
export interface LoadedLanes {
  readonly lanes: readonly Pick<
    Lane,
    'id' | 'name' | 'records' | 'rows' | 'bytes' | 'oldestAtMs' | 'headSeq'
  >[];
  readonly nextSeq: number;
  readonly nextLane: number;
}

/** A change in the terms of LevelDB. */
export interface AppliedChange {
  readonly seqs: readonly number[];
  readonly ops: readonly LevelOp[];
  /** Bytes of the appended records. */
  readonly bytes: number;
}

/** See the module comment. */
export class LaneDirectory {
  readonly byId = new Map<number, Lane>();
  /** Lanes whose first record was removed since `takeHeads`. */
  private heads = new Set<Lane>();
  private readonly byTable = new Map<string, Lane>();
  private dirty = new Set<Lane>();
  /** The next number; all records' are lower. */
  nextSeq = 1;
  private nextLane = LOG_LANE + 1;
  records = 0;
  rows = 0;
  bytes = 0;
  /** Number of the batch that gathers; all of a process. */
  group = 1;

  constructor() {
    this.add(LOG_LANE, undefined);
  }

  laneOf(key: string): Lane | undefined {
    return this.byTable.get(key);
  }

  /** Counts a change. @throws {RangeError} for an append to a lane that is not there; then nothing was counted. */
  apply({ append = [], remove = [] }: SpoolChange): AppliedChange {
    for (const { lane } of append) {
      if (typeof lane === 'number' && !this.byId.has(lane)) throw new RangeError(`there is no lane ${lane}`);
    }
    const ops: LevelOp[] = [];
    const touched = new Set<Lane>();
    // First the removals: a record may be replaced by one with the same number.
    for (const { lane: id, records } of remove) {
      const lane = this.byId.get(id);
      if (lane === undefined) continue;
      touched.add(lane);
      for (const ref of records) {
        ops.push({ type: 'del', key: recordKey(id, ref.seq) });
        this.count(lane, -1, -ref.rows, -ref.bytes);
        if (ref.seq <= lane.headSeq) lane.headKnown = false;
      }
      lane.headVersion++;
    }
    let bytes = 0;
    const seqs: number[] = [];
    for (const record of append) {
      const lane =
        typeof record.lane === 'number' ? (this.byId.get(record.lane) as Lane) : this.named(record.lane);
      const seq = record.seq ?? this.nextSeq;
      this.nextSeq = Math.max(this.nextSeq, seq + 1);
      const key = recordKey(lane.id, seq);
      ops.push({ type: 'put', key, value: encodeRecord(key, record) });
      if (lane.records === 0 || seq < lane.headSeq) {
        lane.headSeq = seq;
        lane.headKnown = true;
      }
      if (record.seq !== undefined) lane.headVersion++;
      lane.oldestAtMs =
        lane.records === 0 ? record.atMs : Math.min(lane.oldestAtMs ?? record.atMs, record.atMs);
      this.count(lane, 1, record.rows, record.bytes.length);
      touched.add(lane);
      seqs.push(seq);
      bytes += record.bytes.length;
    }
    for (const lane of touched) this.settle(lane);
    return { seqs, ops, bytes };
  }

  /** What changed of the lanes since it was last called, as operations of the batch that goes now; begins the next group. */
  takeGroup(): LevelOp[] {
    const ops: LevelOp[] = [];
    for (const lane of this.dirty) {
      const stateKey = laneKey(STATES, lane.id);
      if (this.byId.get(lane.id) === lane) {
        ops.push({ type: 'put', key: stateKey, value: encodeCounts(stateKey, lane) });
        if (!lane.stored && lane.name !== undefined) {
          const nameKey = laneKey(NAMES, lane.id);
          ops.push({ type: 'put', key: nameKey, value: encodeName(nameKey, lane.name) });
        }
        lane.stored = true;
      } else if (lane.stored) {
        ops.push({ type: 'del', key: stateKey }, { type: 'del', key: laneKey(NAMES, lane.id) });
      }
    }
    this.dirty = new Set();
    ops.push(this.progress());
    this.group++;
    return ops;
  }

  /** The counters of the whole spool, as of the group that gathers. */
  progress(): LevelOp {
    const { nextSeq, nextLane, records, byId } = this;
    const value = encodeProgress({ nextSeq, nextLane, lanes: byId.size, records });
    return { type: 'put', key: PROGRESS_KEY, value };
  }

  /** Lanes whose first record is not known any more, once each. */
  takeHeads(): readonly Lane[] {
    const heads = [...this.heads];
    this.heads = new Set();
    return heads;
  }

  /** What was found to be the first record of a lane, unless that may have changed since `headVersion`. */
  setHead(lane: Lane, headVersion: number, head: Pick<Lane, 'oldestAtMs'> & { readonly seq: number }): void {
    if (lane.headVersion !== headVersion || lane.records === 0) return;
    lane.headSeq = head.seq;
    lane.headKnown = true;
    lane.oldestAtMs = head.oldestAtMs;
    this.dirty.add(lane);
  }

  /** Takes records out of the count that are not on disk. */
  forget(
    lane: Lane,
    lost: { readonly records: number; readonly rows: number; readonly bytes: number },
  ): void {
    this.count(lane, -lost.records, -lost.rows, -lost.bytes);
    lane.headVersion++;
    this.settle(lane);
  }

  /** Starts over from what the disk says; lanes that are still there stay the same objects. */
  replace({ lanes, nextSeq, nextLane }: LoadedLanes): void {
    const before = new Map(this.byId);
    this.byId.clear();
    this.byTable.clear();
    this.dirty.clear();
    this.heads.clear();
    for (const lane of before.values()) this.count(lane, -lane.records, -lane.rows, -lane.bytes);
    this.add(LOG_LANE, undefined, before.get(LOG_LANE));
    for (const { id, name, records, rows, bytes, oldestAtMs, headSeq } of lanes) {
      const lane = this.byId.get(id) ?? this.add(id, name, before.get(id));
      this.count(lane, records, rows, bytes);
      Object.assign(lane, { oldestAtMs, headSeq, headKnown: false, group: 0, stored: true });
      lane.version++;
      lane.headVersion++;
    }
    this.nextSeq = Math.max(this.nextSeq, nextSeq);
    this.nextLane = Math.max(this.nextLane, nextLane);
  }

  private named(name: LaneName): Lane {
    return this.byTable.get(tableKey(name)) ?? this.add(this.nextLane++, name);
  }

  private add(id: number, name: LaneName | undefined, before?: Lane): Lane {
    const lane = before ?? createLane(id, name);
    this.byId.set(id, lane);
    if (name !== undefined) this.byTable.set(lane.key, lane);
    return lane;
  }

  private count(lane: Lane, records: number, rows: number, bytes: number): void {
    lane.records += records;
    lane.rows += rows;
    lane.bytes += bytes;
    this.records += records;
    this.rows += rows;
    this.bytes += bytes;
  }

  /** After the last count of a change. */
  private settle(lane: Lane): void {
    lane.version++;
    lane.group = this.group;
    this.dirty.add(lane);
    if (lane.records > 0) {
      if (!lane.headKnown) this.heads.add(lane);
      return;
    }
    // Rows of unreadable records are not known; without records there are none.
    this.count(lane, -lane.records, -lane.rows, -lane.bytes);
    lane.oldestAtMs = undefined;
    lane.headSeq = this.nextSeq;
    this.heads.delete(lane);
    if (lane.id === LOG_LANE) return;
    this.byId.delete(lane.id);
    this.byTable.delete(lane.key);
  }
}

function createLane(id: number, name: LaneName | undefined): Lane {
  const key = name === undefined ? '' : tableKey(name);
  const none = { records: 0, rows: 0, bytes: 0, oldestAtMs: undefined, headSeq: 0 };
  return { id, name, key, ...none, headKnown: false, version: 0, headVersion: 0, group: 0, stored: false };
}
