/**
 * A database's writer that a test holds by the hand: each write waits until the test ends it, or ends at once by
 * `onWrite`. It keeps the contract: one call at a time, nothing of a failed write is stored.
 */
import type { PointBatch } from '../../src/model/point-batch.ts';
import { WriteError, type WriteFailure, type Writer } from '../../src/model/sink.ts';
import { createDeferred } from '../../src/util/deferred.ts';
import { readRows } from './parsers.ts';

/** A failure that has nothing to do with the rows. */
export function failed(kind: 'transient' | 'denied' | 'ambiguous', message: string = kind): WriteFailure {
  return { kind, code: 'E', message };
}

/** These tables of a database are not there. */
export function missing(database: string, ...tables: readonly string[]): WriteFailure {
  return { kind: 'missing', tables: tables.map((table) => ({ database, table })) };
}

/** These tables of a database have failed for a reason of their own. */
export function faulty(database: string, ...tables: readonly string[]): WriteFailure {
  return {
    ...failed('transient', 'locked'),
    ...missing(database, ...tables),
    kind: 'transient',
  } as WriteFailure;
}

/** A write that was begun. */
export interface FakeWrite {
  /** Tables of the rows that are not skipped, batch by batch. */
  readonly tables: readonly string[];
  readonly signal: AbortSignal;
  succeed(): void;
  fail(failure: WriteFailure | Error): void;
}

/** See the module comment. */
export class FakeWriter implements Writer {
  readonly writes: FakeWrite[] = [];
  /** Tables of all rows stored, in order. */
  readonly stored: string[] = [];
  /** Ends each write at once: with a failure, or `'stored'`. Undefined: writes wait for the test. */
  onWrite: ((tables: readonly string[]) => WriteFailure | 'stored') | undefined;
  #running = false;

  async write(batches: readonly PointBatch[], signal: AbortSignal): Promise<void> {
    if (this.#running) throw new Error('two writes at a time');
    this.#running = true;
    const tables = batches.flatMap((batch) => readRows(batch).map(({ table }) => table));
    const end = createDeferred<void>();
    const fail = (failure: WriteFailure | Error): void =>
      end.reject(failure instanceof Error ? failure : new WriteError(failure));
    this.writes.push({ tables, signal, succeed: () => end.resolve(), fail });
    const result = this.onWrite?.(tables);
    if (result === 'stored') end.resolve();
    else if (result !== undefined) fail(result);
    try {
      await end.promise;
      this.stored.push(...tables);
    } finally {
      this.#running = false;
    }
  }

  /** The write that was begun last. */
  get last(): FakeWrite {
    return this.writes.at(-1) as FakeWrite;
  }
}
