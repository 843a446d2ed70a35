/**
 * One piece of work per key at a time, for everyone who wants its result. The work belongs to nobody: a caller
 * that gives up just stops waiting. A key is free again before the work's followers resume, so one of them may
 * start the next flight. Bounding the number of flights is the caller's business.
 */

/** Work under way; the ticket is what joiners may read and add to. */
export interface Flight<T, V> {
  readonly ticket: T;
  readonly result: Promise<V>;
}

/** See the module comment. */
export interface SingleFlight<T, V> {
  readonly size: number;
  find(key: string): Flight<T, V> | undefined;
  /** Starts work for a key that has none. `work` sees by `isCurrent` whether `detach` was called meanwhile. */
  start(key: string, ticket: T, work: (isCurrent: () => boolean) => Promise<V>): Promise<V>;
  /** The work under way goes on, but nobody joins it any more. */
  detach(key: string): void;
  /** Resolves when all work has ended, detached work included. */
  idle(): Promise<void>;
}

/** Makes an empty set of flights. */
export function createSingleFlight<T, V>(): SingleFlight<T, V> {
  const flights = new Map<string, Flight<T, V>>();
  const running = new Set<Promise<V>>();

  return {
    get size() {
      return running.size;
    },
    find: (key) => flights.get(key),
    start(key, ticket, work) {
      const isCurrent = () => flights.get(key) === flight;
      const result = Promise.resolve()
        .then(() => work(isCurrent))
        .finally(() => {
          if (isCurrent()) flights.delete(key);
          running.delete(result);
        });
      const flight: Flight<T, V> = { ticket, result };
      flights.set(key, flight);
      running.add(result);
      return result;
    },
    detach(key) {
      flights.delete(key);
    },
    async idle() {
      await Promise.allSettled(running);
    },
  };
}
