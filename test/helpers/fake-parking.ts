/** Parking and a write log that a test holds by the hand. They keep the contracts: `park` never rejects. */
import type { PointBatch } from '../../src/model/point-batch.ts';
import type { Series, Table } from '../../src/model/series.ts';
import type { Parked, Parking, RecordHead, WriteLog } from '../../src/model/spool.ts';
import { unlessAborted } from '../../src/util/abort.ts';
import { createDeferred, type Deferred } from '../../src/util/deferred.ts';
import { readRows } from './parsers.ts';

/** See the module comment. */
export class FakeParking implements Parking {
  /** Names of tables with parked rows, and of those that are full. */
  readonly held = new Set<string>();
  readonly refuses = new Set<string>();
  /** Tables of the rows parked, and their indexes. */
  readonly parked: string[] = [];
  readonly rows: number[] = [];
  /** Set: rows are synced when the test says so. */
  hold = false;
  readonly #waiting: Deferred<void>[] = [];

  get waiting(): number {
    return this.#waiting.length;
  }

  holds({ name }: Table): boolean {
    return this.held.has(name);
  }

  async park(batch: PointBatch, rows: readonly number[], _head: RecordHead): Promise<Parked> {
    const tableOf = (row: number): string => (batch.series[row] as Series).tagSet.table.name;
    const parked = rows.filter((row) => !this.refuses.has(tableOf(row)));
    for (const row of parked) this.held.add(tableOf(row));
    if (this.hold) {
      const synced = createDeferred<void>();
      this.#waiting.push(synced);
      await synced.promise;
    }
    this.parked.push(...parked.map(tableOf));
    this.rows.push(...parked);
    const full = parked.length < rows.length;
    return { parked, refusal: full ? { reason: 'table', message: 'full' } : undefined };
  }

  /** All that waits is synced. */
  end(): void {
    for (const { resolve } of this.#waiting.splice(0)) resolve();
  }
}

/** See the module comment. */
export class FakeLog implements WriteLog {
  /** Tables of the rows written. */
  readonly written: string[] = [];
  /** Set: it takes nothing. */
  failure: Error | undefined;
  isEmpty = true;
  readonly drainedSeq = Number.MAX_SAFE_INTEGER;
  readonly #waiting: Deferred<void>[] = [];

  get waiting(): number {
    return this.#waiting.length;
  }

  write(batch: PointBatch, _head: RecordHead): Promise<void> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    this.written.push(...readRows(batch).map(({ table }) => table));
    return Promise.resolve();
  }

  drained(signal: AbortSignal): Promise<void> {
    const drained = createDeferred<void>();
    this.#waiting.push(drained);
    return unlessAborted(drained.promise, signal);
  }

  /** It is drained. */
  end(): void {
    this.isEmpty = true;
    for (const { resolve } of this.#waiting.splice(0)) resolve();
  }
}
