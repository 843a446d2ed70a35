/**
 * OpenTSDB's `/api/put` JSON from bytes into a PointBatch. Two paths: the fast one takes points whose metric and
 * tags were spelled the same way before, with plain numbers, allocating nothing per point; whatever else it meets
 * it leaves, without a trace, to the complete reader (json-reader.ts, opentsdb-point.ts).
 */

import type { MalformedBody, OpenTsdbParser, ParsedPoints } from '../model/parse-result.ts';
import type { PointBatch } from '../model/point-batch.ts';
import { hashBytes, hashed, hashUntil, viewOf } from './bytes.ts';
import { JsonError, JsonReader } from './json-reader.ts';
import type { PointLimits } from './limits.ts';
import { scanDecimal, scanUnits, scratch } from './number.ts';
import {
  checkPoint,
  type OpenTsdbPoint,
  type OpenTsdbRules,
  type RawPoint,
  readPoint,
} from './opentsdb-point.ts';
import { PointErrors } from './point-errors.ts';
import { type SeriesDictionary, SpellingKind } from './series-dictionary.ts';
import type { Spelling } from './series-generation.ts';
import type { TableEntry } from './table-entry.ts';

/** Options of the parser. */
export interface OpenTsdbParserOptions extends OpenTsdbRules {
  readonly limits: PointLimits;
  /** Field that holds the value; it is always a float64. */
  readonly valueColumn: string;
  /** False: every point takes the slow path. The results are the same; tests compare them. */
  readonly fastPath?: boolean;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const ZERO = 0x30;
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
/** Odd, so that equal texts as metric and as tags do not cancel out. */
const TAGS_FACTOR = 0x2c1b3c6d;

/** Creates a parser; it is not reentrant, but `parse` is synchronous, so one serves all requests. */
export function createOpenTsdbParser(
  dictionary: SeriesDictionary,
  options: OpenTsdbParserOptions,
): OpenTsdbParser {
  const scanner = new OpenTsdbScanner(dictionary, options);
  return { parse: (batch) => scanner.parse(batch) };
}

class OpenTsdbScanner {
  private readonly dictionary: SeriesDictionary;
  private readonly options: OpenTsdbParserOptions;
  private readonly spelling: Spelling = { scope: 0, hash: 0, start1: 0, end1: 0, start2: 0, end2: 0 };
  private batch!: PointBatch;
  private bytes!: Uint8Array;
  private view!: DataView;
  private end = 0;
  private errors!: PointErrors;
  private reader!: JsonReader;
  private value = 0;
  private metricHash = 0;
  private tagsHash = 0;
  private seconds = 0;
  private nanos = 0;

  constructor(dictionary: SeriesDictionary, options: OpenTsdbParserOptions) {
    this.dictionary = dictionary;
    this.options = options;
  }

  parse(batch: PointBatch): ParsedPoints | MalformedBody {
    this.batch = batch;
    this.bytes = batch.body;
    this.view = viewOf(batch.body);
    this.end = batch.body.length;
    this.errors = new PointErrors(batch.body);
    this.reader = new JsonReader(batch.body, this.options.limits.jsonDepth);
    this.spelling.scope = this.dictionary.scope(batch.database, SpellingKind.opentsdb);
    const malformed = this.body();
    if (malformed === undefined) {
      return { kind: 'parsed', good: batch.rows, failed: this.errors.failed, errors: this.errors.list };
    }
    batch.reset(batch.body, batch.database);
    return malformed;
  }

  private body(): MalformedBody | undefined {
    const { reader } = this;
    const first = reader.peek();
    if (first < 0) return refuse('Missing request content');
    if (first !== OPEN && first !== 0x5b) return refuse('The JSON must start as an object or an array');
    try {
      if (first === OPEN) this.element(0);
      else {
        reader.at++;
        if (reader.accept(']')) return refuse('No datapoints found in content');
        for (let index = 0; ; index++) {
          this.element(index);
          if (!reader.accept(',')) break;
        }
        reader.expect(']');
      }
      if (reader.peek() >= 0) throw new JsonError('unexpected text after the data points', reader.at);
      return undefined;
    } catch (error) {
      if (error instanceof JsonError) return refuse('Unable to parse the given JSON', error.message);
      throw error;
    }
  }

  /** Takes the element at the reader's position and moves the reader behind it. */
  private element(index: number): void {
    const { reader } = this;
    const first = reader.peek();
    const start = reader.at;
    if (first === OPEN && this.options.fastPath !== false) {
      const next = this.fastPoint(start);
      if (next >= 0) {
        reader.at = next;
        return;
      }
    }
    const raw = readPoint(reader);
    const point =
      raw === undefined
        ? 'Unexpected null datapoint encountered in set.'
        : checkPoint(raw, this.options, this.options.limits);
    if (typeof point === 'string') this.errors.addElement(start, reader.at, index, point);
    else this.store(raw as RawPoint, point, start);
  }

  /** Takes the object at `start`; returns the position after it, or -1 when the slow path must decide. */
  private fastPoint(start: number): number {
    const i = this.fastMembers(start + 1);
    if (i < 0) return -1;
    const { view, spelling, batch } = this;
    spelling.hash = this.metricHash ^ Math.imul(this.tagsHash, TAGS_FACTOR);
    const series = this.dictionary.find(view, spelling);
    if (series === undefined) return -1;
    const field = (series.tagSet.table as TableEntry).valueField;
    if (field === undefined) return -1;
    batch.beginRow(series, start);
    batch.setTime(this.seconds, this.nanos);
    batch.addFloat(field, this.value);
    batch.endRow();
    return i;
  }

  /** Reads the four members, each once, in any order; returns the position after the closing brace, or -1. */
  private fastMembers(from: number): number {
    const { bytes, view, end } = this;
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
        i = this.fastMetric(this.afterName(i + 8));
      } else if (head === TIME && rest === STAM && view.getInt16(i + 9, true) === P) {
        member = 2;
        i = this.fastTimestamp(this.afterName(i + 11));
      } else if (head === VALU && (rest & 0xffff) === E) {
        member = 4;
        i = this.fastNumber(this.afterName(i + 7));
      } else if (head === TAGS && (rest & 0xff) === QUOTE) {
        member = 8;
        i = this.fastTags(this.afterName(i + 6));
      } else return -1;
      if (i < 0 || (seen & member) !== 0) return -1;
      seen |= member;
      if ((bytes[i] as number) <= 0x20) i = this.skipBlanks(i);
      if (bytes[i] === COMMA) i++;
      else return bytes[i] === CLOSE && i < end && seen === ALL_MEMBERS ? i + 1 : -1;
    }
  }

  /** The position of the value after a name that ends at `i`, or `end` when no colon is there. */
  private afterName(i: number): number {
    if (this.bytes[i] === COLON && (this.bytes[i + 1] as number) > 0x20) return i + 1;
    const at = this.skipBlanks(i);
    return this.bytes[at] === COLON ? this.skipBlanks(at + 1) : this.end;
  }

  private fastMetric(i: number): number {
    if (i >= this.end || this.bytes[i] !== QUOTE) return -1;
    const close = hashUntil(this.view, i + 1, QUOTE, this.dictionary.seed);
    this.metricHash = hashed.hash;
    this.spelling.start1 = i + 1;
    this.spelling.end1 = close;
    return close < this.end ? close + 1 : -1;
  }

  /** The text up to the first brace: whether it is one whole object, the dictionary knows. */
  private fastTags(i: number): number {
    if (i >= this.end || this.bytes[i] !== OPEN) return -1;
    const close = hashUntil(this.view, i + 1, CLOSE, this.dictionary.seed);
    this.tagsHash = hashed.hash;
    this.spelling.start2 = i + 1;
    this.spelling.end2 = close;
    return close < this.end ? close + 1 : -1;
  }

  private fastTimestamp(start: number): number {
    if (start >= this.end || this.bytes[start] === ZERO) return -1;
    const i = scanUnits(this.view, this.bytes, start, this.end);
    if (i < 0) return -1;
    const units = scratch.value;
    if (units <= 4294967295) {
      this.seconds = units;
      this.nanos = 0;
      return i;
    }
    this.seconds = Math.floor(units / 1000);
    this.nanos = (units - this.seconds * 1000) * 1e6;
    return units <= 9223372036854 ? i : -1;
  }

  private fastNumber(start: number): number {
    const { bytes, end } = this;
    const digits = bytes[start] === MINUS ? start + 1 : start;
    if (bytes[digits] === ZERO && ((bytes[digits + 1] as number) ^ ZERO) <= 9) return -1;
    const i = scanDecimal(bytes, start, end);
    // Integers near 2^63 need a range check, and -0 is 0 when it is an integer.
    if (i < 0 || (i - digits >= 19 && !bytes.subarray(digits, i).includes(0x2e))) return -1;
    if (scratch.value === 0 && digits !== start) return -1;
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

  /** Adds a checked point as a row and remembers its spelling when the fast path can recognise it. */
  private store(raw: RawPoint, point: OpenTsdbPoint, start: number): void {
    const { batch, view, bytes, spelling } = this;
    const series = this.dictionary.series(batch.database, point.metric, point.tags);
    const plain =
      raw.tagsStart > 0 &&
      raw.metric?.kind === 'string' &&
      !bytes.subarray(raw.metricStart, raw.metricEnd).includes(0x5c) &&
      !bytes.subarray(raw.tagsStart, raw.tagsEnd).includes(CLOSE);
    if (plain) {
      spelling.start1 = raw.metricStart;
      spelling.end1 = raw.metricEnd;
      spelling.start2 = raw.tagsStart;
      spelling.end2 = raw.tagsEnd;
      const { seed } = this.dictionary;
      spelling.hash =
        hashBytes(view, raw.metricStart, raw.metricEnd, seed) ^
        Math.imul(hashBytes(view, raw.tagsStart, raw.tagsEnd, seed), TAGS_FACTOR);
      this.dictionary.addSpelling(view, spelling, series);
    }
    const table = series.tagSet.table as TableEntry;
    table.valueField ??= table.field(this.options.valueColumn).of('float64');
    const seconds = Number(point.milliseconds / 1_000n);
    const nanos = Number(point.milliseconds % 1_000n) * 1e6;
    batch.beginRow(series, start);
    batch.setTime(seconds, nanos);
    batch.addFloat(table.valueField, point.value);
    batch.endRow();
  }
}

function refuse(message: string, details?: string): MalformedBody {
  return { kind: 'malformed', message, details };
}
