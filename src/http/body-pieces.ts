/**
 * Puts a body together as it comes in. One piece is handed on as it is; more are copied into one buffer that grows,
 * for a client may send its body byte by byte, and each piece that is kept costs 400 bytes of its own. The lease is
 * charged with what the buffer holds. Used by body-reader.ts.
 */
import type { BodyLease } from './body-budget.ts';

const NOTHING = Buffer.alloc(0);

/** See the module comment. */
export class BodyPieces {
  private buffer: Buffer = NOTHING;
  private size = 0;
  private readonly expectedBytes: number;
  private readonly lease: BodyLease;

  /** `expectedBytes`: how long the body is, or may be at most; it is not allocated before bytes have come. */
  constructor(expectedBytes: number, lease: BodyLease) {
    this.expectedBytes = expectedBytes;
    this.lease = lease;
  }

  /** Takes the next piece; answers the bytes so far. @throws {GatewayError} overload when the lease can't grow */
  add(piece: Buffer): number {
    const size = this.size + piece.length;
    const { length } = this.buffer;
    if (length === 0) {
      this.lease.add(size);
      this.buffer = piece;
    } else {
      if (size > length) this.grow(Math.max(size, Math.min(length * 2, this.expectedBytes)));
      piece.copy(this.buffer, this.size);
    }
    this.size = size;
    return size;
  }

  /** The whole body. */
  join(): Buffer {
    return this.size === this.buffer.length ? this.buffer : this.buffer.subarray(0, this.size);
  }

  /** Lets go of everything. */
  drop(): void {
    this.buffer = NOTHING;
    this.size = 0;
  }

  private grow(length: number): void {
    this.lease.add(length - this.buffer.length);
    const buffer = Buffer.allocUnsafeSlow(length);
    this.buffer.copy(buffer, 0, 0, this.size);
    this.buffer = buffer;
  }
}
