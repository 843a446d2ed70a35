/**
 * The meaning of one `put` line of OpenTSDB's telnet protocol: its words, checked in OpenTSDB's order with OpenTSDB's
 * words (protocols: 3, column GW). Spaces between words collapse, for collectd doubles them and Telegraf ends lines
 * with one. Slow path; the fast path of telnet-put.ts must agree.
 */
import type { Scalar } from './json-reader.ts';
import type { PointLimits } from './limits.ts';
import {
  checkNames,
  describeTags,
  MAX_MILLISECONDS,
  MAX_SECONDS,
  type OpenTsdbRules,
  parseValue,
} from './opentsdb-point.ts';

/** A valid `put` line. */
export interface PutLine {
  readonly metric: string;
  readonly tags: readonly (readonly [key: string, value: string])[];
  readonly seconds: number;
  readonly nanos: number;
  readonly value: number;
  /** Where the metric stands, and where its value ends. */
  readonly metricStart: number;
  readonly metricEnd: number;
  readonly valueEnd: number;
}

/** What bounds a point. */
export interface PutRules {
  readonly rules: OpenTsdbRules;
  readonly limits: PointLimits;
}

interface Word {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

interface Time {
  readonly seconds: number;
  readonly nanos: number;
}

const SPACE = 0x20;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Parses the line at `start`..`end`, which begins with the word `put`; answers the point, or why it is none. */
export function parsePut(
  bytes: Uint8Array,
  { start, end }: { readonly start: number; readonly end: number },
  { rules, limits }: PutRules,
): PutLine | string {
  const words = splitWords(bytes, start, end);
  if (words === undefined) return 'illegal argument: the line is not UTF-8';
  const [, metric, timestamp, value, ...rest] = words;
  const fewest = rules.requireTags ? 4 : 3;
  if (metric === undefined || timestamp === undefined || value === undefined || words.length <= fewest) {
    if (value !== undefined && bytes[end - 1] === SPACE)
      return `illegal argument: Need at least one tag (metric=${metric?.text}, tags={})`;
    return `illegal argument: not enough arguments (need least ${fewest}, got ${words.length - 1})`;
  }
  const time = timeOf(timestamp.text);
  if (typeof time === 'string') return time;
  const number = parseValue(value.text);
  if (number === undefined) return `invalid value: ${numberProblem(value.text)}`;
  if (typeof number === 'string')
    return `illegal argument: ${number} for metric=${metric.text} timestamp=${timestamp.text}`;
  const tags = tagsOf(rest);
  if (typeof tags === 'string') return tags;
  if (time === undefined)
    return `illegal argument: bad timestamp=${timestamp.text} when trying to add value=${value.text} to metric=${metric.text}, tags=${describeTags(tags)}`;
  const reason = checkNames(metric.text, tags, rules, limits);
  if (reason !== undefined) return `illegal argument: ${reason}`;
  return {
    metric: metric.text,
    tags: [...tags].map(([key, tag]) => [key, tag.text]),
    ...time,
    value: number,
    metricStart: metric.start,
    metricEnd: metric.end,
    valueEnd: value.end,
  };
}

/** The words between spaces; undefined when one of them is not UTF-8. */
function splitWords(bytes: Uint8Array, from: number, end: number): readonly Word[] | undefined {
  const words: Word[] = [];
  for (let i = from; i < end; i++) {
    if (bytes[i] === SPACE) continue;
    const start = i;
    while (i < end && bytes[i] !== SPACE) i++;
    try {
      words.push({ start, end: i, text: utf8.decode(bytes.subarray(start, i)) });
    } catch {
      return undefined;
    }
  }
  return words;
}

/**
 * The integer part decides between seconds and milliseconds, the fraction is scaled: OpenTSDB deletes the point, which
 * is the same for three decimals and a wrong time for all others. Undefined: too large.
 */
function timeOf(text: string): Time | string | undefined {
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text);
  if (match === null) return `invalid value: ${numberProblem(text)}`;
  const [, sign, digits, fraction = ''] = match;
  if (sign === '-' || /^0+$/.test(digits as string)) return `illegal argument: invalid timestamp: ${text}`;
  if ((digits as string).length > 20) return `invalid value: Value too long: ${text}`;
  const units = BigInt(digits as string);
  if (units <= MAX_SECONDS) return { seconds: Number(units), nanos: scaled(fraction, 9) };
  if (units > MAX_MILLISECONDS) return undefined;
  const nanos = Number(units % 1_000n) * 1e6 + scaled(fraction, 6);
  return { seconds: Number(units / 1_000n), nanos };
}

/** Decimals as a number of `places` digits; further ones are cut. */
function scaled(fraction: string, places: number): number {
  return Number(fraction.slice(0, places).padEnd(places, '0'));
}

/** In the words of OpenTSDB's NumberFormatException. */
function numberProblem(text: string): string {
  const bad = /[^0-9+\-.eE]/u.exec(text);
  if (bad !== null) return `Invalid character '${bad[0]}' in ${text}`;
  return /^[+-]?\d+$/.test(text) ? `Value too long: ${text}` : `For input string: "${text}"`;
}

/** The tags, or what is wrong with one. The same pair may come twice. */
function tagsOf(words: readonly Word[]): ReadonlyMap<string, Scalar> | string {
  const tags = new Map<string, Scalar>();
  for (const { text } of words) {
    const [key, value, more] = text.split('=');
    if (!key || !value || more !== undefined) return `illegal argument: invalid tag: ${text}`;
    const known = tags.get(key);
    if (known !== undefined && known.text !== value)
      return `illegal argument: duplicate tag: ${text}, tags=${describeTags(tags)}`;
    tags.set(key, { kind: 'string', text: value });
  }
  return tags;
}
