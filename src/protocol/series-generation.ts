/**
 * One generation of the series dictionary: a hash table from spelled series (the bytes of name and tags as a client
 * sent them) to series, keys packed into one array. Open addressing with a bound on probes, so names made to
 * collide cost a few comparisons each and are otherwise not remembered.
 */
import type { Series } from '../model/series.ts';
import { equalsWords, packWords, wordsFor } from './bytes.ts';
import type { TableEntry } from './table-entry.ts';

const MAX_PROBES = 32;
/** Words of a record before its bytes. */
const RECORD_HEAD = 6;
/** Words that `equalsWords` may look at after a record. */
const READ_AHEAD = 2;
/** Estimated bytes of the objects behind one new series or table, beside its strings. */
const OBJECT_BYTES = 400;

/** A series as spelled: two ranges of the body (the second may be empty) in a scope (database and protocol). */
export interface Spelling {
  scope: number;
  hash: number;
  start1: number;
  end1: number;
  start2: number;
  end2: number;
}

/** See the module comment. */
export class SeriesGeneration {
  size = 0;
  /** Estimated bytes held. */
  bytes = 0;
  readonly tables = new Map<string, TableEntry>();
  /** Where a record begins in the arena, plus one; 0 = free. */
  private slots = new Int32Array(2048);
  /**
   * Records: hash, scope, length of both ranges, index in `series`, the record that followed, then the bytes; all
   * together, for the cache's sake. A record is named by its place plus one, so that 0 can mean none.
   */
  private arena = new Int32Array(16_384);
  private arenaUsed = 0;
  private readonly series: Series[] = [];

  /** The record found last; the one that followed it the last time is a good guess for what comes next. */
  private last = 0;

  /** The record with this spelling, or 0. */
  locate(view: DataView, spelling: Spelling): number {
    const { slots, arena } = this;
    const mask = slots.length - 1;
    let slot = spelling.hash & mask;
    for (let probe = 0; probe < MAX_PROBES; probe++) {
      const at = (slots[slot] as number) - 1;
      if (at < 0) return 0;
      if (arena[at] === spelling.hash && this.matches(view, spelling, at)) return at + 1;
      slot = (slot + 1) & mask;
    }
    return 0;
  }

  /** The series of all records. */
  get all(): Iterable<Series> {
    return this.series;
  }

  /** The series of a record. */
  seriesOf(record: number): Series {
    return this.series[this.arena[record + 3] as number] as Series;
  }

  /** The series of the record found, which from now on is guessed to follow the one found before it. */
  follow(record: number): Series {
    if (this.last !== 0) this.arena[this.last + 4] = record;
    this.last = record;
    return this.seriesOf(record);
  }

  /** The record to expect next, or 0. */
  guess(scope: number): number {
    const next = this.last === 0 ? 0 : (this.arena[this.last + 4] as number);
    return next !== 0 && this.arena[next] === scope ? next : 0;
  }

  /** Forgets what was found last: another body begins. */
  restart(): void {
    this.last = 0;
  }

  /** Where the record's first range ends when it stands at `start` and `stop` follows it; else -1. */
  endOfFirst(view: DataView, start: number, record: number, stop: number): number {
    const end = start + (this.arena[record + 1] as number);
    if (end >= view.byteLength || view.getUint8(end) !== stop) return -1;
    return equalsWords(view, start, end, this.arena, record + RECORD_HEAD - 1) ? end : -1;
  }

  /** The same for the second range. */
  endOfSecond(view: DataView, start: number, record: number, stop: number): number {
    const end = start + (this.arena[record + 2] as number);
    if (end >= view.byteLength || view.getUint8(end) !== stop) return -1;
    const first = record + RECORD_HEAD - 1;
    return equalsWords(view, start, end, this.arena, first + wordsFor(this.arena[record + 1] as number))
      ? end
      : -1;
  }

  /** Remembers a spelling that is not there yet. Does nothing when its place in the table is crowded. */
  add(view: DataView, spelling: Spelling, series: Series, newObjects: number): void {
    if ((this.size + 1) * 2 > this.slots.length) this.grow();
    const slot = this.freeSlot(spelling.hash);
    if (slot < 0) return;
    const length1 = spelling.end1 - spelling.start1;
    const length2 = spelling.end2 - spelling.start2;
    this.reserve(RECORD_HEAD + wordsFor(length1) + wordsFor(length2) + READ_AHEAD);
    const at = this.arenaUsed;
    this.arena[at] = spelling.hash;
    this.arena[at + 1] = spelling.scope;
    this.arena[at + 2] = length1;
    this.arena[at + 3] = length2;
    this.arena[at + 4] = this.size;
    this.arena[at + 5] = 0;
    const second =
      at + RECORD_HEAD + packWords(view, spelling.start1, spelling.end1, this.arena, at + RECORD_HEAD);
    this.arenaUsed = second + packWords(view, spelling.start2, spelling.end2, this.arena, second);
    this.series.push(series);
    this.size++;
    this.slots[slot] = at + 1;
    this.bytes += 40 + length1 + length2 + newObjects * OBJECT_BYTES;
  }

  private matches(view: DataView, spelling: Spelling, at: number): boolean {
    const arena = this.arena;
    const length1 = arena[at + 2] as number;
    const first = at + RECORD_HEAD;
    return (
      length1 === spelling.end1 - spelling.start1 &&
      arena[at + 3] === spelling.end2 - spelling.start2 &&
      arena[at + 1] === spelling.scope &&
      equalsWords(view, spelling.start1, spelling.end1, arena, first) &&
      (spelling.end2 === spelling.start2 ||
        equalsWords(view, spelling.start2, spelling.end2, arena, first + ((length1 + 3) >> 2)))
    );
  }

  private freeSlot(hash: number): number {
    const mask = this.slots.length - 1;
    for (let probe = 0, slot = hash & mask; probe < MAX_PROBES; probe++, slot = (slot + 1) & mask) {
      if (this.slots[slot] === 0) return slot;
    }
    return -1;
  }

  private grow(): void {
    const { arena } = this;
    this.slots = new Int32Array(this.slots.length * 2);
    for (let at = 0; at < this.arenaUsed; ) {
      const slot = this.freeSlot(arena[at] as number);
      if (slot >= 0) this.slots[slot] = at + 1;
      at += RECORD_HEAD + wordsFor(arena[at + 2] as number) + wordsFor(arena[at + 3] as number);
    }
  }

  private reserve(words: number): void {
    if (this.arenaUsed + words <= this.arena.length) return;
    const arena = new Int32Array(Math.max(this.arena.length * 2, this.arenaUsed + words));
    arena.set(this.arena.subarray(0, this.arenaUsed));
    this.arena = arena;
  }
}
