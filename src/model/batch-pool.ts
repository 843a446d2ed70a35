/** Batches for reuse: their memory is handed on from request to request. Bounded in number and size. */
import { PointBatch } from './point-batch.ts';

const MAX_BATCHES = 64;
/** A batch that grew larger than this, or that a flush still reads, is left to the garbage collector. */
const MAX_BATCH_BYTES = 4 * 2 ** 20;

/** Lends batches. */
export interface BatchPool {
  acquire(body: Uint8Array, database: string): PointBatch;
  release(batch: PointBatch): void;
}

/** Makes an empty pool. */
export function createBatchPool(): BatchPool {
  const free: PointBatch[] = [];
  return {
    acquire(body, database) {
      const batch = free.pop() ?? new PointBatch();
      batch.reset(body, database);
      return batch;
    },
    release(batch) {
      if (batch.users > 0 || free.length === MAX_BATCHES || batch.capacityBytes > MAX_BATCH_BYTES) return;
      batch.clear();
      free.push(batch);
    },
  };
}
