/**
 * The meaning of one OpenTSDB data point: reads the JSON object's known members and checks them in OpenTSDB's order
 * with OpenTSDB's words (protocols: 2.4, 2.5, column GW). Slow path; the fast path of opentsdb-json.ts must agree.
 */
import { JsonError, type JsonReader, type Scalar } from './json-reader.ts';
import type { PointLimits } from './limits.ts';
import { parseDecimal, parseInteger } from './number.ts';

/** What OpenTSDB's own settings allow. */
export interface OpenTsdbRules {
  /** `tsd.storage.max_tags`; 0 = no bound but the general one. */
  readonly maxTags: number;
  readonly requireTags: boolean;
  /** Characters allowed in names beside letters, digits and `-_./` (`tsd.core.tag.allow_specialchars`). */
  readonly extraNameChars: string;
}

/** A data point as its JSON object has it. */
export interface RawPoint {
  metric: Scalar | undefined;
  timestamp: bigint;
  value: Scalar | undefined;
  tags: Map<string, Scalar>;
  /** Where the metric's quoted text and the text between the braces of the tags stand; 0 when absent. */
  metricStart: number;
  metricEnd: number;
  tagsStart: number;
  tagsEnd: number;
}

/** A valid data point. */
export interface OpenTsdbPoint {
  readonly metric: string;
  readonly tags: readonly (readonly [key: string, value: string])[];
  readonly milliseconds: bigint;
  readonly value: number;
}

const INT64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n };
/** Timestamps up to here are seconds, larger ones milliseconds. */
export const MAX_SECONDS = 4_294_967_295n;
/** Milliseconds beyond this overflow 64 bits of nanoseconds (OpenTSDB itself stops at 9,999,999,999,999). */
export const MAX_MILLISECONDS = 9_223_372_036_854n;

/** Reads an element: a point, or undefined for `null`. @throws {JsonError} when the whole body must be refused */
export function readPoint(reader: JsonReader): RawPoint | undefined {
  if (reader.peek() === 0x6e && reader.scalar().kind === 'null') return undefined;
  const point: RawPoint = {
    metric: undefined,
    timestamp: 0n,
    value: undefined,
    tags: new Map(),
    metricStart: 0,
    metricEnd: 0,
    tagsStart: 0,
    tagsEnd: 0,
  };
  reader.expect('{');
  if (reader.accept('}')) return point;
  do readMember(reader, point);
  while (reader.accept(','));
  reader.expect('}');
  return point;
}

function readMember(reader: JsonReader, point: RawPoint): void {
  const name = reader.memberName();
  reader.peek();
  const start = reader.at;
  if (name === 'metric') {
    point.metric = reader.scalar();
    point.metricStart = start + 1;
    point.metricEnd = reader.at - 1;
  } else if (name === 'timestamp') point.timestamp = timestamp(reader.scalar(), start);
  else if (name === 'value') point.value = reader.scalar();
  else if (name === 'tags') readTags(reader, point);
  else reader.skipValue();
}

function readTags(reader: JsonReader, point: RawPoint): void {
  point.tags.clear();
  point.tagsStart = point.tagsEnd = 0;
  if (reader.peek() !== 0x7b && reader.scalar().kind === 'null') return;
  reader.expect('{');
  point.tagsStart = reader.at;
  if (!reader.accept('}')) {
    do {
      const key = reader.memberName();
      const value = reader.scalar();
      // As a Java map: a key that comes again keeps its place and takes the new value.
      point.tags.set(key, value);
    } while (reader.accept(','));
    reader.expect('}');
  }
  point.tagsEnd = reader.at - 1;
}

/** A timestamp as Jackson makes a `long` of it: floats are cut, digit strings taken, null and "" are 0. */
function timestamp(scalar: Scalar, at: number): bigint {
  if (scalar.kind === 'null') return 0n;
  const text = scalar.text.trim();
  if (scalar.kind === 'string' && text === '') return 0n;
  const integer = parseInteger(text, INT64.min, INT64.max);
  if (integer !== undefined) return integer;
  const float = Math.trunc(Number(text));
  if (scalar.kind === 'number' && Number.isNaN(float)) return 0n;
  if (scalar.kind !== 'number' || /^[+-]?\d+$/.test(text) || !(Math.abs(float) < 2 ** 63)) {
    throw new JsonError('timestamp is not a 64-bit integer', at);
  }
  return BigInt(float);
}

/** Checks a point in OpenTSDB's order; answers the point, or the reason why not. */
export function checkPoint(raw: RawPoint, rules: OpenTsdbRules, limits: PointLimits): OpenTsdbPoint | string {
  const metric = present(raw.metric);
  if (metric === undefined) return 'Metric name was empty';
  if (raw.timestamp <= 0n) return 'Invalid timestamp';
  const valueText = present(raw.value);
  if (valueText === undefined) return 'Empty value';
  if (raw.tags.size === 0 && rules.requireTags) return 'Missing tags';
  const value = parseValue(valueText);
  if (typeof value === 'string') return `${value} for metric=${metric} timestamp=${raw.timestamp}`;
  if (value === undefined) return 'Unable to parse value to a number';
  const milliseconds = raw.timestamp <= MAX_SECONDS ? raw.timestamp * 1_000n : raw.timestamp;
  if (milliseconds > MAX_MILLISECONDS) {
    return `bad timestamp=${raw.timestamp} when trying to add value=${valueText} to metric=${metric}, tags=${describeTags(raw.tags)}`;
  }
  const reason = checkNames(metric, raw.tags, rules, limits);
  if (reason !== undefined) return reason;
  return { metric, tags: [...raw.tags].map(([key, tag]) => [key, tag.text]), milliseconds, value };
}

function present(scalar: Scalar | undefined): string | undefined {
  return scalar === undefined || scalar.kind === 'null' || scalar.text === '' ? undefined : scalar.text;
}

/** The value, undefined when it is no number, or the reason's beginning when it is too large. */
export function parseValue(text: string): number | string | undefined {
  if (/^[+-]?\d+$/.test(text)) {
    const integer = parseInteger(text, INT64.min, INT64.max);
    return integer === undefined ? undefined : Number(integer);
  }
  const value = parseDecimal(text);
  if (value !== undefined) return value;
  const overflow =
    /^[+-]?[\d.]+[eE][+-]?\d+$/.test(text) && Math.abs(Number(text)) === Number.POSITIVE_INFINITY;
  return overflow ? `value is NaN or Infinite: ${text.startsWith('-') ? '-' : ''}Infinity` : undefined;
}

/** Why the names of a point can't be taken, or undefined. */
export function checkNames(
  metric: string,
  tags: ReadonlyMap<string, Scalar>,
  rules: OpenTsdbRules,
  limits: PointLimits,
): string | undefined {
  const most = rules.maxTags === 0 ? limits.tagsPerPoint : rules.maxTags;
  if (tags.size > most)
    return `Too many tags: ${tags.size} maximum allowed: ${most}, tags: ${describeTags(tags)}`;
  const bad = checkName('metric name', metric, rules, limits.nameBytes);
  if (bad !== undefined) return bad;
  for (const [key, { kind, text }] of tags) {
    const reason =
      checkName(`tag name with value [${text}]`, key, rules, limits.nameBytes) ??
      checkName(
        `tag value with key [${key}]`,
        kind === 'null' ? undefined : text,
        rules,
        limits.tagValueBytes,
      );
    if (reason !== undefined) return reason;
  }
  return undefined;
}

/** OpenTSDB's `Tags.validateString`: ASCII letters and digits, `-_./`, and letters of the basic plane. */
function checkName(
  what: string,
  text: string | undefined,
  rules: OpenTsdbRules,
  maxBytes: number,
): string | undefined {
  if (text === undefined) return `Invalid ${what}: null`;
  if (text === '') return `Invalid ${what}: empty string`;
  if (Buffer.byteLength(text) > maxBytes) return `Invalid ${what}: longer than ${maxBytes} bytes`;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charAt(i);
    if (/[A-Za-z0-9\-_./]/.test(unit) || rules.extraNameChars.includes(unit)) continue;
    // Surrogates are no letters, so astral letters and emoji are refused, as by Java's Character.isLetter(char).
    if (unit < '\u0080' || !/^\p{L}$/u.test(unit))
      return `Invalid ${what} ("${text}"): illegal character: ${unit}`;
  }
  return undefined;
}

/** Tags as OpenTSDB prints them. */
export function describeTags(tags: ReadonlyMap<string, Scalar>): string {
  return `{${[...tags].map(([key, { text }]) => `${key}=${text}`).join(', ')}}`;
}
