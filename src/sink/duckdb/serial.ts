/**
 * Runs tasks one after another in the order of their coming, never more than `maxWaiting` in line: DuckDB refuses
 * concurrent changes of one catalog entry, and a connection carries one transaction at a time.
 */

/** Rejection of `run` when too many tasks wait. */
export class SerialFullError extends Error {
  override readonly name = 'SerialFullError';
}

/** A line of tasks. */
export interface Serial {
  /** Runs the task when all before it have ended. @throws SerialFullError */
  run<T>(task: () => Promise<T>): Promise<T>;
  /** Tasks waiting or running. */
  readonly size: number;
}

/** Creates a line of at most `maxWaiting` tasks, the running one included. */
export function createSerial(maxWaiting: number): Serial {
  let last: Promise<unknown> = Promise.resolve();
  let size = 0;
  return {
    get size() {
      return size;
    },
    run(task) {
      if (size >= maxWaiting)
        return Promise.reject(new SerialFullError(`${size} operations wait for the database`));
      size++;
      const result = last.then(task).finally(() => size--);
      last = result.catch(() => undefined);
      return result;
    },
  };
}
