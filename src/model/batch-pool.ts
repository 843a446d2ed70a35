/**
 * Batches for reuse: their memory is handed on from request to request. A batch comes back when its request is over
 * and nobody uses it any more (`users`): a flush that timed out, or the write log, which has answered the request long
 * before its rows are in the database. Bounded in number and bytes at rest.
 */
import { PointBatch } from './point-batch.ts';

/** With the write log some tens of milliseconds of requests are in use at once. */
const MAX_BATCHES = 1_024;
const MAX_BYTES = 64 * 2 ** 20;
/** A batch that grew larger than this is left to the garbage collector. */
const MAX_BATCH_BYTES = 4 * 2 ** 20;

/** Lends batches. */
export interface BatchPool {
  acquire(body: Uint8Array, database: string): PointBatch;
  /** The request is over; its batch comes back now, or when the last user lets go of it. */
  release(batch: PointBatch): void;
  /** The caller, who had counted itself among the users, lets go of the batch. */
  letGo(batch: PointBatch): void;
}

/** Makes an empty pool. */
export function createBatchPool(): BatchPool {
  const free: PointBatch[] = [];
  let freeBytes = 0;

  function takeBack(batch: PointBatch): void {
    const bytes = batch.capacityBytes;
    if (free.length === MAX_BATCHES || bytes > MAX_BATCH_BYTES || freeBytes + bytes > MAX_BYTES) return;
    batch.clear();
    free.push(batch);
    freeBytes += bytes;
  }

  return {
    acquire(body, database) {
      const used = free.pop();
      if (used !== undefined) freeBytes -= used.capacityBytes;
      const batch = used ?? new PointBatch();
      batch.reset(body, database);
      batch.released = false;
      return batch;
    },
    release(batch) {
      batch.released = true;
      if (batch.users === 0) takeBack(batch);
    },
    letGo(batch) {
      batch.users--;
      if (batch.users === 0 && batch.released) takeBack(batch);
    },
  };
}
