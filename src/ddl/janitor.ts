/**
 * Removes what no lease removes, where this gateway leads: slots without their task, tasks that are too old, and (only
 * in a store that is ours) history. Each removal compares the revisions it was judged by; a few per round, one by one.
 */
import type { Clock } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';
import { createAbortController } from '../util/abort.ts';
import { jitterMs, type Random } from '../util/backoff.ts';
import type { SlotValue } from './codec.ts';
import type { DdlKeys } from './keys.ts';
import type { DdlMetrics } from './metrics.ts';
import { absent, type Compare, type Store } from './store.ts';
import type { DdlView, Entry } from './view.ts';

const MAX_REMOVALS = 16;
/** History that stays, for watches that resume. */
const KEEP_HISTORY_MS = 300_000;

/** What the janitor works with. */
export interface JanitorDeps {
  readonly store: Store;
  readonly keys: DdlKeys;
  readonly view: DdlView;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: DdlMetrics;
  /** The fence while this gateway leads and is sure of it, else undefined. */
  readonly fence: () => number | undefined;
  readonly viewRev: () => number;
  readonly expireOld: () => Promise<void>;
  readonly intervalMs: number;
  /** 0: never. */
  readonly compactIntervalMs: number;
}

/** See the module comment. */
export class Janitor {
  readonly #deps: JanitorDeps;
  readonly #closing = createAbortController();
  /** Which revision was the newest at which time; oldest first. */
  #history: { readonly atMs: number; readonly rev: number }[] = [];
  #compactedMs: number;
  #running: Promise<void> | undefined;

  constructor(deps: JanitorDeps) {
    this.#deps = deps;
    this.#compactedMs = deps.clock.now();
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort(new Error('the janitor is closed'));
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, random, intervalMs, logger } = this.#deps;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      await clock.sleep(jitterMs(intervalMs, 0.2, random), signal).catch(() => undefined);
      if (signal.aborted) return;
      try {
        await this.#round();
      } catch (error) {
        logger.debug({ err: error }, 'a round of the DDL janitor failed');
      }
    }
  }

  async #round(): Promise<void> {
    const { view, clock, compactIntervalMs } = this.#deps;
    const nowMs = clock.now();
    if (compactIntervalMs > 0) this.#history.push({ atMs: nowMs, rev: this.#deps.viewRev() });
    if (this.#deps.fence() === undefined) return;
    await this.#deps.expireOld();
    const orphans = [...view.slots.values()].filter((slot) => !this.#isOwned(slot));
    for (const slot of orphans.slice(0, MAX_REMOVALS)) await this.#removeSlot(slot);
    await this.#compact(nowMs);
  }

  #isOwned(slot: Entry<SlotValue>): boolean {
    const task = this.#deps.view.tasks.get(slot.value.task)?.value;
    return task?.slot === slot.key || task?.tenantSlot === slot.key;
  }

  async #removeSlot(slot: Entry<SlotValue>): Promise<void> {
    const { store, keys, view, metrics, fence } = this.#deps;
    const create = fence();
    if (create === undefined) return;
    const task = view.tasks.get(slot.value.task);
    // A task that the view can't read is there all the same: the compare saves its slots.
    const judged: Compare =
      task === undefined ? absent(slot.value.task) : { key: slot.value.task, mod: task.mod };
    const result = await store.txn(
      {
        label: 'janitor',
        compare: [{ key: keys.lead, create }, { key: slot.key, mod: slot.mod }, judged],
        success: [{ op: 'delete', key: slot.key }],
      },
      this.#closing.signal,
    );
    if (result.ok) metrics.swept('slot');
  }

  async #compact(nowMs: number): Promise<void> {
    const { store, compactIntervalMs } = this.#deps;
    if (compactIntervalMs === 0 || nowMs - this.#compactedMs < compactIntervalMs) return;
    const old = this.#history.findLast(({ atMs }) => nowMs - atMs >= KEEP_HISTORY_MS);
    if (old === undefined) return;
    this.#compactedMs = nowMs;
    this.#history = this.#history.filter(({ atMs }) => atMs > old.atMs);
    await store.compact(old.rev, this.#closing.signal);
  }
}
