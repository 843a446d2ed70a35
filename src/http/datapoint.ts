/**
 * Reads one element of a put body again, to name it in an answer: metric, timestamp, value as text, tags. Only for
 * elements that the parser has found to be well-formed JSON (bare NaN tokens and `null` included), so it checks
 * nothing; unknown fields are skipped without being decoded, at any depth.
 */

interface Datapoint {
  metric?: string | undefined;
  timestamp: bigint;
  value?: string | undefined;
  tags?: ReadonlyMap<string, string>;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const COLON = 0x3a;
const COMMA = 0x2c;
const SPACE = 0x20;

/** JSON text of the element at `offset`: what is missing or null is left out, the value is text. */
export function datapointJson(body: Uint8Array, offset: number): string {
  const scanner = new Scanner(body, offset);
  return scanner.atObject() ? stringify(readMembers(scanner)) : 'null';
}

function readMembers(scanner: Scanner): Datapoint {
  const point: Datapoint = { timestamp: 0n };
  scanner.members((key) => {
    if (key === 'metric') point.metric = scanner.scalar();
    else if (key === 'value') point.value = scanner.scalar();
    else if (key === 'timestamp') point.timestamp = wholeNumber(scanner.scalar() ?? '');
    else if (key === 'tags' && scanner.atObject()) point.tags = readTags(scanner);
    else scanner.skip();
  });
  return point;
}

function readTags(scanner: Scanner): ReadonlyMap<string, string> {
  const tags = new Map<string, string>();
  scanner.members((key) => {
    const value = scanner.scalar();
    if (value !== undefined) tags.set(key, value);
  });
  return tags;
}

/** A time as OpenTSDB's `long`: floats are cut, what is no number is 0. */
function wholeNumber(text: string): bigint {
  const trimmed = text.trim();
  if (/^[+-]?\d{1,19}$/.test(trimmed)) return BigInt(trimmed.replace('+', ''));
  const value = Math.trunc(Number(trimmed));
  return Number.isFinite(value) ? BigInt(value) : 0n;
}

function stringify(point: Datapoint): string {
  const parts: string[] = [];
  if (point.metric !== undefined) parts.push(`"metric":${JSON.stringify(point.metric)}`);
  parts.push(`"timestamp":${point.timestamp}`);
  if (point.value !== undefined) parts.push(`"value":${JSON.stringify(point.value)}`);
  if (point.tags !== undefined) {
    const tags = Array.from(point.tags, ([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
    parts.push(`"tags":{${tags.join(',')}}`);
  }
  return `{${parts.join(',')}}`;
}

/** A cursor over JSON that is known to be well-formed; the end of the bytes ends everything. */
class Scanner {
  private readonly body: Uint8Array;
  private at: number;

  constructor(body: Uint8Array, offset: number) {
    this.body = body;
    this.at = offset;
  }

  atObject(): boolean {
    return this.peek() === OPEN_OBJECT;
  }

  /** Calls `visit` for each member of the object here; `visit` has to pass its value. */
  members(visit: (key: string) => void): void {
    this.at++;
    while (this.at < this.body.length && this.peek() !== CLOSE_OBJECT) {
      const key = this.scalar() ?? '';
      if (this.peek() === COLON) this.at++;
      visit(key);
      if (this.peek() === COMMA) this.at++;
    }
    this.at++;
  }

  /** The text of the string, number or word here; undefined for null. */
  scalar(): string | undefined {
    const quoted = this.peek() === QUOTE;
    const start = this.at;
    this.skip();
    const text = Buffer.from(this.body.subarray(start, this.at)).toString('utf8');
    if (quoted) return unquote(text);
    return text === 'null' ? undefined : text;
  }

  /** Passes the value here. */
  skip(): void {
    const first = this.peek();
    if (first === QUOTE) this.skipString();
    else if (first === OPEN_OBJECT || first === OPEN_ARRAY) this.skipNested();
    else {
      this.at++;
      while (this.at < this.body.length && !endsWord(this.body[this.at] as number)) this.at++;
    }
  }

  private skipString(): void {
    this.at++;
    while (this.at < this.body.length && this.body[this.at] !== QUOTE) {
      this.at += this.body[this.at] === BACKSLASH ? 2 : 1;
    }
    this.at++;
  }

  private skipNested(): void {
    let depth = 0;
    do {
      const byte = this.body[this.at] as number;
      if (byte === QUOTE) {
        this.skipString();
        continue;
      }
      if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) depth++;
      else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) depth--;
      this.at++;
    } while (depth > 0 && this.at < this.body.length);
  }

  /** The next byte that is not white space; undefined at the end. */
  private peek(): number | undefined {
    while (this.at < this.body.length && (this.body[this.at] as number) <= SPACE) this.at++;
    return this.body[this.at];
  }
}

function endsWord(byte: number): boolean {
  return byte <= SPACE || byte === COMMA || byte === CLOSE_OBJECT || byte === CLOSE_ARRAY || byte === COLON;
}

/** The parser has checked the string; raw text stands in when it was cut. */
function unquote(text: string): string {
  try {
    return JSON.parse(text) as string;
  } catch {
    return text;
  }
}
