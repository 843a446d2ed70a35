/**
 * Gives requests of one connection their turn in the order they were sent. Node starts pipelined requests at the
 * same time; a sender that does not wait for answers (netdata) would have its batches written in any order.
 * Costs a map lookup and a promise when nothing is pipelined. Waiting requests per connection are bounded.
 */
import { GatewayError } from '../errors.ts';
import { createDeferred } from '../util/deferred.ts';

/** The lines of all connections. */
export interface ConnectionOrder {
  /**
   * Runs `work` at once, with a promise of its turn: undefined when nothing is before it. What must happen in
   * order comes after awaiting it. Later requests wait until `work` has settled and its own turn had come.
   * @throws {GatewayError} overload when too many requests of the connection wait; and what `work` throws
   */
  run<T>(connection: object, work: (turn: Promise<void> | undefined) => Promise<T>): Promise<T>;
}

interface Line {
  last: Promise<void> | undefined;
  waiting: number;
}

/** Makes the order; `maxWaiting` per connection. What is known of a connection vanishes with its object. */
export function createConnectionOrder(maxWaiting: number): ConnectionOrder {
  const lines = new WeakMap<object, Line>();

  function lineOf(connection: object): Line {
    let line = lines.get(connection);
    if (line === undefined) {
      line = { last: undefined, waiting: 0 };
      lines.set(connection, line);
    }
    return line;
  }

  return {
    async run(connection, work) {
      const line = lineOf(connection);
      if (line.waiting >= maxWaiting) throw new GatewayError('overload', 'too many pipelined requests');
      const turn = line.last;
      const end = createDeferred<void>();
      line.last = end.promise;
      if (turn !== undefined) line.waiting++;
      try {
        return await work(turn);
      } finally {
        if (turn !== undefined) {
          await turn; // work that failed early must not let later requests overtake earlier ones
          line.waiting--;
        }
        if (line.last === end.promise) line.last = undefined;
        end.resolve();
      }
    },
  };
}
