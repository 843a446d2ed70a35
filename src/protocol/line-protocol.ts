/**
 * InfluxDB line protocol from bytes into a PointBatch. Two paths: the fast one takes lines of series and fields it
 * has seen spelled the same way before, with plain numbers, allocating nothing per point; whatever else it meets it
 * leaves, without a trace, to the complete grammar (line-grammar.ts), which also teaches it the new spellings.
 */
import type { LineParser, ParsedPoints, Precision, RepeatedFields } from '../model/parse-result.ts';
import type { PointBatch } from '../model/point-batch.ts';
import type { Series } from '../model/series.ts';
import { equalsWords, hashBytes, hashed, hashUntil, viewOf } from './bytes.ts';
import { type PointLimits, tooManyPoints } from './limits.ts';
import { findLineEnd, type ParsedLine, parseLine, repeatedField } from './line-grammar.ts';
import { serverTime } from './line-time.ts';
import { addValue } from './line-values.ts';
import { scanNanos, scanUnits, scratch } from './number.ts';
import { PointErrors } from './point-errors.ts';
import { type SeriesDictionary, SpellingKind } from './series-dictionary.ts';
import type { Spelling } from './series-generation.ts';
import type { FieldSpelling, TableEntry } from './table-entry.ts';

const NEWLINE = 0x0a;
const RETURN = 0x0d;
const SPACE = 0x20;
const HASH = 0x23;
const COMMA = 0x2c;
const EQUALS = 0x3d;
const BACKSLASH = 0x5c;
/** Largest series and field name of the fast path: together they stay below InfluxDB's bound of 65,535 bytes. */
const MAX_FAST_KEY = 32_000;
const MAX_FAST_FIELD = 32_000;
/** Seconds that, times 1e9, stay inside the range of times with room for any nanoseconds. */
const MAX_FAST_SECONDS = 9_223_372_035;
const UNITS_PER_SECOND: Partial<Record<Precision, number>> = { s: 1, ms: 1e3, us: 1e6 };

/** Options of the parser beside its limits. */
export interface LineParserOptions {
  readonly limits: PointLimits;
  /** False: every line takes the slow path. The results are the same; tests compare them. */
  readonly fastPath?: boolean;
}

/** Creates a parser; it is not reentrant, but `parse` is synchronous, so one serves all requests. */
export function createLineParser(dictionary: SeriesDictionary, options: LineParserOptions): LineParser {
  const scanner = new LineScanner(dictionary, options.limits);
  return {
    parse: (batch, precision, nowMs, repeatedFields) =>
      scanner.parse(batch, precision, { nowMs, repeatedFields, fast: options.fastPath !== false }),
  };
}

/** How one body is parsed. */
interface Run {
  readonly nowMs: number;
  readonly fast: boolean;
  readonly repeatedFields: RepeatedFields | undefined;
}

class LineScanner {
  private readonly dictionary: SeriesDictionary;
  private readonly limits: PointLimits;
  private readonly spelling: Spelling = { scope: 0, hash: 0, start1: 0, end1: 0, start2: 0, end2: 0 };
  private batch!: PointBatch;
  private bytes!: Uint8Array;
  private view!: DataView;
  private end = 0;
  private precision: Precision = 'ns';
  private errors!: PointErrors;
  private now = 0n;
  private nowMs = 0;
  private hasNow = false;
  private refusesRepeated = false;
  /** Counts rows tried, to notice a field that comes twice in one row. */
  private row = 0;

  constructor(dictionary: SeriesDictionary, limits: PointLimits) {
    this.dictionary = dictionary;
    this.limits = limits;
  }

  parse(batch: PointBatch, precision: Precision, run: Run): ParsedPoints {
    this.batch = batch;
    this.bytes = batch.body;
    this.view = viewOf(batch.body);
    this.end = batch.body.length;
    this.precision = precision;
    this.nowMs = run.nowMs;
    this.refusesRepeated = run.repeatedFields === 'refuse';
    this.hasNow = false;
    this.errors = new PointErrors(batch.body);
    this.spelling.scope = this.dictionary.scope(batch.database, SpellingKind.line);
    this.dictionary.guesses.restart();
    let at = this.bytes[0] === 0xef && this.bytes[1] === 0xbb && this.bytes[2] === 0xbf ? 3 : 0;
    const { pointsPerRequest } = this.limits;
    for (let lines = 1; at < this.end; lines++) {
      if (lines > pointsPerRequest) throw tooManyPoints(this.limits);
      const next = run.fast ? this.fastLine(at) : -1;
      at = next >= 0 ? next : this.slowLine(at);
    }
    return { kind: 'parsed', good: batch.rows, failed: this.errors.failed, errors: this.errors.list };
  }

  /** Takes the line at `start` and returns where the next one starts, or -1 when the slow path must decide. */
  private fastLine(start: number): number {
    const { bytes, spelling } = this;
    const series = this.fastSeries(start);
    if (series === undefined) return -1;
    if (!this.batch.hasRoomFor(series.tagSet.table, this.limits.tablesPerRequest)) return -1;
    this.batch.beginRow(series, start);
    let i = spelling.end1 + 1;
    if (bytes[i] === SPACE) i = this.skipSpaces(i);
    i = this.fastFields(series, i);
    if (i < 0) return -1;
    if (bytes[i] === SPACE && bytes[++i] === SPACE) i = this.skipSpaces(i);
    i = this.fastTime(i);
    if (i < 0 || i - start > this.limits.lineBytes) return -1;
    this.batch.endRow();
    return i;
  }

  /** The series at `start`, its end left in the spelling. What the slow path would refuse is not in the dictionary. */
  private fastSeries(start: number): Series | undefined {
    const { bytes, view, end, spelling, dictionary } = this;
    const { guesses } = dictionary;
    const guess = guesses.guess(spelling.scope);
    if (guess !== 0) {
      spelling.end1 = guesses.endOfFirst(view, start, guess, SPACE);
      if (spelling.end1 >= 0) return guesses.follow(guess);
    }
    // Never beyond the line: a body of lines without blanks would be read to its end once per line.
    let keyEnd = hashUntil(view, start, 0, dictionary.seed, SPACE + 1);
    if (bytes[keyEnd - 1] === BACKSLASH && keyEnd > start) keyEnd = this.escapedKeyEnd(keyEnd, start);
    if (keyEnd >= end || bytes[keyEnd] !== SPACE || keyEnd - start > MAX_FAST_KEY) return undefined;
    spelling.start1 = start;
    spelling.end1 = keyEnd;
    spelling.hash = hashed.hash;
    return dictionary.find(view, spelling);
  }

  /** End of a key, or of its line, that has a backslash before its first blank; its hash is left in `hashed`. */
  private escapedKeyEnd(firstBlank: number, start: number): number {
    const { bytes, end } = this;
    let i = firstBlank;
    while (i < end && bytes[i] !== NEWLINE && (bytes[i] !== SPACE || bytes[i - 1] === BACKSLASH)) i++;
    hashed.hash = hashBytes(this.view, start, i, this.dictionary.seed);
    return i;
  }

  /** Adds the fields at `start`; returns the position after them, or -1. */
  private fastFields(series: Series, start: number): number {
    const { bytes, end } = this;
    const table = series.tagSet.table as TableEntry;
    const row = ++this.row;
    let i = start;
    let count = 0;
    let previous: FieldSpelling | undefined;
    for (;;) {
      const guess = previous === undefined ? table.firstField : previous.next;
      const field = this.fieldAt(table, guess, i);
      if (field === undefined || field.slots.row === row || ++count > this.limits.fieldsPerPoint) return -1;
      if (field !== guess) {
        if (previous === undefined) table.firstField = field;
        else previous.next = field;
      }
      field.slots.row = row;
      const value = i + field.length + 1;
      i = addValue(this.batch, field, value, end);
      if (i - value > this.limits.stringBytes) return -1;
      if (i < 0 || i >= end || bytes[i] !== COMMA) return i;
      i++;
      previous = field;
    }
  }

  /** The spelling of the field name at `start`, the guess when it is that, or undefined when it is new. */
  private fieldAt(
    table: TableEntry,
    guess: FieldSpelling | undefined,
    start: number,
  ): FieldSpelling | undefined {
    const { bytes, view, end } = this;
    if (guess !== undefined) {
      const stop = start + guess.length;
      if (stop < end && bytes[stop] === EQUALS && equalsWords(view, start, stop, guess.words, 0))
        return guess;
    }
    let i = start;
    while (i < end && bytes[i] !== EQUALS && bytes[i] !== NEWLINE && bytes[i] !== BACKSLASH) i++;
    return i < end && bytes[i] === EQUALS ? table.findSpelling(view, start, i) : undefined;
  }

  /** Sets the time at `start` or the server's; returns where the next line starts, or -1. */
  private fastTime(start: number): number {
    const { bytes, end } = this;
    let i = start;
    const first = i < end ? (bytes[i] as number) : NEWLINE;
    if (first === NEWLINE || first === RETURN) this.setServerTime();
    else {
      i = this.precision === 'ns' ? this.fastNanos(start) : this.fastUnits(start);
      if (i < 0) return -1;
      if (i < end && bytes[i] === NEWLINE) return i + 1;
      i = this.skipSpaces(i);
    }
    if (i < end && bytes[i] === RETURN) i++;
    if (i >= end) return end;
    return bytes[i] === NEWLINE ? i + 1 : -1;
  }

  private fastNanos(start: number): number {
    const i = scanNanos(this.view, this.bytes, start, this.end);
    if (i < 0 || scratch.seconds > MAX_FAST_SECONDS) return -1;
    this.batch.setTime(scratch.seconds, scratch.nanos);
    return i;
  }

  /** A time in a unit other than nanoseconds; minutes, hours and guesses are left to the slow path. */
  private fastUnits(start: number): number {
    const i = scanUnits(this.view, this.bytes, start, this.end);
    const perSecond = UNITS_PER_SECOND[this.precision];
    if (i < 0 || perSecond === undefined) return -1;
    const seconds = Math.floor(scratch.value / perSecond);
    if (seconds > MAX_FAST_SECONDS) return -1;
    this.batch.setTime(seconds, (scratch.value - seconds * perSecond) * (1e9 / perSecond));
    return i;
  }

  private skipSpaces(i: number): number {
    let at = i;
    while (at < this.end && this.bytes[at] === SPACE) at++;
    return at;
  }

  private setServerTime(): void {
    if (!this.hasNow) {
      this.now = serverTime(this.nowMs, this.precision);
      this.hasNow = true;
    }
    this.setTime(this.now);
  }

  private setTime(nanos: bigint): void {
    this.batch.setNanos(nanos);
  }

  /** The line at `at` by the complete grammar; returns where the next one starts. */
  private slowLine(at: number): number {
    const { bytes } = this;
    let start = at;
    while (start < this.end && (bytes[start] === SPACE || bytes[start] === 0x09 || bytes[start] === 0))
      start++;
    const lineEnd = findLineEnd(bytes, start);
    const end = lineEnd > start && bytes[lineEnd - 1] === RETURN ? lineEnd - 1 : lineEnd;
    if (end > start && bytes[start] !== HASH) {
      const line = parseLine(bytes, { start, end }, this.precision, this.limits);
      const reason = typeof line === 'string' ? line : this.store(line, start);
      if (reason !== undefined) this.errors.addLine(start, end, reason);
    }
    return lineEnd + 1;
  }

  /** Adds a parsed line as a row and remembers its spellings; answers why it was refused, or undefined. */
  private store(line: ParsedLine, start: number): string | undefined {
    const { batch, view, spelling } = this;
    const clash = line.tags.find(([key]) => key === 'time');
    if (clash !== undefined)
      return `invalid tag key: input tag "time" on measurement "${line.measurement}" is invalid`;
    const fields = new Map(line.fields.map((field) => [field.name, field]));
    if (this.refusesRepeated && fields.size < line.fields.length) return repeatedField(line);
    const series = this.dictionary.series(batch.database, line.measurement, line.tags);
    const { tablesPerRequest } = this.limits;
    if (!batch.hasRoomFor(series.tagSet.table, tablesPerRequest))
      return `more than ${tablesPerRequest} measurements in one request`;
    spelling.start1 = start;
    spelling.end1 = line.keyEnd;
    spelling.hash = hashBytes(view, start, line.keyEnd, this.dictionary.seed);
    this.dictionary.addSpelling(view, spelling, series);
    const hadTime = fields.delete('time');
    const reason = `invalid field name: input field "time" on measurement "${line.measurement}" is invalid`;
    if (fields.size === 0) return reason;
    batch.beginRow(series, start);
    for (const field of fields.values()) this.addField(series, field);
    if (line.time === undefined) this.setServerTime();
    else this.setTime(line.time);
    batch.endRow();
    return hadTime ? reason : undefined;
  }

  private addField(series: Series, { start, end, name, value }: ParsedLine['fields'][number]): void {
    const table = series.tagSet.table as TableEntry;
    const slots = table.field(name);
    if (end - start <= MAX_FAST_FIELD) table.addSpelling(this.view, start, end, slots);
    const field = slots.of(value.type);
    if (value.type === 'float64') this.batch.addFloat(field, value.value);
    else if (value.type === 'bool') this.batch.addBool(field, value.value);
    else if (value.type === 'string') this.batch.addString(field, value.offset, value.length, value.escaped);
    else {
      const bits = BigInt.asIntN(64, value.value);
      this.batch.addInt(field, Number(bits >> 32n), Number(BigInt.asIntN(32, bits)));
    }
  }
}
