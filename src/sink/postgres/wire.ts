/**
 * Writes messages of PostgreSQL's extended query protocol into one growing buffer, parameters as binary arrays. The
 * driver's own way makes a string or a buffer of each parameter, which for a flush over 2,000 tables is 10,000 of
 * them; this is a third of the CPU. Positions are kept by the caller's order of calls alone; nothing is checked.
 */

/** Type oids, which are fixed. */
export const OID = {
  bool: 16,
  int8: 20,
  int2: 21,
  text: 25,
  float8: 701,
  timestamptz: 1184,
  numeric: 1700,
  uuid: 2950,
} as const;

const INITIAL_BYTES = 64 * 1024;
const ARRAY_HEADER_BYTES = 20;
const TWO_32 = 4_294_967_296;

/** See the module comment. */
export class Wire {
  private bytes = Buffer.allocUnsafe(INITIAL_BYTES);
  private view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength);
  private at = 0;
  private message = 0;
  private parameter = 0;

  /** Bytes written since the last `take`. */
  get size(): number {
    return this.at;
  }

  /** What was written; the next bytes go to a new buffer. */
  take(): Buffer {
    const taken = this.bytes.subarray(0, this.at);
    this.bytes = Buffer.allocUnsafe(INITIAL_BYTES);
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength);
    this.at = 0;
    return taken;
  }

  parse(name: string, sql: string): void {
    this.begin('P');
    this.cString(name);
    this.cString(sql);
    this.int16(0);
    this.end();
  }

  /** Begins the parameters of a prepared statement: so many arrays must follow. */
  bind(name: string, parameters: number): void {
    this.begin('B');
    this.cString('');
    this.cString(name);
    this.int16(1);
    this.int16(1);
    this.int16(parameters);
  }

  /** Ends the parameters and executes. */
  execute(): void {
    this.int16(0);
    this.end();
    this.begin('E');
    this.cString('');
    this.int32(0);
    this.end();
  }

  /** Forgets a prepared statement. */
  close(name: string): void {
    this.begin('C');
    this.room(1);
    this.bytes[this.at++] = 0x53;
    this.cString(name);
    this.end();
  }

  sync(): void {
    this.begin('S');
    this.end();
  }

  beginArray(oid: number, length: number): void {
    this.room(4 + ARRAY_HEADER_BYTES);
    this.parameter = this.at;
    this.at += 4;
    for (const word of [1, 1, oid, length, 1]) this.int32(word);
  }

  endArray(): void {
    this.view.setInt32(this.parameter, this.at - this.parameter - 4);
  }

  null(): void {
    this.int32(-1);
  }

  /** Two halves of 8 bytes: int8, float8. */
  eight(high: number, low: number): void {
    this.room(12);
    const { view, at } = this;
    view.setInt32(at, 8);
    view.setInt32(at + 4, high);
    view.setInt32(at + 8, low);
    this.at = at + 12;
  }

  /** A whole number that a double holds exactly, as int8. */
  wholeNumber(value: number): void {
    const high = Math.floor(value / TWO_32);
    this.eight(high, value - high * TWO_32);
  }

  two(value: number): void {
    this.room(6);
    this.view.setInt32(this.at, 2);
    this.view.setInt16(this.at + 4, value);
    this.at += 6;
  }

  one(value: number): void {
    this.room(5);
    this.view.setInt32(this.at, 1);
    this.bytes[this.at + 4] = value;
    this.at += 5;
  }

  raw(value: Uint8Array): void {
    this.room(4 + value.length);
    this.view.setInt32(this.at, value.length);
    this.bytes.set(value, this.at + 4);
    this.at += 4 + value.length;
  }

  text(value: string): void {
    this.room(4 + value.length * 3);
    const length = this.bytes.write(value, this.at + 4);
    this.view.setInt32(this.at, length);
    this.at += 4 + length;
  }

  /** An unsigned 64-bit number as numeric: digits to the base of 10,000, the highest first. */
  unsigned(high: number, low: number): void {
    let rest = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
    const digits: number[] = [];
    for (; rest > 0n; rest /= 10_000n) digits.push(Number(rest % 10_000n));
    this.room(12 + digits.length * 2);
    this.int32(8 + digits.length * 2);
    this.int16(digits.length);
    this.int16(Math.max(0, digits.length - 1));
    this.int32(0);
    for (const digit of digits.toReversed()) this.int16(digit);
  }

  private begin(code: string): void {
    this.room(5);
    this.bytes[this.at] = code.charCodeAt(0);
    this.message = this.at + 1;
    this.at += 5;
  }

  private end(): void {
    this.view.setInt32(this.message, this.at - this.message);
  }

  private cString(value: string): void {
    this.room(value.length * 3 + 1);
    this.at += this.bytes.write(value, this.at);
    this.bytes[this.at++] = 0;
  }

  private int16(value: number): void {
    this.room(2);
    this.view.setInt16(this.at, value);
    this.at += 2;
  }

  private int32(value: number): void {
    this.room(4);
    this.view.setInt32(this.at, value);
    this.at += 4;
  }

  private room(bytes: number): void {
    if (this.at + bytes <= this.bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.at + bytes));
    this.bytes.copy(grown, 0, 0, this.at);
    this.bytes = grown;
    this.view = new DataView(grown.buffer, grown.byteOffset, grown.byteLength);
  }
}
