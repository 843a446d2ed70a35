/**
 * Reads the bytes of a record, trusting none of them: whatever is not there, too long, or no UTF-8 is a RecordError.
 * Nothing is allocated for a length before the bytes that it promises are seen. Used by record.ts.
 */
import { isUtf8 } from 'node:buffer';

/** Why a record can't be read: another program's version, or bytes that no encoder wrote. */
export type RecordErrorKind = 'version' | 'malformed';

/** A record that can't be read. */
export class RecordError extends Error {
  override readonly name = 'RecordError';
  readonly kind: RecordErrorKind;
  /** Its index among the records given. */
  record = 0;

  constructor(kind: RecordErrorKind, message: string) {
    super(message);
    this.kind = kind;
  }
}

/** Reads forward within `at` and `end` of a body. All methods: @throws {RecordError} malformed */
export class RecordReader {
  at = 0;
  end = 0;
  private readonly bytes: Buffer;
  private readonly view: DataView;

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.end = bytes.length;
  }

  byte(): number {
    if (this.at >= this.end) throw cutOff();
    return this.bytes[this.at++] as number;
  }

  varint(): number {
    let value = 0;
    for (let factor = 1; factor <= 2 ** 28; factor *= 128) {
      const byte = this.byte();
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
    throw new RecordError('malformed', 'a number is too long');
  }

  uint32(): number {
    const at = this.skip(4);
    return this.view.getUint32(at, true);
  }

  int32(): number {
    const at = this.skip(4);
    return this.view.getInt32(at, true);
  }

  int64(): bigint {
    const at = this.skip(8);
    return this.view.getBigInt64(at, true);
  }

  float64(): number {
    const at = this.skip(8);
    return this.view.getFloat64(at, true);
  }

  /** A text behind its length. */
  text(): string {
    const length = this.varint();
    const start = this.skip(length);
    const text = this.bytes.toString('utf8', start, start + length);
    if (text.includes('\ufffd') && !isUtf8(this.bytes.subarray(start, start + length)))
      throw new RecordError('malformed', 'a text is not UTF-8');
    return text;
  }

  /** A text free of NUL, which separates the parts of keys. */
  name(): string {
    const text = this.text();
    if (text.includes('\0')) throw new RecordError('malformed', 'a name has a NUL');
    return text;
  }

  /** Where the next `length` bytes start; goes on behind them. */
  skip(length: number): number {
    const { at } = this;
    if (length > this.end - at) throw cutOff();
    this.at = at + length;
    return at;
  }
}

function cutOff(): RecordError {
  return new RecordError('malformed', 'the record is cut off');
}
