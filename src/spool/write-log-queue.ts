/**
 * What of the log waits for the database, in order: entries in memory, and one gap of records that are on disk only,
 * because memory was full or they are from an earlier run. The gap lies behind the entries that are older and, once
 * few enough are left to be read at once, before newer ones. Used by write-log.ts.
 */
import type { LogEntry } from './write-log-types.ts';
import { firstSeq } from './write-log-types.ts';

/** Records on disk only. */
interface Gap {
  /** They have numbers above this one, ... */
  after: number;
  /** ... at most this one; undefined: new records belong to the gap, too. */
  upTo: number | undefined;
  /** About how much is left. */
  bytes: number;
}

/** What is to be read from disk next. */
export interface GapRange {
  readonly after: number;
  readonly upTo: number;
}

/** See the module comment. */
export class LogQueue {
  /** Taken and not done entries included. */
  heldBytes = 0;
  /** Of the entries in memory whose turn has not come. */
  heldRows = 0;
  private readonly maxHeldBytes: number;
  /** A gap that can be read at once is closed. */
  private readonly readBytes: number;
  private held: LogEntry[] = [];
  private head = 0;
  private gap: Gap | undefined;
  private readonly onDropped: (entry: LogEntry) => void;

  /** `oldBytes`: how much is on disk from an earlier run. `onDropped`: an entry is on disk only from now on. */
  constructor(
    { maxHeldBytes, readBytes }: { readonly maxHeldBytes: number; readonly readBytes: number },
    oldBytes: number,
    onDropped: (entry: LogEntry) => void,
  ) {
    this.maxHeldBytes = maxHeldBytes;
    this.readBytes = readBytes;
    this.onDropped = onDropped;
    if (oldBytes > 0) this.gap = { after: 0, upTo: undefined, bytes: oldBytes };
  }

  get isEmpty(): boolean {
    return this.head === this.held.length && this.gap === undefined;
  }

  get hasGap(): boolean {
    return this.gap !== undefined;
  }

  /** The lowest number that waits; undefined when nothing does. */
  get frontSeq(): number | undefined {
    const first = this.held[this.head];
    if (this.gap === undefined) return first && firstSeq(first);
    return first === undefined ? this.gap.after + 1 : Math.min(firstSeq(first), this.gap.after + 1);
  }

  /** Adds the newest entry. `bytes`: of its records. */
  add(entry: LogEntry, bytes: number): void {
    const fits = this.heldBytes === 0 || this.heldBytes + entry.heldBytes <= this.maxHeldBytes;
    this.heldBytes += entry.heldBytes;
    const { gap } = this;
    if (fits && (gap === undefined || gap.upTo !== undefined)) {
      if (gap?.upTo !== undefined) gap.upTo = Math.min(gap.upTo, firstSeq(entry) - 1);
      this.held.push(entry);
      this.heldRows += rowsOf(entry);
      return;
    }
    if (gap === undefined) this.gap = { after: firstSeq(entry) - 1, upTo: undefined, bytes };
    else {
      if (gap.upTo !== undefined) this.reopen(gap);
      gap.bytes += bytes;
    }
    this.drop(entry);
  }

  /** What is in memory behind a gap joins it, for there is only one. */
  private reopen(gap: Gap): void {
    gap.upTo = undefined;
    // A gap is closed only when nothing is before it.
    for (const entry of this.held.splice(this.head)) {
      for (const record of entry.records) gap.bytes += record.bytes;
      this.heldRows -= rowsOf(entry);
      this.drop(entry);
    }
  }

  private drop(entry: LogEntry): void {
    this.heldBytes -= entry.heldBytes;
    this.onDropped(entry);
  }

  /** The oldest entry in memory, if it is its turn. */
  take(): LogEntry | undefined {
    if (this.isGapNext() || this.head === this.held.length) return undefined;
    const entry = this.held[this.head] as LogEntry;
    this.held[this.head++] = undefined as never;
    this.heldRows -= rowsOf(entry);
    if (this.head === this.held.length) {
      this.held = [];
      this.head = 0;
    } else if (this.head >= 4_096) {
      this.held = this.held.slice(this.head);
      this.head = 0;
    }
    return entry;
  }

  /** An entry that was taken is done with. */
  done(entry: LogEntry): void {
    this.heldBytes -= entry.heldBytes;
  }

  /** What to read next; `upTo` may fall until `gapRead`. Undefined: it is not the gap's turn. */
  nextRange(): (() => GapRange) | undefined {
    const { gap } = this;
    if (gap === undefined || !this.isGapNext()) return undefined;
    if (gap.bytes <= this.readBytes) gap.upTo ??= Number.MAX_SAFE_INTEGER;
    return () => ({ after: gap.after, upTo: gap.upTo ?? Number.MAX_SAFE_INTEGER });
  }

  /** Records up to `lastSeq` were read; undefined: there were none in the range. */
  gapRead(lastSeq: number | undefined, bytes: number): void {
    const { gap } = this;
    if (gap === undefined) return;
    gap.bytes = lastSeq === undefined ? 0 : Math.max(0, gap.bytes - bytes);
    if (lastSeq !== undefined) gap.after = lastSeq;
    const { upTo } = gap;
    if (upTo !== undefined && (lastSeq === undefined || lastSeq >= upTo)) this.gap = undefined;
  }

  /** What is to be written next has to be read from disk. */
  isGapNext(): boolean {
    const { gap } = this;
    if (gap === undefined) return false;
    const first = this.held[this.head];
    return first === undefined || firstSeq(first) > gap.after;
  }
}

function rowsOf({ records }: LogEntry): number {
  let rows = 0;
  for (const record of records) rows += record.rows;
  return rows;
}
