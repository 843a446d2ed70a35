/**
 * Coalesces the writes of concurrent requests into flushes: an idle sink is written to at once, and while one flush
 * runs the next one gathers, first come, first served. Every batch is answered with the fate of its flush; one whose
 * tables are all well does not suffer from others that write to missing ones. Batches of one call share one fate.
 * Bounded in bytes; each flush has a time limit, after which nothing is taken until the writer has let go. Made by
 * app.ts, called by ingest, the write log and the replay of parked rows.
 */
import { GatewayError } from '../errors.ts';
import type { Logger } from '../model/logger.ts';
import type { PointBatch, TableGroup } from '../model/point-batch.ts';
import { WriteError, type WriteFailure, type Writer } from '../model/sink.ts';
import { tableKey } from '../model/table.ts';
import { createAbortController } from '../util/abort.ts';
import type { LogSampler } from '../util/log-sampler.ts';

/** Bytes of one flush, if it has more than one batch: a slow sink shall not have more to do than its time allows. */
const MAX_FLUSH_BYTES = 16 * 2 ** 20;
/** For how long a failure speaks for the sink: without traffic nobody would find out that it has recovered. */
const FAILING_MS = 10_000;

/** Bounds of the queue. */
export interface FlushQueueOptions {
  /** Bytes of request bodies that wait for or are in a flush; more are refused. At least 1. */
  readonly maxPendingBytes: number;
  /** After this a flush is aborted, and whether its rows were stored counts as unknown. */
  readonly timeoutMs: number;
}

/** What the queue counts. */
export interface FlushMetrics {
  flushed(batches: number, rows: number, milliseconds: number): void;
  flushFailed(kind: WriteFailure['kind']): void;
  flushRefused(): void;
}

/** What the queue needs. */
export interface FlushQueueDeps {
  readonly writer: Writer;
  /** Monotonic milliseconds. */
  readonly clock: { now(): number };
  readonly logger: Logger;
  readonly sampler: LogSampler;
  readonly metrics: FlushMetrics;
}

/** Numbers for gauges and health. */
export interface FlushStats {
  readonly pendingBytes: number;
  readonly pendingBatches: number;
  readonly failing: string | undefined;
}

/** See the module comment. */
export interface FlushQueue {
  /**
   * Resolves once the rows of the batch that are not skipped are durable. After a time-out the writer may still read
   * the batch, whose `users` says so.
   * @throws {WriteError} when the flush failed: the batch was not stored, or that is unknown. Batches that failed
   * together get the same error.
   * @throws {GatewayError} overload when too much waits; closed after `close`.
   */
  write(batch: PointBatch): Promise<void>;
  /** The same for several batches, all or none of them, in this order. */
  writeAll(batches: readonly PointBatch[]): Promise<void>;
  /** `failing`: why the last flush failed, if that was less than 10 s ago; a sink that only misses tables works. */
  stats(): FlushStats;
  /** Waits for all that was accepted. Idempotent. */
  close(): Promise<void>;
}

interface Pending {
  readonly batches: readonly PointBatch[];
  readonly bytes: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Makes a queue in front of a writer. */
export function createFlushQueue(options: FlushQueueOptions, deps: FlushQueueDeps): FlushQueue {
  return new WriterQueue(options, deps);
}

class WriterQueue implements FlushQueue {
  private readonly options: FlushQueueOptions;
  private readonly deps: FlushQueueDeps;
  private waiting: Pending[] = [];
  private running: Promise<void> | undefined;
  /** The running flush is over its time: its callers were answered, but the writer has not let go of it. */
  private overdue = false;
  private pendingBytes = 0;
  private pendingBatches = 0;
  private closed = false;
  private failure: { readonly message: string; readonly untilMs: number } | undefined;
  private controller = createAbortController();

  constructor(options: FlushQueueOptions, deps: FlushQueueDeps) {
    this.options = options;
    this.deps = deps;
  }

  write(batch: PointBatch): Promise<void> {
    return this.writeAll([batch]);
  }

  writeAll(batches: readonly PointBatch[]): Promise<void> {
    if (this.closed) return Promise.reject(new GatewayError('closed', 'the gateway is stopping'));
    let bytes = 0;
    for (const batch of batches) bytes += batch.body.length;
    // What is larger than the bound may pass alone, or it could never pass.
    if (this.pendingBytes > 0 && this.pendingBytes + bytes > this.options.maxPendingBytes) {
      this.deps.metrics.flushRefused();
      return Promise.reject(new GatewayError('overload', 'too much waits to be written'));
    }
    if (this.overdue) return Promise.reject(this.timedOut('transient'));
    this.pendingBytes += bytes;
    this.pendingBatches += batches.length;
    return new Promise((resolve, reject) => {
      this.waiting.push({ batches, bytes, resolve, reject });
      this.running ??= this.drain();
    });
  }

  stats(): FlushStats {
    const { pendingBytes, pendingBatches, failure } = this;
    const current = failure !== undefined && (this.overdue || this.deps.clock.now() < failure.untilMs);
    return { pendingBytes, pendingBatches, failing: current ? failure.message : undefined };
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.running;
  }

  private async drain(): Promise<void> {
    while (this.waiting.length > 0) await this.flush(this.takeFlush());
    this.running = undefined;
  }

  private takeFlush(): readonly Pending[] {
    let count = 0;
    let bytes = 0;
    for (const pending of this.waiting) {
      bytes += pending.bytes;
      if (count > 0 && bytes > MAX_FLUSH_BYTES) break;
      count++;
    }
    return this.waiting.splice(0, count);
  }

  private async flush(flush: readonly Pending[]): Promise<void> {
    const { writer, clock, metrics } = this.deps;
    const startMs = clock.now();
    const batches = flush.length === 1 ? (flush[0] as Pending).batches : flush.flatMap((one) => one.batches);
    // One controller serves all flushes until it fires: making one per flush costs more than writing to a fast sink.
    if (this.controller.signal.aborted) this.controller = createAbortController();
    const timer = setTimeout(() => this.giveUp(flush), this.options.timeoutMs);
    for (const batch of batches) batch.users++;
    let error: WriteError | undefined;
    try {
      await writer.write(batches, this.controller.signal);
    } catch (cause) {
      error = translate(cause);
    }
    clearTimeout(timer);
    for (const batch of batches) batch.users--;
    if (this.overdue) return this.letGo(flush, error);
    if (error === undefined) metrics.flushed(batches.length, countRows(batches), clock.now() - startMs);
    else this.report(error, batches.length);
    if (error?.failure.tables === undefined) return this.settle(flush, error);
    const { tables } = error.failure;
    this.settleTables(flush, error, new Set(tables.map(tableKey)));
  }

  /** Only those that write to a table at fault are told so; the others go first in the next flush. */
  private settleTables(flush: readonly Pending[], error: WriteError, tables: ReadonlySet<string>): void {
    const failed: Pending[] = [];
    const others: Pending[] = [];
    for (const pending of flush) {
      const isFailed = pending.batches.some((batch) => writesTo(batch, tables));
      (isFailed ? failed : others).push(pending);
    }
    // Should nobody write to them, then the writer is wrong, and another flush would not end that.
    if (failed.length === 0) return this.settle(flush, error);
    this.settle(failed, error);
    this.waiting = [...others, ...this.waiting];
  }

  /** Answers everybody, for nothing can be written before the writer lets go of this flush. */
  private giveUp(flush: readonly Pending[]): void {
    const error = this.timedOut('ambiguous');
    this.overdue = true;
    this.report(error, flush.length);
    for (const { reject } of flush) reject(error);
    this.settle(this.waiting.splice(0), this.timedOut('transient'));
    this.controller.abort(error);
  }

  private timedOut(kind: 'ambiguous' | 'transient'): WriteError {
    const message = `the database did not answer within ${this.options.timeoutMs} ms`;
    return new WriteError({ kind, code: 'timeout', message });
  }

  /** The end of a flush whose callers were answered long ago. */
  private letGo(flush: readonly Pending[], error: WriteError | undefined): void {
    this.overdue = false;
    this.settle(flush, error);
    this.deps.logger.warn({ stored: error === undefined }, 'a flush that had timed out has ended');
  }

  private settle(flush: readonly Pending[], error?: WriteError): void {
    for (const { batches, bytes, resolve, reject } of flush) {
      this.pendingBytes -= bytes;
      this.pendingBatches -= batches.length;
      if (error === undefined) resolve();
      else reject(error);
    }
    if (error === undefined) this.failure = undefined;
  }

  private report(error: WriteError, batches: number): void {
    const { kind } = error.failure;
    const { clock, logger, metrics, sampler } = this.deps;
    // A sink that is at odds with some tables works.
    this.failure =
      error.failure.tables !== undefined
        ? undefined
        : { message: error.message, untilMs: clock.now() + FAILING_MS };
    metrics.flushFailed(kind);
    sampler.sample(`flush ${kind}`, (suppressed) =>
      logger.warn({ kind, batches, suppressed, err: error }, 'flush failed'),
    );
  }
}

function countRows(batches: readonly PointBatch[]): number {
  let rows = 0;
  for (const batch of batches) rows += batch.rows - batch.skipped;
  return rows;
}

/** True when a row that is not skipped belongs to one of the tables. */
function writesTo(batch: PointBatch, tables: ReadonlySet<string>): boolean {
  for (let g = 0; g < batch.groupCount; g++) {
    const group = batch.groups[g] as TableGroup;
    if (tables.has(group.table.key) && batch.hasRows(group)) return true;
  }
  return false;
}

/** A writer that fails in an unforeseen way may have written: that is an ambiguous failure. */
function translate(cause: unknown): WriteError {
  if (cause instanceof WriteError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new WriteError({ kind: 'ambiguous', code: 'unexpected', message }, { cause });
}
