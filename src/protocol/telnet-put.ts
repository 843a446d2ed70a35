/**
 * Whole lines of OpenTSDB's telnet protocol from bytes into a PointBatch. Two paths: the fast one takes `put` lines
 * whose metric and tags were spelled the same way before, with plain numbers, allocating nothing per point; whatever
 * else it meets it leaves, without a trace, to the complete grammar (telnet-point.ts). Other commands are listed.
 */
import {
  type CommandLine,
  MAX_COMMANDS,
  type ParsedLines,
  type TelnetParser,
} from '../model/parse-result.ts';
import type { PointBatch } from '../model/point-batch.ts';
import type { Series } from '../model/series.ts';
import { hashUntil, viewOf } from './bytes.ts';
import { scratch } from './number.ts';
import type { OpenTsdbParserOptions } from './opentsdb-json.ts';
import { hashMembers } from './opentsdb-members.ts';
import { scanTimestamp, scanValue } from './opentsdb-numbers.ts';
import { PointErrors } from './point-errors.ts';
import { type SeriesDictionary, SpellingKind } from './series-dictionary.ts';
import type { Spelling } from './series-generation.ts';
import type { TableEntry } from './table-entry.ts';
import { type PutLine, parsePut } from './telnet-point.ts';

const NEWLINE = 0x0a;
const RETURN = 0x0d;
const SPACE = 0x20;
/** `put ` as a little-endian word, and `exit`. */
const PUT = 0x20747570;
const EXIT = 0x74697865;

/** Creates a parser; it is not reentrant, but `parse` is synchronous, so one serves all connections. */
export function createTelnetParser(
  dictionary: SeriesDictionary,
  options: OpenTsdbParserOptions,
): TelnetParser {
  const scanner = new TelnetScanner(dictionary, options);
  return { parse: (batch) => scanner.parse(batch) };
}

class TelnetScanner {
  private readonly dictionary: SeriesDictionary;
  private readonly options: OpenTsdbParserOptions;
  private readonly spelling: Spelling = { scope: 0, hash: 0, start1: 0, end1: 0, start2: 0, end2: 0 };
  private batch!: PointBatch;
  private bytes!: Uint8Array;
  private view!: DataView;
  private end = 0;
  private errors!: PointErrors;
  private commands: CommandLine[] = [];

  constructor(dictionary: SeriesDictionary, options: OpenTsdbParserOptions) {
    this.dictionary = dictionary;
    this.options = options;
  }

  parse(batch: PointBatch): ParsedLines {
    this.batch = batch;
    this.bytes = batch.body;
    this.view = viewOf(batch.body);
    this.end = batch.body.length;
    this.errors = new PointErrors(batch.body);
    this.commands = [];
    this.spelling.scope = this.dictionary.scope(batch.database, SpellingKind.telnet);
    this.dictionary.guesses.restart();
    for (let at = 0; at < this.end; ) {
      const next = this.options.fastPath === false ? -1 : this.fastLine(at);
      at = next >= 0 ? next : this.slowLine(at);
    }
    const { failed, list } = this.errors;
    return { kind: 'parsed', good: batch.rows, failed, errors: list, commands: this.commands };
  }

  /** Takes the line at `start` and returns where the next one starts, or -1 when the slow path must decide. */
  private fastLine(start: number): number {
    const { bytes, view, end, spelling, dictionary, batch } = this;
    if (start + 12 > end || view.getInt32(start, true) !== PUT) return -1;
    const { guesses } = dictionary;
    const guess = guesses.guess(spelling.scope);
    const metric = start + 4;
    let metricEnd = guess === 0 ? -1 : guesses.endOfFirst(view, metric, guess, SPACE);
    const guessed = metricEnd >= 0;
    if (!guessed) metricEnd = hashUntil(view, metric, 0, dictionary.seed, SPACE + 1);
    if (metricEnd >= end || bytes[metricEnd] !== SPACE) return -1;
    let i = scanTimestamp(view, bytes, metricEnd + 1, end);
    if (i < 0 || bytes[i] !== SPACE) return -1;
    const { seconds, nanos } = scratch;
    i = scanValue(bytes, i + 1, end);
    if (i < 0 || bytes[i] !== SPACE) return -1;
    spelling.start1 = metric;
    spelling.end1 = metricEnd;
    const series = this.seriesAt(guessed ? guess : 0, i + 1);
    if (series === undefined) return -1;
    const { table } = series.tagSet;
    const field = (table as TableEntry).valueField;
    if (field === undefined || !batch.hasRoomFor(table, this.options.limits.tablesPerRequest)) return -1;
    batch.beginRow(series, start);
    batch.setTime(seconds, nanos);
    batch.addFloat(field, scratch.value);
    batch.endRow();
    return bytes[spelling.end2] === NEWLINE ? spelling.end2 + 1 : spelling.end2 + 2;
  }

  /** The series whose tags begin at `start` and go to the line's end; `guess`: the record whose metric it has, or 0. */
  private seriesAt(guess: number, start: number): Series | undefined {
    const { bytes, view, spelling, dictionary } = this;
    const { guesses } = dictionary;
    if (guess !== 0) {
      let stop = guesses.endOfSecond(view, start, guess, NEWLINE);
      if (stop < 0) {
        stop = guesses.endOfSecond(view, start, guess, RETURN);
        if (bytes[stop + 1] !== NEWLINE) stop = -1;
      }
      spelling.end2 = stop;
      if (stop >= 0) return guesses.follow(guess);
    }
    const lineEnd = hashUntil(view, start, NEWLINE, dictionary.seed);
    if (lineEnd >= this.end) return undefined;
    spelling.start2 = start;
    spelling.end2 = bytes[lineEnd - 1] === RETURN ? lineEnd - 1 : lineEnd;
    if (spelling.end2 <= start) return undefined;
    spelling.hash = hashMembers(view, spelling, dictionary.seed);
    return dictionary.find(view, spelling);
  }

  /** The line at `start` by the complete grammar; returns where the next one starts. */
  private slowLine(start: number): number {
    const { bytes } = this;
    const found = bytes.indexOf(NEWLINE, start);
    const lineEnd = found < 0 ? this.end : found;
    const end = lineEnd > start && bytes[lineEnd - 1] === RETURN ? lineEnd - 1 : lineEnd;
    let first = start;
    while (first < end && bytes[first] === SPACE) first++;
    if (first === end) return lineEnd + 1;
    const isPut = this.isWord(start, end, PUT & 0xffffff, 3);
    const exits = this.isWord(start, end, EXIT, 4);
    // An end is never left out, or what follows it would be skipped without anybody's knowledge.
    if (isPut) this.put(start, end);
    else if (exits || this.commands.length < MAX_COMMANDS)
      this.commands.push({ offset: start, length: end - start });
    return exits ? this.end : lineEnd + 1;
  }

  /** True when the first word of the line is this one of `length` bytes. */
  private isWord(start: number, end: number, word: number, length: 3 | 4): boolean {
    const after = start + length;
    if (after > end || (after < end && this.bytes[after] !== SPACE)) return false;
    for (let i = 0; i < length; i++) if (this.bytes[start + i] !== ((word >> (i * 8)) & 0xff)) return false;
    return true;
  }

  private put(start: number, end: number): void {
    const line = parsePut(this.bytes, { start, end }, { rules: this.options, limits: this.options.limits });
    const reason = typeof line === 'string' ? line : this.store(line, start, end);
    if (reason !== undefined) this.errors.addLine(start, end, reason);
  }

  /** Adds a checked point as a row and remembers its spelling; answers why it was refused, or undefined. */
  private store(line: PutLine, start: number, end: number): string | undefined {
    const { batch, view, spelling, dictionary } = this;
    const series = dictionary.series(batch.database, line.metric, line.tags);
    const { tablesPerRequest } = this.options.limits;
    if (!batch.hasRoomFor(series.tagSet.table, tablesPerRequest))
      return `illegal argument: more than ${tablesPerRequest} metrics at once`;
    if (line.valueEnd + 1 < end) {
      spelling.start1 = line.metricStart;
      spelling.end1 = line.metricEnd;
      spelling.start2 = line.valueEnd + 1;
      spelling.end2 = end;
      spelling.hash = hashMembers(view, spelling, dictionary.seed);
      dictionary.addSpelling(view, spelling, series);
    }
    const table = series.tagSet.table as TableEntry;
    table.valueField ??= table.field(this.options.valueColumn).of('float64');
    batch.beginRow(series, start);
    batch.setTime(line.seconds, line.nanos);
    batch.addFloat(table.valueField, line.value);
    batch.endRow();
    return undefined;
  }
}
