/** Trouble that lasts for a while: each kind ends after its time, or at the latest when all trouble does. */
import type { FakeClock } from '../helpers/fake-clock.ts';

/** See the module comment. */
export class Spans {
  /** True: no new trouble is to begin. */
  over = false;
  readonly #clock: FakeClock;
  readonly #endings = new Set<() => void>();

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  /** Calls back after `ms`, or when all trouble ends. */
  during(ms: number, end: () => void): void {
    const ending = (): void => {
      cancel();
      this.#endings.delete(ending);
      end();
    };
    const cancel = this.#clock.schedule(ms, ending);
    this.#endings.add(ending);
  }

  endAll(): void {
    this.over = true;
    for (const ending of this.#endings) ending();
  }
}
