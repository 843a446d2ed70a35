/**
 * The fast path for one OpenTSDB data point: reads the four members from bytes, each once and in any order, and finds
 * the series by their bytes, allocating nothing. It declines whatever is unusual; opentsdb-json.ts then takes the slow
 * path. Whether the text it takes for metric and tags is well-formed, the dictionary knows.
 */
import type { PointBatch } from '../model/point-batch.ts';
import type { Series } from '../model/series.ts';
import { hashBytes, hashed, hashUntil, viewOf } from './bytes.ts';
import { scratch } from './number.ts';
import { scanTimestamp, scanValue } from './opentsdb-numbers.ts';
import type { SeriesDictionary } from './series-dictionary.ts';
import type { Spelling } from './series-generation.ts';

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN = 0x7b;
const CLOSE = 0x7d;
// Member names, four bytes at a time, little-endian.
const METR = 0x7274656d;
const IC = 0x226369;
const TIME = 0x656d6974;
const STAM = 0x6d617473;
const P = 0x2270;
const VALU = 0x756c6176;
const E = 0x2265;
const TAGS = 0x73676174;
const ALL_MEMBERS = 15;
const BOTH_RANGES = 3;
/** Odd, so that equal texts as metric and as tags do not cancel out. */
const TAGS_FACTOR = 0x2c1b3c6d;

/** The hash of a series spelled in JSON: of the metric's text and of the text between the braces of the tags. */
export function hashMembers(view: DataView, { start1, end1, start2, end2 }: Spelling, seed: number): number {
  return hashBytes(view, start1, end1, seed) ^ Math.imul(hashBytes(view, start2, end2, seed), TAGS_FACTOR);
}

/** See the module comment. `read` leaves value and time here. */
export class OpenTsdbMembers {
  value = 0;
  seconds = 0;
  nanos = 0;
  private readonly dictionary: SeriesDictionary;
  private readonly spelling: Spelling = { scope: 0, hash: 0, start1: 0, end1: 0, start2: 0, end2: 0 };
  private bytes!: Uint8Array;
  private view!: DataView;
  private end = 0;
  private metricHash = 0;
  private tagsHash = 0;
  /** The record of the dictionary that is expected next, or 0, and which of its ranges were met (bits 1 and 2). */
  private guess = 0;
  private guessed = 0;

  constructor(dictionary: SeriesDictionary) {
    this.dictionary = dictionary;
  }

  /** Begins a body, whose series are of this scope. */
  begin(batch: PointBatch, scope: number): void {
    this.bytes = batch.body;
    this.view = viewOf(batch.body);
    this.end = batch.body.length;
    this.spelling.scope = scope;
    this.dictionary.guesses.restart();
  }

  /** Reads the members from behind the opening brace; returns the position after the closing one, or -1. */
  read(from: number): number {
    const { bytes, view, end } = this;
    this.guess = this.dictionary.guesses.guess(this.spelling.scope);
    this.guessed = 0;
    let seen = 0;
    let i = from;
    for (;;) {
      if ((bytes[i] as number) <= 0x20) i = this.skipBlanks(i);
      // A name and its shortest value need more bytes than this, so the words below stay inside the body.
      if (i + 12 > end || bytes[i] !== QUOTE) return -1;
      const head = view.getInt32(i + 1, true);
      const rest = view.getInt32(i + 5, true);
      let member: number;
      if (head === METR && (rest & 0xffffff) === IC) {
        member = 1;
        i = this.metric(this.afterName(i + 8));
      } else if (head === TIME && rest === STAM && view.getInt16(i + 9, true) === P) {
        member = 2;
        i = this.timestamp(this.afterName(i + 11));
      } else if (head === VALU && (rest & 0xffff) === E) {
        member = 4;
        i = this.number(this.afterName(i + 7));
      } else if (head === TAGS && (rest & 0xff) === QUOTE) {
        member = 8;
        i = this.tags(this.afterName(i + 6));
      } else return -1;
      if (i < 0 || (seen & member) !== 0) return -1;
      seen |= member;
      if ((bytes[i] as number) <= 0x20) i = this.skipBlanks(i);
      if (bytes[i] === COMMA) i++;
      else return bytes[i] === CLOSE && i < end && seen === ALL_MEMBERS ? i + 1 : -1;
    }
  }

  /** The series of the members just read. What the slow path would refuse is not in the dictionary. */
  findSeries(): Series | undefined {
    const { view, spelling, dictionary } = this;
    if (this.guessed === BOTH_RANGES) return dictionary.guesses.follow(this.guess);
    const { seed } = dictionary;
    if ((this.guessed & 1) !== 0) this.metricHash = hashBytes(view, spelling.start1, spelling.end1, seed);
    if ((this.guessed & 2) !== 0) this.tagsHash = hashBytes(view, spelling.start2, spelling.end2, seed);
    spelling.hash = this.metricHash ^ Math.imul(this.tagsHash, TAGS_FACTOR);
    return dictionary.find(view, spelling);
  }

  /** The position of the value after a name that ends at `i`, or `end` when no colon is there. */
  private afterName(i: number): number {
    if (this.bytes[i] === COLON && (this.bytes[i + 1] as number) > 0x20) return i + 1;
    const at = this.skipBlanks(i);
    return this.bytes[at] === COLON ? this.skipBlanks(at + 1) : this.end;
  }

  private metric(i: number): number {
    const { view, spelling, dictionary } = this;
    if (i >= this.end || this.bytes[i] !== QUOTE) return -1;
    let close = this.guess === 0 ? -1 : dictionary.guesses.endOfFirst(view, i + 1, this.guess, QUOTE);
    if (close >= 0) this.guessed |= 1;
    else {
      close = hashUntil(view, i + 1, QUOTE, dictionary.seed);
      this.metricHash = hashed.hash;
    }
    spelling.start1 = i + 1;
    spelling.end1 = close;
    return close < this.end ? close + 1 : -1;
  }

  /** The text up to the first brace: whether it is one whole object, the dictionary knows. */
  private tags(i: number): number {
    const { view, spelling, dictionary } = this;
    if (i >= this.end || this.bytes[i] !== OPEN) return -1;
    let close = this.guess === 0 ? -1 : dictionary.guesses.endOfSecond(view, i + 1, this.guess, CLOSE);
    if (close >= 0) this.guessed |= 2;
    else {
      close = hashUntil(view, i + 1, CLOSE, dictionary.seed);
      this.tagsHash = hashed.hash;
    }
    spelling.start2 = i + 1;
    spelling.end2 = close;
    return close < this.end ? close + 1 : -1;
  }

  private timestamp(start: number): number {
    const i = scanTimestamp(this.view, this.bytes, start, this.end);
    this.seconds = scratch.seconds;
    this.nanos = scratch.nanos;
    return i;
  }

  private number(start: number): number {
    const i = scanValue(this.bytes, start, this.end);
    this.value = scratch.value;
    return i;
  }

  private skipBlanks(i: number): number {
    const { bytes, end } = this;
    let at = i;
    for (; at < end; at++) {
      const byte = bytes[at] as number;
      if (byte > 0x20 || (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09)) break;
    }
    return at;
  }
}
