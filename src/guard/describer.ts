/**
 * Asks the database which tables exist, and how they look, without becoming a load itself: names of many callers
 * share one query, one query runs at a time, and queries keep their distance (see pace.ts). After a
 * failed query the database is left alone for a growing while, and everybody is told so at once. It remembers no
 * answers and asks for a name as often as it is told to: registry.ts does both. Never rejects.
 */

import type { Clock } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';
import type { DdlExecutor } from '../model/sink.ts';
import type { TableId, TableSchema } from '../model/table.ts';
import { createAbortController } from '../util/abort.ts';
import { exponentialMs, jitterMs, type Random } from '../util/backoff.ts';
import type { DescriberOptions, GuardMetrics } from './options.ts';
import type { Pace } from './pace.ts';
import { within } from './within.ts';

/** What the database said. `busy`: too many names wait. `down`: it did not answer, or is not asked just now. */
export type Described =
  | { readonly kind: 'found'; readonly schema: TableSchema }
  | { readonly kind: 'missing' }
  | { readonly kind: 'busy' }
  | { readonly kind: 'down'; readonly retryAfterMs: number };

/** What the describer works with. */
export interface DescriberDeps {
  readonly ddl: Pick<DdlExecutor, 'describe'>;
  readonly clock: Clock;
  readonly metrics: Pick<GuardMetrics, 'described'>;
  readonly logger: Logger;
  readonly random: Random;
  readonly pace: Pace;
}

interface Ask {
  readonly id: TableId;
  readonly answer: (described: Described) => void;
}

/** See the module comment. */
export class Describer {
  readonly #options: DescriberOptions;
  readonly #deps: DescriberDeps;
  readonly #closing = createAbortController();
  readonly #waiting: Ask[] = [];
  #asked: readonly Ask[] = [];
  #scheduled = false;
  #failures = 0;
  #downUntilMs = 0;
  #closed: Promise<void> | undefined;

  constructor(options: DescriberOptions, deps: DescriberDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** Names that wait or are being asked for. */
  get pending(): number {
    return this.#waiting.length + this.#asked.length;
  }

  /** `background`: gives way, that is `busy` as soon as half of the places are taken. */
  describe(id: TableId, background: boolean): Promise<Described> {
    const { maxPending, maxDownMs } = this.#options;
    const downMs = this.#downUntilMs - this.#deps.clock.now();
    if (downMs > 0) return Promise.resolve({ kind: 'down', retryAfterMs: downMs });
    if (this.#closing.signal.aborted) return Promise.resolve({ kind: 'down', retryAfterMs: maxDownMs });
    const places = background ? maxPending / 2 : maxPending;
    if (this.#waiting.length >= places) return Promise.resolve({ kind: 'busy' });
    return new Promise((resolve) => {
      this.#waiting.push({ id, answer: resolve });
      this.#schedule();
    });
  }

  /** Answers everybody `down` and stops. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#closing.abort(new Error('the guard was closed'));
    const down: Described = { kind: 'down', retryAfterMs: this.#options.maxDownMs };
    for (const ask of this.#waiting.splice(0)) ask.answer(down);
    await this.#deps.pace.stop();
  }

  #schedule(): void {
    if (this.#scheduled || this.#waiting.length === 0) return;
    this.#scheduled = true;
    // Rejects only when close() drops the job; close() answers those who wait.
    this.#deps.pace.run(() => this.#askNext()).catch(() => undefined);
  }

  async #askNext(): Promise<void> {
    this.#asked = this.#waiting.splice(0, this.#options.maxNames);
    if (this.#asked.length === 0) return;
    try {
      answer(this.#asked, await this.#query(this.#asked.map((ask) => ask.id)));
      this.#failures = 0;
    } catch (error) {
      this.#failed(error);
    }
    this.#asked = [];
    this.#scheduled = false;
    this.#schedule();
  }

  async #query(ids: readonly TableId[]): Promise<readonly (TableSchema | undefined)[]> {
    const { ddl, clock, metrics } = this.#deps;
    const { timeoutMs } = this.#options;
    const stop = new AbortController();
    try {
      const answered = ddl.describe(ids, stop.signal);
      const schemas = await within(answered, timeoutMs, clock, this.#closing.signal);
      if (schemas === undefined) throw new Error(`no answer within ${timeoutMs} ms`);
      metrics.described(ids.length, true);
      return schemas;
    } catch (error) {
      metrics.described(ids.length, false);
      throw error;
    } finally {
      stop.abort();
    }
  }

  #failed(error: unknown): void {
    const { minDownMs, maxDownMs } = this.#options;
    const backoffMs = exponentialMs(minDownMs, maxDownMs, ++this.#failures);
    const retryAfterMs = jitterMs(backoffMs, 0.2, this.#deps.random);
    this.#downUntilMs = this.#deps.clock.now() + retryAfterMs;
    if (!this.#closing.signal.aborted) {
      this.#deps.logger.warn({ err: error, retryAfterMs }, 'the database did not say which tables exist');
    }
    for (const ask of [...this.#asked, ...this.#waiting.splice(0)])
      ask.answer({ kind: 'down', retryAfterMs });
  }
}

function answer(asks: readonly Ask[], schemas: readonly (TableSchema | undefined)[]): void {
  asks.forEach((ask, index) => {
    const schema = schemas[index];
    ask.answer(schema === undefined ? { kind: 'missing' } : { kind: 'found', schema });
  });
}
