/**
 * OpenTSDB's `/api/put` JSON from bytes into a PointBatch. Two paths: the fast one (opentsdb-members.ts) takes points whose metric and
 * tags were spelled the same way before, with plain numbers, allocating nothing per point; whatever else it meets
 * it leaves, without a trace, to the complete reader (json-reader.ts, opentsdb-point.ts).
 */

import type { MalformedBody, OpenTsdbParser, ParsedPoints } from '../model/parse-result.ts';
import type { PointBatch } from '../model/point-batch.ts';
import { viewOf } from './bytes.ts';
import { JsonError, JsonReader } from './json-reader.ts';
import { type PointLimits, tooManyPoints } from './limits.ts';
import { hashMembers, OpenTsdbMembers } from './opentsdb-members.ts';
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

const OPEN = 0x7b;
const CLOSE = 0x7d;

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
  private errors!: PointErrors;
  private reader!: JsonReader;
  private readonly members: OpenTsdbMembers;

  constructor(dictionary: SeriesDictionary, options: OpenTsdbParserOptions) {
    this.dictionary = dictionary;
    this.options = options;
    this.members = new OpenTsdbMembers(dictionary);
  }

  parse(batch: PointBatch): ParsedPoints | MalformedBody {
    this.batch = batch;
    this.bytes = batch.body;
    this.view = viewOf(batch.body);
    this.errors = new PointErrors(batch.body);
    this.reader = new JsonReader(batch.body, this.options.limits.jsonDepth);
    this.spelling.scope = this.dictionary.scope(batch.database, SpellingKind.opentsdb);
    this.members.begin(batch, this.spelling.scope);
    const malformed = this.body();
    if (malformed === undefined) {
      return { kind: 'parsed', good: batch.rows, failed: this.errors.failed, errors: this.errors.list };
    }
    batch.reset(batch.body, batch.database);
    return malformed;
  }

  private body(): MalformedBody | undefined {
    const { reader } = this;
    const { limits } = this.options;
    const first = reader.peek();
    if (first < 0) return refuse('Missing request content');
    if (first !== OPEN && first !== 0x5b) return refuse('The JSON must start as an object or an array');
    try {
      if (first === OPEN) this.element(0);
      else {
        reader.at++;
        if (reader.accept(']')) return refuse('No datapoints found in content');
        for (let index = 0; ; index++) {
          if (index >= limits.pointsPerRequest) throw tooManyPoints(limits);
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
    const reason = typeof point === 'string' ? point : this.store(raw as RawPoint, point, start);
    if (reason !== undefined) this.errors.addElement(start, reader.at, index, reason);
  }

  /** Takes the object at `start`; returns the position after it, or -1 when the slow path must decide. */
  private fastPoint(start: number): number {
    const { members } = this;
    const i = members.read(start + 1);
    if (i < 0) return -1;
    const series = members.findSeries();
    if (series === undefined) return -1;
    const field = (series.tagSet.table as TableEntry).valueField;
    if (field === undefined) return -1;
    const { batch } = this;
    if (!batch.hasRoomFor(series.tagSet.table, this.options.limits.tablesPerRequest)) return -1;
    batch.beginRow(series, start);
    batch.setTime(members.seconds, members.nanos);
    batch.addFloat(field, members.value);
    batch.endRow();
    return i;
  }

  /**
   * Adds a checked point as a row and remembers its spelling when the fast path can recognise it. Answers why the point
   * was refused, or undefined.
   */
  private store(raw: RawPoint, point: OpenTsdbPoint, start: number): string | undefined {
    const { batch, view, bytes, spelling } = this;
    const series = this.dictionary.series(batch.database, point.metric, point.tags);
    const { tablesPerRequest } = this.options.limits;
    if (!batch.hasRoomFor(series.tagSet.table, tablesPerRequest))
      return `more than ${tablesPerRequest} metrics in one request`;
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
      spelling.hash = hashMembers(view, spelling, this.dictionary.seed);
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
    return undefined;
  }
}

function refuse(message: string, details?: string): MalformedBody {
  return { kind: 'malformed', message, details };
}
