/** Cuts a stream of bytes into pieces of whole lines; what is left of a line is kept until its end comes. */

const NEWLINE = 0x0a;
const FIRST_BYTES = 1_024;

/** See the module comment. It grows by doubling, so a line that comes byte by byte costs no more than at once. */
export class LineBuffer {
  #bytes = Buffer.alloc(0);
  #length = 0;

  /** Bytes of the line that has no end yet. */
  get pending(): number {
    return this.#length;
  }

  /** Takes bytes; answers the lines that they complete, each with its newline, or undefined. */
  push(chunk: Buffer): Buffer | undefined {
    const end = chunk.lastIndexOf(NEWLINE) + 1;
    if (end === 0) {
      this.#keep(chunk);
      return undefined;
    }
    const whole = chunk.subarray(0, end);
    const lines = this.#length === 0 ? whole : Buffer.concat([this.#bytes.subarray(0, this.#length), whole]);
    this.#length = 0;
    this.#bytes = Buffer.alloc(0);
    if (end < chunk.length) this.#keep(chunk.subarray(end));
    return lines;
  }

  /** The line without an end, with one; undefined when there is none. It is the last call. */
  finish(): Buffer | undefined {
    if (this.#length === 0) return undefined;
    return Buffer.concat([this.#bytes.subarray(0, this.#length), Buffer.from('\n')]);
  }

  #keep(piece: Buffer): void {
    const needed = this.#length + piece.length;
    if (needed > this.#bytes.length) {
      const grown = Buffer.alloc(Math.max(FIRST_BYTES, this.#bytes.length * 2, needed));
      this.#bytes.copy(grown, 0, 0, this.#length);
      this.#bytes = grown;
    }
    piece.copy(this.#bytes, this.#length);
    this.#length = needed;
  }
}
