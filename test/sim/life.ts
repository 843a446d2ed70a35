/**
 * Whether a simulated process runs: what comes to it from outside (time, answers, events) is handed over at once, kept
 * until it is thawed (SIGSTOP), or lost (kill -9). Requests it has sent before live on without it.
 */
import type { Clock } from '../../src/model/clock.ts';
import type { FakeClock } from '../helpers/fake-clock.ts';

/** See the module comment. */
export class Life {
  #state: 'running' | 'frozen' | 'dead' = 'running';
  #kept: (() => void)[] = [];
  #keptTimers: (() => void)[] = [];

  get running(): boolean {
    return this.#state === 'running';
  }

  get dead(): boolean {
    return this.#state === 'dead';
  }

  /** Hands something over: now, later or never. */
  deliver(something: () => void): void {
    if (this.#state === 'running') something();
    else if (this.#state === 'frozen') this.#kept.push(something);
  }

  /** The same for a timer of the process's own. */
  wake(timer: () => void): void {
    if (this.#state === 'running') timer();
    else if (this.#state === 'frozen') this.#keptTimers.push(timer);
  }

  /** Resolves when the process runs. */
  passed(): Promise<void> {
    if (this.#state === 'running') return Promise.resolve();
    return new Promise((resolve) => this.deliver(resolve));
  }

  freeze(): void {
    if (this.#state === 'running') this.#state = 'frozen';
  }

  /** Hands over what came meanwhile, the timers before or after the rest. */
  thaw(timersFirst: boolean): void {
    if (this.#state !== 'frozen') return;
    this.#state = 'running';
    const kept = timersFirst ? [...this.#keptTimers, ...this.#kept] : [...this.#kept, ...this.#keptTimers];
    this.#kept = [];
    this.#keptTimers = [];
    for (const something of kept) this.deliver(something);
  }

  kill(): void {
    this.#state = 'dead';
    this.#kept = [];
    this.#keptTimers = [];
  }
}

/** How far the clocks of a process are from those of others. */
export interface ClockSkew {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

/** The one time of all, as one process sees it by clocks of its own. */
export class ProcessClock implements Clock {
  readonly #clock: FakeClock;
  readonly #life: Life;
  readonly #skew: ClockSkew;
  readonly #timers = new Set<() => void>();

  constructor(clock: FakeClock, life: Life, skew: ClockSkew) {
    this.#clock = clock;
    this.#life = life;
    this.#skew = skew;
  }

  /** How many sleep. */
  get sleeping(): number {
    return this.#timers.size;
  }

  now(): number {
    return this.#clock.now() + this.#skew.monotonicMs;
  }

  wallNow(): number {
    return this.#clock.wallNow() + this.#skew.wallMs;
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
    const cancel = this.#clock.schedule(ms, () => {
      this.#timers.delete(cancel);
      this.#life.wake(wake);
    });
    this.#timers.add(cancel);
    return () => {
      cancel();
      this.#timers.delete(cancel);
    };
  }

  /** Calls all timers off: the process is dead. */
  stop(): void {
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
  }
}
