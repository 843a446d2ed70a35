/**
 * The complete grammar of line protocol for one line, as InfluxDB 1.x reads it (protocols: section 4, column GW).
 * Slow and plain: it decides what is right, and the fast path in line-protocol.ts must agree with it. A byte that
 * follows a backslash never delimits.
 */

import { isUtf8 } from 'node:buffer';
import type { Precision } from '../model/parse-result.ts';
import type { PointLimits } from './limits.ts';
import { MAX_TIME, MIN_TIME, parseTimestamp } from './line-time.ts';
import { parseDecimal, parseInteger } from './number.ts';

/** A field's value; strings by their place in the body. */
export type LineValue =
  | { readonly type: 'float64'; readonly value: number }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'int64' | 'uint64'; readonly value: bigint }
  | { readonly type: 'string'; readonly offset: number; readonly length: number; readonly escaped: boolean };

/** A field as it stands in the line: where its name is spelled, the name, the value. */
export interface LineField {
  readonly start: number;
  readonly end: number;
  readonly name: string;
  readonly value: LineValue;
}

/** A line taken apart. `time` undefined: the server's time. */
export interface ParsedLine {
  readonly measurement: string;
  readonly tags: readonly (readonly [key: string, value: string])[];
  /** End of measurement and tags. */
  readonly keyEnd: number;
  readonly fields: readonly LineField[];
  readonly time: bigint | undefined;
}

const COMMA = 0x2c;
const SPACE = 0x20;
const EQUALS = 0x3d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const NEWLINE = 0x0a;
const MAX_KEY_BYTES = 65_535;
const BOOLEANS = new Map([
  ...['t', 'T', 'true', 'True', 'TRUE'].map((word) => [word, true] as const),
  ...['f', 'F', 'false', 'False', 'FALSE'].map((word) => [word, false] as const),
]);

/** Thrown for a line that can't be taken, with the reason. No Error: taking its stack would cost twice the parsing. */
class LineError {
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }
}

/** End of the line that starts at `start` (its newline, or the end of the body): a newline in quotes is text. */
export function findLineEnd(bytes: Uint8Array, start: number): number {
  if (bytes[start] === 0x23) return nextNewline(bytes, start);
  let i = start;
  while (i < bytes.length && bytes[i] !== NEWLINE && !(bytes[i] === SPACE && bytes[i - 1] !== BACKSLASH)) i++;
  let quoted = false;
  let open = 0; // equals signs less commas: a quote means something only in a value
  for (; i < bytes.length; i++) {
    const byte = bytes[i];
    if (byte === BACKSLASH && (quoted || bytes[i + 1] !== NEWLINE)) i++;
    else if (byte === QUOTE && open > 0) quoted = !quoted;
    else if (quoted) continue;
    else if (byte === EQUALS) open++;
    else if (byte === COMMA) open--;
    else if (byte === NEWLINE) return i;
  }
  return bytes.length;
}

function nextNewline(bytes: Uint8Array, start: number): number {
  const at = bytes.indexOf(NEWLINE, start);
  return at < 0 ? bytes.length : at;
}

/** Takes the line `start`..`end` apart, or answers the reason why it can't. */
export function parseLine(
  bytes: Uint8Array,
  range: { start: number; end: number },
  precision: Precision,
  limits: PointLimits,
): ParsedLine | string {
  try {
    if (range.end - range.start > limits.lineBytes)
      throw new LineError(`line is longer than ${limits.lineBytes} bytes`);
    return new LineReader(bytes, range.start, range.end, limits).read(precision);
  } catch (error) {
    if (error instanceof LineError) return error.message;
    throw error;
  }
}

class LineReader {
  private readonly bytes: Uint8Array;
  private i: number;
  private readonly end: number;
  private readonly limits: PointLimits;

  constructor(bytes: Uint8Array, start: number, end: number, limits: PointLimits) {
    this.bytes = bytes;
    this.i = start;
    this.end = end;
    this.limits = limits;
  }

  read(precision: Precision): ParsedLine {
    const start = this.i;
    const measurement = this.measurement();
    const tags = this.tags();
    const keyEnd = this.i;
    this.skipSpaces();
    const fields = this.fields(keyEnd - start);
    this.skipSpaces();
    const from = this.i;
    while (this.i < this.end && this.bytes[this.i] !== SPACE) this.i++;
    const time = this.i > from ? parseTimestamp(this.text(from, this.i), precision) : undefined;
    if (typeof time === 'string') throw new LineError(time);
    this.skipSpaces();
    if (this.i < this.end) throw new LineError('point is invalid');
    return { measurement, tags, keyEnd, fields, time };
  }

  private measurement(): string {
    if (this.bytes[this.i] === COMMA) throw new LineError('missing measurement');
    const start = this.i;
    this.i = this.scan(start + 1, COMMA, SPACE, -1);
    if (this.i >= this.end) throw new LineError('missing fields');
    return this.name(start, this.i, 'measurement');
  }

  private tags(): [string, string][] {
    const tags: [string, string][] = [];
    const keys = new Set<string>();
    while (this.bytes[this.i] === COMMA) {
      const [key, value] = this.tag();
      if (keys.has(key)) throw new LineError('duplicate tags');
      if (tags.length >= this.limits.tagsPerPoint)
        throw new LineError(`more than ${this.limits.tagsPerPoint} tags`);
      keys.add(key);
      tags.push([key, value]);
    }
    return tags;
  }

  private tag(): [string, string] {
    const start = this.i + 1;
    if (start >= this.end || this.isOneOf(start, COMMA, SPACE, EQUALS))
      throw new LineError('missing tag key');
    const equals = this.scan(start + 1, COMMA, SPACE, EQUALS);
    if (this.bytes[equals] !== EQUALS || equals >= this.end) throw new LineError('missing tag value');
    const from = equals + 1;
    if (from >= this.end || this.isOneOf(from, COMMA, SPACE, -1)) throw new LineError('missing tag value');
    this.i = this.scan(from, COMMA, SPACE, EQUALS);
    if (this.i >= this.end) throw new LineError('missing fields');
    if (this.bytes[this.i] === EQUALS) throw new LineError('invalid tag format');
    if (this.i - from > this.limits.tagValueBytes) {
      throw new LineError(`tag value is longer than ${this.limits.tagValueBytes} bytes`);
    }
    return [this.name(start, equals, 'tag key'), unescape(this.clean(from, this.i))];
  }

  private fields(keyBytes: number): LineField[] {
    const fields: LineField[] = [];
    if (this.i >= this.end) throw new LineError('missing fields');
    for (;;) {
      const field = this.field();
      const size = keyBytes + 4 + (field.end - field.start);
      if (size > MAX_KEY_BYTES) throw new LineError(`max key length exceeded: ${size} > ${MAX_KEY_BYTES}`);
      if (fields.length >= this.limits.fieldsPerPoint) {
        throw new LineError(`more than ${this.limits.fieldsPerPoint} fields`);
      }
      fields.push(field);
      if (this.i >= this.end || this.bytes[this.i] === SPACE) return fields;
      if (this.bytes[this.i] !== COMMA) throw new LineError('invalid field format');
      this.i++;
    }
  }

  private field(): LineField {
    const start = this.i;
    if (this.bytes[start] === EQUALS) throw new LineError('missing field key');
    const end = this.scan(start, COMMA, SPACE, EQUALS);
    if (end >= this.end || this.bytes[end] !== EQUALS) throw new LineError('invalid field format');
    const name = this.name(start, end, 'field key');
    this.i = end + 1;
    if (this.i >= this.end || this.isOneOf(this.i, COMMA, SPACE, -1))
      throw new LineError('missing field value');
    return { start, end, name, value: this.bytes[this.i] === QUOTE ? this.string(name) : this.scalar() };
  }

  private string(name: string): LineValue {
    const offset = this.i + 1;
    let escaped = false;
    let i = offset;
    for (; i < this.end && this.bytes[i] !== QUOTE; i++) {
      if (this.bytes[i] !== BACKSLASH) continue;
      if (this.isOneOf(i + 1, QUOTE, BACKSLASH, -1)) escaped = true;
      i++;
    }
    if (i >= this.end) throw new LineError('unbalanced quotes');
    const length = i - offset;
    if (length > this.limits.stringBytes) {
      throw new LineError(`input field "${name}" is too long, ${length} > ${this.limits.stringBytes}`);
    }
    this.clean(offset, i, true);
    this.i = i + 1;
    return { type: 'string', offset, length, escaped };
  }

  private scalar(): LineValue {
    const start = this.i;
    while (this.i < this.end && !this.isOneOf(this.i, COMMA, SPACE, -1)) this.i++;
    const text = this.text(start, this.i);
    const first = text.charCodeAt(0);
    const numeric = (first >= 0x30 && first <= 0x39) || first === 0x2e || first === 0x2d;
    if (!numeric && !/^n/i.test(text)) {
      const value = BOOLEANS.get(text);
      if (value === undefined) throw new LineError('invalid boolean');
      return { type: 'bool', value };
    }
    return number(text);
  }

  /** First position from `i` on that holds one of the bytes and does not follow a backslash, or the end. */
  private scan(i: number, a: number, b: number, c: number): number {
    let at = i;
    while (at < this.end && !(this.isOneOf(at, a, b, c) && this.bytes[at - 1] !== BACKSLASH)) at++;
    return at;
  }

  private isOneOf(i: number, a: number, b: number, c: number): boolean {
    const byte = this.bytes[i];
    return byte === a || byte === b || byte === c;
  }

  private skipSpaces(): void {
    while (this.i < this.end && this.bytes[this.i] === SPACE) this.i++;
  }

  private name(start: number, end: number, what: string): string {
    if (end - start > this.limits.nameBytes)
      throw new LineError(`${what} is longer than ${this.limits.nameBytes} bytes`);
    return unescape(this.clean(start, end));
  }

  /** The text of a range that must be UTF-8 and, outside quotes, free of NUL and line breaks. */
  private clean(start: number, end: number, quoted = false): string {
    const text = this.text(start, end);
    if (text.includes('\ufffd') && !isUtf8(this.bytes.subarray(start, end)))
      throw new LineError('invalid UTF-8');
    if (!quoted && /[\0\n]/.test(text)) throw new LineError('NUL or line break in a name or tag value');
    return text;
  }

  private text(start: number, end: number): string {
    return Buffer.from(this.bytes.buffer, this.bytes.byteOffset + start, end - start).toString('utf8');
  }
}

function unescape(text: string): string {
  return text.includes('\\') ? text.replace(/\\([,= ])/g, '$1') : text;
}

function number(text: string): LineValue {
  const suffix = text.at(-1);
  if (suffix === 'i' || suffix === 'u') {
    const signed = suffix === 'i';
    const digits = text.slice(0, -1);
    if (!/^-?\d+$/.test(digits) || (!signed && digits.startsWith('-'))) throw new LineError('invalid number');
    const value = signed
      ? parseInteger(digits, MIN_TIME - 2n, MAX_TIME + 1n)
      : parseInteger(digits, 0n, 2n ** 64n - 1n);
    const kind = signed ? 'integer' : 'unsigned';
    if (value === undefined) throw new LineError(`unable to parse ${kind} ${digits}: value out of range`);
    return { type: signed ? 'int64' : 'uint64', value };
  }
  const value = parseDecimal(text);
  if (value === undefined) throw new LineError('invalid number');
  return { type: 'float64', value };
}

/** Why a line that names a field more than once is refused, in the words of InfluxDB 3. */
export function repeatedField({ fields }: ParsedLine): string {
  const names = fields.map(({ name }) => name);
  const repeated = names.find((name, index) => names.indexOf(name) < index);
  return `multiple instances of '${repeated}' field found`;
}
