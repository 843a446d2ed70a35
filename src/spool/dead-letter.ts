/**
 * The dead letter: rows that could not be written and whose sender can't be told, in files that people can read and
 * curl can post. What is acknowledged is synced; calls at the same time share a sync. Bounded in bytes: when it is full
 * it refuses, or gives up its oldest file. An error of the disk refuses what was on its way; the next call tries again.
 * The gateway only writes here; `sluice dead-letter` reads, and takes files away while the gateway runs.
 */
import { GatewayError } from '../errors.ts';
import type { Clock } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';
import type { DeadLetter, DeadReason, DeadRows } from '../model/spool.ts';
import { createDeferred, type Deferred } from '../util/deferred.ts';
import { type Appender, createAppender } from './dead-letter-appender.ts';
import { entriesOf, type NewEntry, rawEntry } from './dead-letter-entry.ts';
import { type DeadLetterFile, listFiles } from './dead-letter-files.ts';
import { createSpace, LOOK_MS, type Space, type SpaceOptions } from './dead-letter-space.ts';
import { createRecordEncoder } from './record.ts';

/** Where and how much. `path`: the folder, made when it is needed. `maxBytes`: bound of all files together. */
export interface DeadLetterOptions extends SpaceOptions {
  /** A file of this size is followed by another one. */
  readonly fileBytes: number;
}

/** What the dead letter counts. An unreadable record counts as one row. */
export interface DeadLetterMetrics {
  deadLetterAdded(reason: DeadReason, rows: number): void;
  /** No room, or the disk failed. */
  deadLetterRefused(reason: DeadReason, rows: number): void;
  /** Given up to make room. */
  deadLetterDropped(rows: number): void;
}

/** What the dead letter needs. */
export interface DeadLetterDeps {
  readonly clock: Pick<Clock, 'now' | 'wallNow'>;
  readonly logger: Logger;
  readonly metrics: DeadLetterMetrics;
}

/** Numbers for gauges and health. */
export interface DeadLetterStats {
  /** Of the folder, as of the last look; asking for them makes it look again, at most once a second. */
  readonly files: number;
  readonly bytes: number;
  /** Bytes handed over and not synced yet. */
  readonly pendingBytes: number;
  /** Why the last write failed; undefined: it did not. */
  readonly failing: string | undefined;
}

/** A dead letter on disk. */
export interface DeadLetterFolder extends DeadLetter {
  stats(): DeadLetterStats;
  /** Waits for what was handed over; later calls are refused as closed. Idempotent. */
  close(): Promise<void>;
}

/** Entries of one call. */
interface Waiting {
  readonly entries: readonly NewEntry[];
  readonly bytes: number;
  readonly rows: number;
  readonly reason: DeadReason;
  readonly done: Deferred<void>;
}

const MAX_PENDING_BYTES = 64 * 2 ** 20;
/** One write takes as much as this, or one call. */
const WRITE_BYTES = 4 * 2 ** 20;

/** Opens the folder, which need not be there. @throws errors of the disk when it can't be listed */
export async function openDeadLetter(
  options: DeadLetterOptions,
  deps: DeadLetterDeps,
): Promise<DeadLetterFolder> {
  return new Folder(options, deps, await listFiles(options.path));
}

class Folder implements DeadLetterFolder {
  private readonly options: DeadLetterOptions;
  private readonly deps: DeadLetterDeps;
  private readonly appender: Appender;
  private readonly space: Space;
  private readonly encoder = createRecordEncoder();
  private waiting: Waiting[] = [];
  private pendingBytes = 0;
  /** Until then what comes is refused without a look at the folder. */
  private fullUntilMs = 0;
  private failing: string | undefined;
  private closed = false;
  private busy = false;
  private working = Promise.resolve();

  constructor(options: DeadLetterOptions, deps: DeadLetterDeps, files: readonly DeadLetterFile[]) {
    const { clock, logger, metrics } = deps;
    this.options = options;
    this.deps = deps;
    this.appender = createAppender(options.path, options.fileBytes);
    const dropped = (file: string, rows: number): void => {
      metrics.deadLetterDropped(rows);
      logger.warn({ file, rows }, 'the dead letter is full: dropped its oldest file');
    };
    this.space = createSpace(options, { clock, appender: this.appender, dropped }, files);
  }

  async add(dead: DeadRows): Promise<void> {
    if (dead.rows.length === 0) return;
    await this.take(dead.reason, dead.rows.length, (nowMs) => entriesOf(dead, nowMs, this.encoder));
  }

  async addRaw(raw: Uint8Array, message: string): Promise<void> {
    await this.take('unreadable', 1, (nowMs) => [rawEntry(raw, message, nowMs)]);
  }

  stats(): DeadLetterStats {
    if (!this.closed && this.space.isLookDue()) this.work();
    const { pendingBytes, failing } = this;
    return { files: this.space.files, bytes: this.space.bytes, pendingBytes, failing };
  }

  async close(): Promise<void> {
    this.closed = true;
    while (this.busy) await this.working;
    await this.appender.rotate();
  }

  private async take(reason: DeadReason, rows: number, make: (nowMs: number) => NewEntry[]): Promise<void> {
    const { clock } = this.deps;
    if (this.closed) throw new GatewayError('closed', 'the dead letter is closed');
    if (clock.now() < this.fullUntilMs) throw this.refusal(reason, rows, this.fullText());
    const entries = make(clock.wallNow());
    const bytes = entries.reduce((sum, entry) => sum + entry.bytes.length, 0);
    if (this.pendingBytes > 0 && this.pendingBytes + bytes > MAX_PENDING_BYTES)
      throw this.refusal(reason, rows, 'too much waits for the dead letter');
    const waiting: Waiting = { entries, bytes, rows, reason, done: createDeferred() };
    this.pendingBytes += bytes;
    this.waiting.push(waiting);
    this.work();
    await waiting.done.promise;
  }

  private work(): void {
    if (this.busy) return;
    this.busy = true;
    this.working = this.run();
  }

  /** Never rejects. */
  private async run(): Promise<void> {
    // A look that fails shows at the next write.
    if (this.space.isLookDue()) await this.space.look().catch(() => undefined);
    while (this.waiting.length > 0) {
      const batch = this.nextBatch();
      const fitting = await this.fitting(batch);
      if (fitting.length > 0) await this.write(fitting);
      for (const { bytes } of batch) this.pendingBytes -= bytes;
    }
    // At once after the last look at `waiting`, or what came in between would wait for the next call.
    this.busy = false;
  }

  private nextBatch(): Waiting[] {
    let count = 0;
    for (let bytes = 0; count < this.waiting.length; count++) {
      bytes += (this.waiting[count] as Waiting).bytes;
      if (count > 0 && bytes > WRITE_BYTES) break;
    }
    return this.waiting.splice(0, count);
  }

  /** Those for which there is room; the others are refused. */
  private async fitting(batch: readonly Waiting[]): Promise<readonly Waiting[]> {
    const fitting: Waiting[] = [];
    let wanted = 0;
    for (const item of batch) {
      try {
        if (await this.space.hasRoom(wanted + item.bytes)) {
          wanted += item.bytes;
          fitting.push(item);
          continue;
        }
        if (this.options.whenFull === 'keep') this.fullUntilMs = this.deps.clock.now() + LOOK_MS;
        item.done.reject(this.refusal(item.reason, item.rows, this.fullText()));
      } catch (error) {
        this.refuseFailed([item], error);
      }
    }
    return fitting;
  }

  private async write(batch: readonly Waiting[]): Promise<void> {
    const before = this.appender.current;
    try {
      await this.appender.append(batch.flatMap(({ entries }) => entries.map(({ bytes }) => bytes)));
    } catch (error) {
      this.refuseFailed(batch, error);
      return;
    }
    this.failing = undefined;
    this.space.add(
      batch.reduce((sum, { bytes }) => sum + bytes, 0),
      Number(this.appender.current !== before),
    );
    for (const { reason, rows, done } of batch) {
      this.deps.metrics.deadLetterAdded(reason, rows);
      done.resolve();
    }
  }

  /** The disk failed. */
  private refuseFailed(batch: readonly Waiting[], error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    if (this.failing === undefined)
      this.deps.logger.error({ err: error }, 'the dead letter can not be written');
    this.failing = reason;
    for (const item of batch) {
      const text = `the dead letter can not be written: ${reason}`;
      item.done.reject(this.refusal(item.reason, item.rows, text, error));
    }
  }

  /** Counts the refusal. */
  private refusal(reason: DeadReason, rows: number, text: string, cause?: unknown): GatewayError {
    this.deps.metrics.deadLetterRefused(reason, rows);
    return new GatewayError('unavailable', text, { cause });
  }

  private fullText(): string {
    return `the dead letter is full (${this.options.maxBytes} bytes)`;
  }
}
