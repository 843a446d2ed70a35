/**
 * Reads JSON from bytes as OpenTSDB's parser (Jackson) does: strict, but for the tokens NaN, Infinity, +INF and the
 * like where a value may stand (protocols: 2.3). It hands out scalars by their text, so that no number loses digits.
 * Slow path of opentsdb-json.ts; never recursive, nesting is bounded.
 */

/** A scalar by its text; strings with escapes resolved. */
export interface Scalar {
  readonly kind: 'string' | 'number' | 'bool' | 'null';
  readonly text: string;
}

/** The text is not JSON, or a value is not of the kind it must be; `at` is the byte offset. */
export class JsonError extends Error {
  readonly at: number;

  constructor(message: string, at: number) {
    super(`${message} at byte ${at}`);
    this.at = at;
  }
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /true|false|null|NaN|[+-]?Infinity|[+-]INF/y;
const MAX_NUMBER_BYTES = 1_000;
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** See the module comment. `at` is the read position and may be set. */
export class JsonReader {
  at = 0;
  private readonly bytes: Uint8Array;
  private readonly maxDepth: number;

  constructor(bytes: Uint8Array, maxDepth: number) {
    this.bytes = bytes;
    this.maxDepth = maxDepth;
  }

  /** The next byte that is not white space, or -1 at the end; the position stays on it. */
  peek(): number {
    for (; this.at < this.bytes.length; this.at++) {
      const byte = this.bytes[this.at] as number;
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return byte;
    }
    return -1;
  }

  /** Skips white space and the byte that must come. */
  expect(character: string): void {
    if (this.peek() !== character.charCodeAt(0)) throw new JsonError(`expected ${character}`, this.at);
    this.at++;
  }

  /** Skips the byte when it comes next. */
  accept(character: string): boolean {
    if (this.peek() !== character.charCodeAt(0)) return false;
    this.at++;
    return true;
  }

  /** A string. */
  string(): string {
    this.peek();
    const start = this.at;
    this.expect('"');
    let end = this.at;
    for (; this.bytes[end] !== 0x22; end++) {
      const byte = this.bytes[end];
      if (byte === undefined) throw new JsonError('unclosed string', start);
      if (byte < 0x20) throw new JsonError('control character in a string', end);
      if (byte === 0x5c) end++;
    }
    this.at = end + 1;
    try {
      // Escapes are resolved by JSON.parse on this one token; UTF-8 must be valid before, or bytes would be lost.
      return JSON.parse(UTF8.decode(this.bytes.subarray(start, end + 1))) as string;
    } catch (cause) {
      throw new JsonError(cause instanceof SyntaxError ? 'bad escape in a string' : 'invalid UTF-8', start);
    }
  }

  /** A string, number, boolean or null. @throws {JsonError} on anything else */
  scalar(): Scalar {
    const byte = this.peek();
    if (byte === 0x22) return { kind: 'string', text: this.string() };
    if (byte === 0x7b || byte === 0x5b)
      throw new JsonError('an object or array stands where a scalar must', this.at);
    const text = Buffer.from(this.bytes.subarray(this.at, this.at + MAX_NUMBER_BYTES)).toString('latin1');
    const word = matchAt(WORD, text);
    const token = word ?? matchAt(NUMBER, text);
    if (token === undefined || /^[\w.+-]/.test(text.slice(token.length)))
      throw new JsonError('unexpected token', this.at);
    this.at += token.length;
    if (token === 'null') return { kind: 'null', text: token };
    return { kind: token === 'true' || token === 'false' ? 'bool' : 'number', text: token };
  }

  /** Skips any value, checking its syntax. */
  skipValue(): void {
    const closers: string[] = [];
    do {
      const opened = this.accept('{') ? '}' : this.accept('[') ? ']' : undefined;
      if (opened === undefined) this.scalar();
      else if (this.accept(opened)) {
        // Empty: closed at once.
      } else {
        if (closers.push(opened) >= this.maxDepth)
          throw new JsonError(`nested deeper than ${this.maxDepth}`, this.at);
        if (opened === '}') this.memberName();
        continue;
      }
      this.afterValue(closers);
    } while (closers.length > 0);
  }

  /** A member's name and its colon. */
  memberName(): string {
    if (this.peek() !== 0x22) throw new JsonError('expected a member name', this.at);
    const name = this.string();
    this.expect(':');
    return name;
  }

  /** After a value inside containers: closes those that end here, or moves to the next value. */
  private afterValue(closers: string[]): void {
    while (closers.length > 0) {
      const closer = closers[closers.length - 1] as string;
      if (this.accept(',')) {
        if (closer === '}') this.memberName();
        return;
      }
      this.expect(closer);
      closers.pop();
    }
  }
}

function matchAt(pattern: RegExp, text: string): string | undefined {
  pattern.lastIndex = 0;
  return pattern.exec(text)?.[0];
}
