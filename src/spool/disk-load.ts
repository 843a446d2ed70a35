/**
 * Reads what is known of the lanes, and no record. Where that does not add up, because something was damaged, the
 * records are counted anew; what is gone is counted and logged, and rows whose lane is not known any more go to the
 * log, which takes rows of all tables. Called at the start and after the disk failed.
 */
import { Buffer } from 'node:buffer';
import type { Logger } from '../model/logger.ts';
import { type LaneName, LOG_LANE, type StoredRecord } from '../model/spool.ts';
import {
  decodeCounts,
  decodeName,
  decodeProgress,
  decodeRecord,
  encodeCounts,
  encodeProgress,
  encodeRecord,
  type LaneCounts,
  laneIn,
  laneKey,
  NAMES,
  PROGRESS_KEY,
  type Progress,
  RECORDS,
  recordKey,
  STATES,
} from './disk-format.ts';
import type { LoadedLanes } from './disk-lanes.ts';
import { type LevelDb, type LevelOp, type LevelRange, readAll, readValue, writeBatch } from './level.ts';

/** Whom damage is told. */
export interface LoadDeps {
  readonly logger: Logger;
  readonly metrics: { lost(records: number): void };
}

interface Directory {
  readonly names: Map<number, LaneName>;
  readonly states: Map<number, LaneCounts>;
  readonly progress: Progress | undefined;
  /** Something could not be read, or does not add up. */
  readonly broken: boolean;
}

/** What is known before. */
export interface Known {
  /** The records are to be counted, whatever the directory says. */
  readonly damaged: boolean;
  /** The same, because the counts may be wrong; nothing is damaged. */
  readonly recount?: boolean;
  /** So many records should be there, at least; 0 at a start. */
  readonly records: number;
}

/** See the module comment. */
export async function loadLanes(db: LevelDb, known: Known, deps: LoadDeps): Promise<LoadedLanes> {
  const directory = await readDirectory(db);
  const { progress } = directory;
  const isDamaged = known.damaged || directory.broken;
  if (isDamaged || known.recount === true)
    return rebuild(db, directory, { ...known, damaged: isDamaged }, deps);
  tellLost(known.records - (progress?.records ?? 0), deps);
  const { nextSeq, nextLane } = progress ?? { nextSeq: 1, nextLane: LOG_LANE + 1 };
  return { lanes: lanesOf(directory), nextSeq, nextLane };
}

function tellLost(lost: number, { logger, metrics }: LoadDeps): void {
  if (lost <= 0) return;
  logger.error({ records: lost }, 'acknowledged records of the spool are gone from the disk');
  metrics.lost(lost);
}

async function readDirectory(db: LevelDb): Promise<Directory> {
  const names = new Map<number, LaneName>();
  const states = new Map<number, LaneCounts>();
  let broken = false;
  const onDamage = (): void => void (broken = true);
  const collect = async <T>(
    kind: number,
    into: Map<number, T>,
    decode: (k: Buffer, v: Buffer) => T | undefined,
  ) => {
    for await (const entries of readAll(db, rangeOf(kind), onDamage)) {
      for (const [key, value] of entries) {
        const lane = laneIn(key);
        const decoded = decode(key, value);
        if (lane === undefined || decoded === undefined) broken = true;
        else into.set(lane, decoded);
      }
    }
  };
  await collect(NAMES, names, decodeName);
  await collect(STATES, states, decodeCounts);
  const { value, damage } = await readValue(db, PROGRESS_KEY);
  if (damage !== undefined) broken = true;
  const progress = value === undefined ? undefined : decodeProgress(value);
  const isNew = value === undefined && names.size === 0 && states.size === 0;
  broken ||= !isNew && !addsUp(names, states, progress);
  return { names, states, progress, broken };
}

function addsUp(
  names: ReadonlyMap<number, LaneName>,
  states: ReadonlyMap<number, LaneCounts>,
  progress: Progress | undefined,
): boolean {
  if (progress === undefined) return false;
  let records = 0;
  for (const [lane, counts] of states) {
    records += counts.records;
    if (lane !== LOG_LANE && !names.has(lane)) return false;
  }
  // The log has a state once it was used.
  const lanes = states.size + (states.has(LOG_LANE) ? 0 : 1);
  return lanes === progress.lanes && records === progress.records;
}

function lanesOf({ names, states }: Pick<Directory, 'names' | 'states'>): LoadedLanes['lanes'] {
  return [...states].map(([id, counts]) => ({ id, name: names.get(id), ...counts }));
}

type Found = { -readonly [K in keyof LaneCounts]: LaneCounts[K] };

interface Counters {
  nextSeq: number;
  readonly nextLane: number;
}

/** See the module comment. */
async function rebuild(
  db: LevelDb,
  { names, states, progress }: Directory,
  known: Known,
  deps: LoadDeps,
): Promise<LoadedLanes> {
  const found = new Map<number, Found>();
  // The newest counters may be among what is lost.
  const counters: Counters = {
    nextSeq: Math.max(progress?.nextSeq ?? 1, (await highestSeq(db)) + 1),
    nextLane: Math.max(progress?.nextLane ?? 1, highestOf(names.keys()) + 1, highestOf(states.keys()) + 1),
  };
  let total = 0;
  for await (const entries of readAll(db, rangeOf(RECORDS), () => undefined)) {
    const moves: LevelOp[] = [];
    for (const [key, value] of entries) {
      if (laneIn(key) === undefined) moves.push({ type: 'del', key });
      else {
        addTo(found, place({ key, value, names, counters, moves }));
        total++;
      }
    }
    if (moves.length > 0) await writeBatch(db, moves, true);
  }
  const counted = progress?.records ?? [...states.values()].reduce((sum, { records }) => sum + records, 0);
  if (known.damaged) {
    deps.logger.error({ records: total }, 'the spool was damaged; its records were counted anew');
    tellLost(Math.max(known.records, counted) - total, deps);
  }
  await writeDirectory(db, { names, states, found, counters, total });
  return { lanes: lanesOf({ names, states: found }), ...counters };
}

function highestOf(lanes: Iterable<number>): number {
  let highest = LOG_LANE;
  for (const lane of lanes) highest = Math.max(highest, lane);
  return highest;
}

/** Of all lanes; numbers of unreadable records don't count, for they may be damaged. */
async function highestSeq(db: LevelDb): Promise<number> {
  let highest = 0;
  for await (const entries of readAll(db, rangeOf(RECORDS), () => undefined)) {
    for (const [key, value] of entries) {
      if (laneIn(key) === undefined) continue;
      const { seq, data } = decodeRecord(key, value);
      if (data !== undefined && seq > highest) highest = seq;
    }
  }
  return highest;
}

interface Placing {
  readonly key: Buffer;
  readonly value: Buffer;
  readonly names: ReadonlyMap<number, LaneName>;
  readonly counters: Counters;
  /** What has to be written for it. */
  readonly moves: LevelOp[];
}

/** Where the record is to be from now on: in the log when its lane is not known, with a new number when that can't be. */
function place({ key, value, names, counters, moves }: Placing): { lane: number; record: StoredRecord } {
  const lane = laneIn(key) as number;
  const record = decodeRecord(key, value);
  const home = names.has(lane) ? lane : LOG_LANE;
  const seq = record.seq < counters.nextSeq ? record.seq : counters.nextSeq++;
  if (home === lane && seq === record.seq) return { lane, record };
  const { rows, atMs, data } = record;
  const target = recordKey(home, seq);
  // What is unreadable stays so: it does not fit its key.
  const moved = data === undefined ? value : encodeRecord(target, { lane: home, rows, atMs, bytes: data });
  moves.push({ type: 'del', key }, { type: 'put', key: target, value: moved });
  return { lane: home, record: { ...record, seq } };
}

function addTo(found: Map<number, Found>, { lane, record }: { lane: number; record: StoredRecord }): void {
  const { seq, rows, bytes, atMs, data } = record;
  let counts = found.get(lane);
  if (counts === undefined) {
    counts = { records: 0, rows: 0, bytes: 0, oldestAtMs: undefined, headSeq: seq };
    found.set(lane, counts);
  }
  counts.records++;
  counts.rows += rows;
  counts.bytes += bytes;
  counts.headSeq = Math.min(counts.headSeq, seq);
  if (data !== undefined) counts.oldestAtMs = Math.min(counts.oldestAtMs ?? atMs, atMs);
}

interface Rebuilt extends Pick<Directory, 'names' | 'states'> {
  readonly found: ReadonlyMap<number, LaneCounts>;
  readonly counters: Counters;
  readonly total: number;
}

/** Writes what was found over what was there. */
async function writeDirectory(
  db: LevelDb,
  { names, states, found, counters, total }: Rebuilt,
): Promise<void> {
  const ops: LevelOp[] = [];
  for (const lane of new Set([...names.keys(), ...states.keys()])) {
    if (found.has(lane)) continue;
    ops.push({ type: 'del', key: laneKey(STATES, lane) }, { type: 'del', key: laneKey(NAMES, lane) });
  }
  for (const [lane, counts] of found) {
    const key = laneKey(STATES, lane);
    ops.push({ type: 'put', key, value: encodeCounts(key, counts) });
  }
  const lanes = found.size + (found.has(LOG_LANE) ? 0 : 1);
  const value = encodeProgress({ ...counters, lanes, records: total });
  ops.push({ type: 'put', key: PROGRESS_KEY, value });
  await writeBatch(db, ops, true);
}

function rangeOf(kind: number): LevelRange {
  return { gte: Buffer.of(kind), lt: Buffer.of(kind + 1) };
}
