/**
 * The log that acknowledges before the database does: rows are synced to one lane of the spool, and a drainer writes
 * them to the database in large pieces, in the order they came: from memory while it keeps up, from disk when too much
 * waits and after a start. An acknowledged row leaves the log only for the database, its table's lane or the dead
 * letter. Bounded in bytes on disk (refuses) and in memory (reads back from disk). Made by app.ts.
 */
import { GatewayError } from '../errors.ts';
import type { PointBatch } from '../model/point-batch.ts';
import { LOG_LANE, type RecordHead, type RecordRef, type SpoolCommit } from '../model/spool.ts';
import { createAbortController, unlessAborted } from '../util/abort.ts';
import { createDeferred, type Deferred } from '../util/deferred.ts';
import { createLogDrain, type LogDrain } from './write-log-drain.ts';
import { createPiece, type LogPiece } from './write-log-piece.ts';
import { LogQueue } from './write-log-queue.ts';
import { readEntries } from './write-log-read.ts';
import {
  firstSeq,
  type LogEntry,
  type OpenWriteLog,
  type WriteLogDeps,
  type WriteLogOptions,
  type WriteLogStats,
} from './write-log-types.ts';

/**
 * So many rows, or bytes in memory, are not kept waiting for more: a DuckDB transaction costs as much as 2,000 rows, so
 * more would hardly be cheaper per row, but hold the thread longer and leave more to the garbage collector.
 */
const ENOUGH_ROWS = 10_000;
const ENOUGH_BYTES = 4 * 2 ** 20;
/** What is written at once at most, so that a slow database gets it done within its time. */
const PIECE_ROWS = 40_000;
const PIECE_BYTES = 8 * 2 ** 20;
/** After a fault of our own. */
const FAULT_MS = 1_000;

/** Opens the log of a spool; what an earlier run left in it is written first. */
export function openWriteLog(options: WriteLogOptions, deps: WriteLogDeps): OpenWriteLog {
  return new Log(options, deps);
}

/** Waits for the numbers up to `seq`; undefined: for what an earlier run left. */
interface Waiter {
  readonly seq: number | undefined;
  readonly drained: Deferred<void>;
}

class Log implements OpenWriteLog {
  private readonly options: WriteLogOptions;
  private readonly deps: WriteLogDeps;
  private readonly queue: LogQueue;
  private readonly drain: LogDrain;
  private readonly aborting = createAbortController();
  private readonly running: Promise<void>;
  /** What is being written to the database. */
  private piece: LogPiece | undefined;
  /** The first and the highest number given out by this run. */
  private ownSeq: number | undefined;
  private lastSeq: number | undefined;
  /** The newest commits: of rows, and of what left the log. */
  private synced: Promise<unknown> = Promise.resolve();
  private removed: Promise<unknown> = Promise.resolve();
  private readonly waiters = new Set<Waiter>();
  /** Up to this number nothing lingers, for somebody waits. */
  private hurryTo = -1;
  /** Ends the drainer's wait: for anything, when it is idle, or for more. */
  private wake: (() => void) | undefined;
  private idle = false;
  private closed = false;
  private closing: Promise<void> | undefined;

  constructor(options: WriteLogOptions, deps: WriteLogDeps) {
    this.options = options;
    this.deps = deps;
    this.drain = createLogDrain(deps);
    this.queue = new LogQueue(options, bytesOnDisk(deps), ({ batch }) => deps.batches.letGo(batch));
    this.running = this.run();
  }

  write(batch: PointBatch, head: RecordHead): Promise<void> {
    if (this.closed) return Promise.reject(new GatewayError('closed', 'the gateway is stopping'));
    if (this.isFull(1)) return Promise.reject(this.refused());
    const records = this.deps.encoder.encode(batch, undefined, head);
    let bytes = 0;
    for (const record of records) bytes += record.bytes.length;
    if (bytes === 0) return Promise.resolve();
    if (this.isFull(bytes)) return Promise.reject(this.refused());
    const append = records.map((record) => ({ ...record, lane: LOG_LANE, atMs: head.atMs }));
    let commit: SpoolCommit;
    try {
      commit = this.deps.disk.commit({ append });
    } catch (error) {
      this.deps.metrics.refused('failing');
      return Promise.reject(error);
    }
    const refs = append.map((record, i): RecordRef => {
      return { seq: commit.seqs[i] as number, rows: record.rows, bytes: record.bytes.length };
    });
    batch.users++;
    this.add({ records: refs, batch, head, heldBytes: batch.body.length + batch.capacityBytes }, bytes);
    this.synced = commit.done;
    return commit.done;
  }

  private add(entry: LogEntry, bytes: number): void {
    this.ownSeq ??= firstSeq(entry);
    this.lastSeq = entry.records.at(-1)?.seq;
    this.queue.add(entry, bytes);
    if (this.idle || this.hasEnough()) this.wake?.();
  }

  async drained(signal: AbortSignal): Promise<void> {
    if (!this.isEmpty) {
      const waiter: Waiter = { seq: this.lastSeq, drained: createDeferred<void>() };
      this.waiters.add(waiter);
      this.hurryTo = this.lastSeq ?? this.hurryTo;
      this.wake?.();
      await unlessAborted(waiter.drained.promise, signal).finally(() => this.waiters.delete(waiter));
    }
    // Or after a kill the rows might be written again, over newer ones.
    await unlessAborted(this.removed, signal);
  }

  get drainedSeq(): number {
    const [first] = this.piece?.entries ?? [];
    return (first && firstSeq(first)) ?? this.queue.frontSeq ?? Number.MAX_SAFE_INTEGER;
  }

  get isEmpty(): boolean {
    return this.piece === undefined && this.queue.isEmpty;
  }

  stats(): WriteLogStats {
    const { heldBytes, hasGap } = this.queue;
    return { heldBytes, reading: hasGap, full: this.isFull(1), stalled: this.drain.stalled };
  }

  close(): Promise<void> {
    return (this.closing ??= this.end());
  }

  private async end(): Promise<void> {
    this.closed = true;
    this.wake?.();
    const stopped = createAbortController();
    const limit = this.deps.clock
      .sleep(this.options.closeMs, stopped.signal)
      .then(() => this.aborting.abort(new GatewayError('closed', 'the gateway is stopping')), ignore);
    await this.running;
    stopped.abort();
    await limit;
    const left = bytesOnDisk(this.deps);
    if (left > 0) this.deps.logger.warn({ bytes: left }, 'the log is written at the next start');
    for (const { drained } of this.waiters)
      drained.reject(new GatewayError('closed', 'the gateway is stopping'));
  }

  private async run(): Promise<void> {
    const { signal } = this.aborting;
    while (!signal.aborted && !(this.closed && this.isEmpty)) {
      try {
        await this.linger();
        await this.next(signal);
      } catch (error) {
        if (signal.aborted) return;
        this.deps.logger.error({ err: error }, 'the log met an unforeseen error');
        await this.deps.clock.sleep(FAULT_MS, signal).catch(ignore);
      }
      this.answerWaiters();
    }
  }

  /** Waits until there is enough to write, or it has waited long enough, or somebody waits for it. */
  private async linger(): Promise<void> {
    const { clock } = this.deps;
    this.idle = true;
    while (this.isEmpty && !this.closed) await new Promise<void>((resolve) => (this.wake = resolve));
    this.idle = false;
    const untilMs = clock.now() + this.options.lingerMs;
    for (let leftMs = this.options.lingerMs; leftMs > 0 && !this.isDue(); leftMs = untilMs - clock.now()) {
      const woken = createAbortController();
      this.wake = () => woken.abort();
      await clock.sleep(leftMs, woken.signal).catch(ignore);
    }
    this.wake = undefined;
  }

  private isDue(): boolean {
    if (this.closed || this.piece !== undefined || this.hasEnough()) return true;
    return this.queue.isGapNext() || (this.queue.frontSeq ?? 0) <= this.hurryTo;
  }

  private hasEnough(): boolean {
    return this.queue.heldRows >= ENOUGH_ROWS || this.queue.heldBytes >= ENOUGH_BYTES;
  }

  /** Writes what is next. After a failure the same piece comes again. */
  private async next(signal: AbortSignal): Promise<void> {
    this.piece ??= this.takeHeld(signal);
    if (this.piece === undefined) await this.readGap(signal);
    const { piece } = this;
    if (piece === undefined) return;
    this.removed = (await this.drain.drain(piece)).done.catch(ignore);
    this.piece = undefined;
    for (const entry of piece.entries) {
      this.queue.done(entry);
      this.deps.batches.letGo(entry.batch);
    }
  }

  private takeHeld(signal: AbortSignal): LogPiece | undefined {
    const entries: LogEntry[] = [];
    let bytes = 0;
    for (let rows = 0; rows < PIECE_ROWS && bytes < PIECE_BYTES; ) {
      const entry = this.queue.take();
      if (entry === undefined) break;
      entries.push(entry);
      rows += entry.batch.rows;
      bytes += entry.batch.body.length;
    }
    return entries.length === 0 ? undefined : createPiece(entries, signal);
  }

  /** The next of those that are on disk only. */
  private async readGap(signal: AbortSignal): Promise<void> {
    const range = this.queue.nextRange();
    if (range === undefined) return;
    await unlessAborted(this.synced, signal).catch(ignore);
    const { entries, lastSeq, bytes } = await readEntries(this.deps, range, this.options.readBytes);
    // At once, or what was read would count as drained.
    if (entries.length > 0) this.piece = createPiece(entries, signal);
    this.queue.gapRead(lastSeq, bytes);
    for (const { heldBytes } of entries) this.queue.heldBytes += heldBytes;
  }

  private answerWaiters(): void {
    const { drainedSeq } = this;
    const oldSeq = (this.ownSeq ?? Number.MAX_SAFE_INTEGER) - 1;
    for (const { seq, drained } of this.waiters) if (drainedSeq > (seq ?? oldSeq)) drained.resolve();
  }

  private isFull(bytes: number): boolean {
    const used = this.deps.disk.stats().bytes;
    return used > 0 && used + bytes > this.options.maxBytes;
  }

  private refused(): GatewayError {
    this.deps.metrics.refused('full');
    return new GatewayError('overload', 'the log is full: the database is behind');
  }
}

function bytesOnDisk({ disk }: WriteLogDeps): number {
  for (const { id, bytes } of disk.lanes()) if (id === LOG_LANE) return bytes;
  return 0;
}

function ignore(): void {
  // Whoever needs it waits for it elsewhere.
}
