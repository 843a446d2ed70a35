/**
 * Coalesces the writes of concurrent requests into flushes: an idle sink is written to at once, and while one flush
 * runs the next one gathers. Every batch is answered with the fate of its flush. Bounded in bytes; each flush has a
 * time limit. Made by app.ts, called by ingest.
 */
import { GatewayError } from '../errors.ts';
import type { Logger } from '../model/logger.ts';
import type { PointBatch } from '../model/point-batch.ts';
import { WriteError, type WriteFailure, type Writer } from '../model/sink.ts';
import { createAbortController } from '../util/abort.ts';
import type { LogSampler } from '../util/log-sampler.ts';

/** Bounds of the queue. */
export interface FlushQueueOptions {
  /** Bytes of request bodies that wait for or are in a flush; more are refused. At least 1. */
  readonly maxPendingBytes: number;
  /** After this a flush is aborted and its rows count as not stored. */
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
   * Resolves once the rows of the batch that are not skipped are durable.
   * @throws {WriteError} when the flush failed: the batch was not stored, or that is unknown.
   * @throws {GatewayError} overload when too much waits; closed after `close`.
   */
  write(batch: PointBatch): Promise<void>;
  /** `failing`: why the last flush failed, undefined when it succeeded or only named missing tables. */
  stats(): FlushStats;
  /** Waits for all that was accepted. Idempotent. */
  close(): Promise<void>;
}

interface Pending {
  readonly batch: PointBatch;
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
  private pendingBytes = 0;
  private pendingBatches = 0;
  private closed = false;
  private failing: string | undefined;
  private controller = createAbortController();

  constructor(options: FlushQueueOptions, deps: FlushQueueDeps) {
    this.options = options;
    this.deps = deps;
  }

  write(batch: PointBatch): Promise<void> {
    if (this.closed) return Promise.reject(new GatewayError('closed', 'the gateway is stopping'));
    // A batch larger than the bound may pass alone, or it could never pass.
    if (this.pendingBytes > 0 && this.pendingBytes + batch.body.length > this.options.maxPendingBytes) {
      this.deps.metrics.flushRefused();
      return Promise.reject(new GatewayError('overload', 'too much waits to be written'));
    }
    this.pendingBytes += batch.body.length;
    this.pendingBatches++;
    return new Promise((resolve, reject) => {
      this.waiting.push({ batch, resolve, reject });
      this.running ??= this.drain();
    });
  }

  stats(): FlushStats {
    const { pendingBytes, pendingBatches, failing } = this;
    return { pendingBytes, pendingBatches, failing };
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.running;
  }

  private async drain(): Promise<void> {
    while (this.waiting.length > 0) {
      const flush = this.waiting;
      this.waiting = [];
      await this.flush(flush);
    }
    this.running = undefined;
  }

  private async flush(flush: readonly Pending[]): Promise<void> {
    const { writer, clock, metrics } = this.deps;
    const startMs = clock.now();
    const batches = flush.map(({ batch }) => batch);
    // One controller serves all flushes until it fires: making one per flush costs more than writing to a fast sink.
    if (this.controller.signal.aborted) this.controller = createAbortController();
    const { controller } = this;
    const timer = setTimeout(() => controller.abort(new Error('flush timed out')), this.options.timeoutMs);
    try {
      await writer.write(batches, controller.signal);
      metrics.flushed(flush.length, countRows(batches), clock.now() - startMs);
      this.failing = undefined;
      this.settle(flush);
    } catch (cause) {
      const error = translate(cause);
      this.report(error, flush.length);
      this.settle(flush, error);
    } finally {
      clearTimeout(timer);
    }
  }

  private settle(flush: readonly Pending[], error?: WriteError): void {
    for (const { batch, resolve, reject } of flush) {
      this.pendingBytes -= batch.body.length;
      this.pendingBatches--;
      if (error === undefined) resolve();
      else reject(error);
    }
  }

  private report(error: WriteError, batches: number): void {
    const { kind } = error.failure;
    if (kind !== 'missing') this.failing = error.message;
    this.deps.metrics.flushFailed(kind);
    this.deps.sampler.sample(`flush ${kind}`, (suppressed) =>
      this.deps.logger.warn({ kind, batches, suppressed, err: error }, 'flush failed'),
    );
  }
}

function countRows(batches: readonly PointBatch[]): number {
  let rows = 0;
  for (const batch of batches) rows += batch.rows - batch.skipped;
  return rows;
}

/** A writer that fails in an unforeseen way may have written: that is an ambiguous failure. */
function translate(cause: unknown): WriteError {
  if (cause instanceof WriteError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new WriteError({ kind: 'ambiguous', code: 'unexpected', message }, { cause });
}
