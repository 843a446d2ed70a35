/** Lets a bounded number of tasks run at a time, a bounded number wait, and refuses the rest. */
import { GatewayError } from '../../errors.ts';

/** Turns of tasks, in the order of their coming. */
export interface Turns {
  /**
   * Runs the task when it is its turn.
   * @throws {GatewayError} overload when too many wait. The signal's reason when it aborts before the turn.
   */
  take<T>(signal: AbortSignal, task: () => Promise<T>): Promise<T>;
  /** Resolves when nothing runs and nothing waits. */
  idle(): Promise<void>;
  readonly running: number;
}

/** Creates turns for `maxRunning` tasks (at least 1) with `maxWaiting` in line. */
export function createTurns(maxRunning: number, maxWaiting: number): Turns {
  const waiting = new Set<() => void>();
  const idle = new Set<() => void>();
  let running = 0;

  function wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        waiting.delete(begin);
        reject(signal.reason as Error);
      };
      const begin = (): void => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      waiting.add(begin);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Hands the turn on, or gives it back. */
  function release(): void {
    const [next] = waiting;
    if (next !== undefined) {
      waiting.delete(next);
      next();
      return;
    }
    running--;
    if (running > 0) return;
    for (const resolve of idle) resolve();
    idle.clear();
  }

  return {
    get running() {
      return running;
    },
    async take(signal, task) {
      if (running < maxRunning) running++;
      else if (waiting.size < maxWaiting) await wait(signal);
      else throw new GatewayError('overload', `${running} queries run and ${waiting.size} wait`);
      try {
        return await task();
      } finally {
        release();
      }
    },
    idle: () => (running === 0 ? Promise.resolve() : new Promise((resolve) => idle.add(() => resolve()))),
  };
}
