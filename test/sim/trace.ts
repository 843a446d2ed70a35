/** What happened in a simulation, in order: a digest of all of it, and the newest lines for people. */
import { createHash } from 'node:crypto';
import type { FakeClock } from '../helpers/fake-clock.ts';

const KEPT_LINES = 400;

/** See the module comment. */
export class Trace {
  readonly #clock: FakeClock;
  readonly #digest = createHash('sha256');
  readonly #startMs: number;
  #tail: string[] = [];
  lines = 0;

  constructor(clock: FakeClock) {
    this.#clock = clock;
    this.#startMs = clock.now();
  }

  /** Notes something; `who` is a gateway, `sim` or `db`. */
  add(who: string, what: string): void {
    const seconds = ((this.#clock.now() - this.#startMs) / 1_000).toFixed(3);
    const line = `${seconds.padStart(9)} ${who.padEnd(5)} ${what}`;
    this.#digest.update(line).update('\n');
    this.lines++;
    this.#tail.push(line);
    if (this.#tail.length > 2 * KEPT_LINES) this.#tail = this.#tail.slice(-KEPT_LINES);
  }

  /** The newest lines. */
  tail(count: number): readonly string[] {
    return this.#tail.slice(-count);
  }

  /** Stands for all lines; to be called once, at the end. */
  hash(): string {
    return this.#digest.digest('hex').slice(0, 16);
  }
}
