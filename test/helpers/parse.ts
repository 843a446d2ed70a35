/** Parses text with fresh or shared parsers, and compares the fast path with the slow one. */
import assert from 'node:assert/strict';
import type { MalformedBody, ParsedPoints, Precision } from '../../src/model/parse-result.ts';
import { PointBatch } from '../../src/model/point-batch.ts';
import { createLineParser } from '../../src/protocol/line-protocol.ts';
import { createOpenTsdbParser } from '../../src/protocol/opentsdb-json.ts';
import { SeriesDictionary } from '../../src/protocol/series-dictionary.ts';
import { DEFAULT_LIMITS, DEFAULT_RULES, type ReadRow, readRows } from './parsers.ts';

/** A parse and its rows. */
export interface Parsed {
  readonly result: ParsedPoints | MalformedBody;
  readonly rows: readonly ReadRow[];
}

/** Parses a body; calls on one parser share its dictionary. */
export type Parse = (body: string | Uint8Array) => Parsed;

/** The wall clock of the tests. */
export const NOW_MS = 1_700_000_000_123;

/** Settings that a test changes. */
export interface ParseSettings {
  readonly precision?: Precision;
  readonly limits?: Partial<typeof DEFAULT_LIMITS>;
  readonly rules?: Partial<typeof DEFAULT_RULES>;
  readonly maxSeries?: number;
}

/** A line protocol parser, with the fast path or without it. */
export function lineParser(fastPath: boolean, settings: ParseSettings = {}): Parse {
  const parser = createLineParser(dictionary(settings), {
    limits: { ...DEFAULT_LIMITS, ...settings.limits },
    fastPath,
  });
  return (body) => run(body, (batch) => parser.parse(batch, settings.precision ?? 'ns', NOW_MS));
}

/** An OpenTSDB parser, with the fast path or without it. */
export function openTsdbParser(fastPath: boolean, settings: ParseSettings = {}): Parse {
  const limits = { ...DEFAULT_LIMITS, ...settings.limits };
  const parser = createOpenTsdbParser(dictionary(settings), {
    ...DEFAULT_RULES,
    ...settings.rules,
    limits,
    fastPath,
  });
  return (body) => run(body, (batch) => parser.parse(batch));
}

/** Asserts that a parser that learns as it goes answers what one without a fast path does; returns the answer. */
export function assertSame(fast: Parse, slow: Parse, body: string | Uint8Array): Parsed {
  const expected = slow(body);
  // Twice: the first time the fast parser may have to learn the spellings.
  assert.deepEqual(fast(body), expected);
  assert.deepEqual(fast(body), expected);
  return expected;
}

function dictionary(settings: ParseSettings): SeriesDictionary {
  return new SeriesDictionary({ maxSeries: settings.maxSeries ?? 10_000, maxBytes: 10_000_000 }, 99);
}

function run(body: string | Uint8Array, parse: (batch: PointBatch) => ParsedPoints | MalformedBody): Parsed {
  const batch = new PointBatch(1, 1);
  batch.reset(typeof body === 'string' ? Buffer.from(body) : body, 'public');
  const result = parse(batch);
  return { result, rows: readRows(batch) };
}
