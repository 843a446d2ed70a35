/** Writes down what a watch brings, and lets a test wait for it. */
import type { Store, WatchEnd, WatchEvent } from '../../src/ddl/store.ts';
import { createDeferred } from '../../src/util/deferred.ts';

/** One revision as it came. */
export interface Batch {
  readonly rev: number;
  readonly events: readonly WatchEvent[];
}

/** A watch with a memory. */
export interface WatchRecorder {
  readonly opened: readonly number[];
  readonly batches: readonly Batch[];
  readonly ended: readonly WatchEnd[];
  /** Resolves once what was recorded satisfies the condition. */
  until(condition: (recorder: WatchRecorder) => boolean): Promise<void>;
  stop(): void;
}

/** Starts watching. */
export function recordWatch(store: Store, prefix: string, fromRev: number): WatchRecorder {
  const opened: number[] = [];
  const batches: Batch[] = [];
  const ended: WatchEnd[] = [];
  let changed = createDeferred<void>();
  const note = (): void => {
    changed.resolve();
    changed = createDeferred<void>();
  };
  const stop = store.watch(prefix, fromRev, {
    onOpen: (rev) => {
      opened.push(rev);
      note();
    },
    onBatch: (rev, events) => {
      batches.push({ rev, events });
      note();
    },
    onEnd: (reason) => {
      ended.push(reason);
      note();
    },
  });
  const recorder: WatchRecorder = {
    opened,
    batches,
    ended,
    until: async (condition) => {
      while (!condition(recorder)) await changed.promise;
    },
    stop,
  };
  return recorder;
}
