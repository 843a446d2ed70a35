/**
 * A clock that stands still until a test moves it. `advance` wakes sleepers one by one in the order of their time
 * and lets everything that follows from each (promises and immediates) run before the next. Code under test must
 * get all its time from the clock: real timers (Bottleneck's, sockets) are not waited for.
 */
import type { Clock } from '../../src/model/clock.ts';

interface Sleeper {
  readonly dueMs: number;
  readonly wake: () => void;
}

const START_MS = 1_000_000;
const START_WALL_MS = Date.UTC(2026, 0, 1);

/** See the module comment. */
export class FakeClock implements Clock {
  #nowMs = START_MS;
  readonly #sleepers = new Set<Sleeper>();

  now(): number {
    return this.#nowMs;
  }

  wallNow(): number {
    return START_WALL_MS + this.#nowMs - START_MS;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    if (ms <= 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const done = (): void => {
        this.#sleepers.delete(sleeper);
        signal?.removeEventListener('abort', abort);
      };
      const sleeper: Sleeper = {
        dueMs: this.#nowMs + ms,
        wake: () => {
          done();
          resolve();
        },
      };
      const abort = (): void => {
        done();
        reject(signal?.reason as Error);
      };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', abort);
    });
  }

  /** How many sleep right now; 0 after a clean close. */
  get sleeping(): number {
    return this.#sleepers.size;
  }

  /** Lets everything run that waits for no time. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Moves the time on by `ms`, waking all who are due on the way. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await this.settle();
    for (let next = this.#earliest(untilMs); next !== undefined; next = this.#earliest(untilMs)) {
      this.#nowMs = next.dueMs;
      next.wake();
      await this.settle();
    }
    this.#nowMs = untilMs;
    await this.settle();
  }

  #earliest(untilMs: number): Sleeper | undefined {
    let first: Sleeper | undefined;
    for (const sleeper of this.#sleepers) {
      if (sleeper.dueMs <= untilMs && (first === undefined || sleeper.dueMs < first.dueMs)) first = sleeper;
    }
    return first;
  }
}
