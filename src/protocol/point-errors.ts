/** Collects the errors of one body: counts all, keeps the first `MAX_POINT_ERRORS`. */
import { MAX_POINT_ERRORS, type PointError } from '../model/parse-result.ts';

/** See the module comment. */
export class PointErrors {
  failed = 0;
  readonly list: PointError[] = [];
  private readonly bytes: Uint8Array;
  private countedTo = 0;
  private line = 1;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** Adds an error of the element with this 0-based index. */
  addElement(offset: number, end: number, index: number, reason: string): void {
    this.failed++;
    if (this.list.length < MAX_POINT_ERRORS)
      this.list.push({ offset, length: end - offset, position: index, reason });
  }

  /** Adds an error of the line at `offset`; lines are counted here, since only errors need their number. */
  addLine(offset: number, end: number, reason: string): void {
    this.failed++;
    if (this.list.length >= MAX_POINT_ERRORS) return;
    for (; this.countedTo < offset; this.countedTo++) if (this.bytes[this.countedTo] === 0x0a) this.line++;
    this.list.push({ offset, length: end - offset, position: this.line, reason });
  }
}
