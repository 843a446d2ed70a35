/**
 * Bytes of a record while it is written: one scratch buffer that grows and is used again, so that a request costs one
 * allocation, the finished copy. Strings go out as UTF-8 behind their length in bytes. Used by record.ts alone.
 */

const FIRST_BYTES = 64 * 1024;
/** A scratch buffer that one huge row made larger than this is not kept. */
const KEPT_BYTES = 4 * 2 ** 20;
/** Up to here a loop over the characters is faster than a call into the runtime; one byte holds the length. */
const SHORT = 64;
const MAX_VARINT_BYTES = 5;

/** Writes into its scratch buffer; `at` is how much is written. */
export class RecordWriter {
  at = 0;
  private bytes = Buffer.allocUnsafeSlow(FIRST_BYTES);
  private view = viewOf(this.bytes);

  /** Begins anew. */
  clear(): void {
    this.at = 0;
    if (this.bytes.length > KEPT_BYTES) this.replace(FIRST_BYTES);
  }

  /** A copy of what is written. */
  copy(): Uint8Array {
    return Uint8Array.prototype.slice.call(this.bytes, 0, this.at);
  }

  byte(value: number): void {
    if (this.at >= this.bytes.length) this.grow(1);
    this.bytes[this.at++] = value;
  }

  /** An integer from 0 to 2^32 - 1 in one to five bytes, seven bits each, the lowest first. */
  varint(value: number): void {
    if (this.at + MAX_VARINT_BYTES > this.bytes.length) this.grow(MAX_VARINT_BYTES);
    let rest = value;
    while (rest > 127) {
      this.bytes[this.at++] = (rest & 127) | 128;
      rest >>>= 7;
    }
    this.bytes[this.at++] = rest;
  }

  /** Eight bytes, the lowest first, from two halves. */
  halves(low: number, high: number): void {
    if (this.at + 8 > this.bytes.length) this.grow(8);
    this.view.setInt32(this.at, low, true);
    this.view.setInt32(this.at + 4, high, true);
    this.at += 8;
  }

  /** Writes over four bytes that are there. */
  setUint32(at: number, value: number): void {
    this.view.setUint32(at, value, true);
  }

  float64(value: number): void {
    if (this.at + 8 > this.bytes.length) this.grow(8);
    this.view.setFloat64(this.at, value, true);
    this.at += 8;
  }

  text(value: string): void {
    const { length } = value;
    if (length > SHORT) return this.longText(value);
    if (this.at + length + 1 > this.bytes.length) this.grow(length + 1);
    const { bytes } = this;
    const start = this.at + 1;
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i);
      if (code > 127) return this.longText(value);
      bytes[start + i] = code;
    }
    bytes[start - 1] = length;
    this.at = start + length;
  }

  /** The bytes of `from`, `start` to `end`, without their length. */
  raw(from: Uint8Array, start: number, end: number): void {
    const length = end - start;
    if (this.at + length > this.bytes.length) this.grow(length);
    const { bytes, at } = this;
    if (length > SHORT) bytes.set(from.subarray(start, end), at);
    else for (let i = 0; i < length; i++) bytes[at + i] = from[start + i] as number;
    this.at = at + length;
  }

  private longText(value: string): void {
    const length = Buffer.byteLength(value);
    this.varint(length);
    if (this.at + length > this.bytes.length) this.grow(length);
    this.bytes.write(value, this.at);
    this.at += length;
  }

  private grow(needed: number): void {
    const old = this.bytes;
    this.replace(Math.max(old.length * 2, this.at + needed));
    this.bytes.set(old.subarray(0, this.at));
  }

  private replace(size: number): void {
    this.bytes = Buffer.allocUnsafeSlow(size);
    this.view = viewOf(this.bytes);
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
