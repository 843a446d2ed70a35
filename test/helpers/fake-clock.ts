/**
 * A clock that stands still until a test moves it. `advance` wakes sleepers one by one in the order of their time
 * and lets everything that follows from each (promises and immediates) run before the next. Code under test must
 * get all its time from the clock: real timers (Bottleneck's, sockets) are not waited for.
 */
import type { Clock } from '../../src/model/clock.ts';

interface Timer {
  readonly dueMs: number;
  /** Among timers due at the same time the first one set goes first. */
  readonly order: number;
  /** Undefined: called, or called off; it is dropped when it comes to the top. */
  wake: (() => void) | undefined;
}

const START_MS = 1_000_000;
const START_WALL_MS = Date.UTC(2026, 0, 1);

/** See the module comment. */
export class FakeClock implements Clock {
  #nowMs = START_MS;
  /** A heap: no timer is due before its parent, the one at half its index. The first place is not used. */
  readonly #timers: (Timer | undefined)[] = [undefined];
  readonly #turns: number;
  #set = 0;
  #sleeping = 0;

  /** `turns`: rounds of the event loop that belong to one moment; 1 is enough for code that only awaits promises. */
  constructor(turns = 3) {
    this.#turns = turns;
  }

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
      const cancel = this.schedule(ms, () => {
        signal?.removeEventListener('abort', abort);
        resolve();
      });
      const abort = (): void => {
        cancel();
        signal?.removeEventListener('abort', abort);
        reject(signal?.reason as Error);
      };
      signal?.addEventListener('abort', abort);
    });
  }

  /** Calls back after `ms`, unless the returned function is called before. */
  schedule(ms: number, wake: () => void): () => void {
    const timer: Timer = { dueMs: this.#nowMs + Math.max(0, ms), order: this.#set++, wake };
    this.#push(timer);
    this.#sleeping++;
    return () => {
      if (timer.wake !== undefined) this.#sleeping--;
      timer.wake = undefined;
    };
  }

  /** How many sleep right now; 0 after a clean close. */
  get sleeping(): number {
    return this.#sleeping;
  }

  /** Lets everything run that waits for no time. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < this.#turns; turn++) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Moves the time on by `ms`, waking all who are due on the way. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await this.settle();
    for (let next = this.#take(untilMs); next !== undefined; next = this.#take(untilMs)) {
      next();
      await this.settle();
    }
    this.#nowMs = untilMs;
    await this.settle();
  }

  /** Goes to the next timer that is due by then and was not called off. */
  #take(untilMs: number): (() => void) | undefined {
    for (let first = this.#timers[1]; first !== undefined; first = this.#timers[1]) {
      const { wake } = first;
      if (wake !== undefined && first.dueMs > untilMs) return undefined;
      this.#pop();
      if (wake === undefined) continue;
      this.#nowMs = first.dueMs;
      first.wake = undefined;
      this.#sleeping--;
      return wake;
    }
    return undefined;
  }

  #push(timer: Timer): void {
    const heap = this.#timers;
    let at = heap.length;
    heap.push(timer);
    for (let up = at >> 1; up >= 1 && isBefore(timer, heap[up]); up = at >> 1) {
      heap[at] = heap[up];
      heap[up] = timer;
      at = up;
    }
  }

  /** Removes the first timer: the last takes its place and sinks to where it belongs. */
  #pop(): void {
    const heap = this.#timers;
    const last = heap.pop();
    if (heap.length === 1) return;
    let at = 1;
    heap[at] = last;
    for (let down = 2; down < heap.length; down = at * 2) {
      if (isBefore(heap[down + 1], heap[down])) down++;
      if (!isBefore(heap[down], last)) return;
      heap[at] = heap[down];
      heap[down] = last;
      at = down;
    }
  }
}

function isBefore(a: Timer | undefined, b: Timer | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
}
