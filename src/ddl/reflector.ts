/**
 * A copy of all keys under a prefix, kept current by list and watch: pages of one revision, then the watch from the
 * next revision on. A lost link resumes where it was; compaction, another cluster or a head behind ours lists again
 * and tells the difference. Whoever reads the copy sees whole revisions only. It is not `live` until it
 * has caught up, and then callers must not act on it.
 */
import type { Clock } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';
import { createAbortController } from '../util/abort.ts';
import { exponentialMs, jitterMs, type Random } from '../util/backoff.ts';
import { createDeferred, type Deferred } from '../util/deferred.ts';
import type { DdlMetrics } from './metrics.ts';
import { type KeyValue, type RangeResult, type Store, type WatchEnd } from './store.ts';

const PAGE_KEYS = 200;
const RETRY_BASE_MS = 100;
const RETRY_MAX_MS = 5_000;

/** One key's change; `before` undefined: it is new, `after` undefined: it is gone. */
export interface Change {
  readonly key: string;
  readonly before: KeyValue | undefined;
  readonly after: KeyValue | undefined;
}

/** Told of everything the copy goes through, in the order of revisions. Must not throw. */
export interface ReflectorListener {
  /** `listed`: the difference to before, after a list; events between may have been missed. */
  changed(changes: readonly Change[], rev: number, listed: boolean): void;
  liveChanged(live: boolean): void;
}

/** See the module comment. */
export interface Reflector {
  readonly live: boolean;
  /** The copy is as of this revision; 0 before the first list. */
  readonly rev: number;
  /** Resolves when the copy has reached the revision or was listed anew. @throws the reason of `signal` */
  reached(rev: number, signal: AbortSignal): Promise<void>;
  start(): void;
  /** Idempotent. */
  close(): Promise<void>;
}

/** What the reflector works with. */
export interface ReflectorDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<DdlMetrics, 'watchEnded'>;
  readonly random: Random;
}

/** A reflector of the keys under `prefix`; call `start` when the listener is ready. */
export function createReflector(prefix: string, listener: ReflectorListener, deps: ReflectorDeps): Reflector {
  return new ListAndWatch(prefix, listener, deps);
}

class ListAndWatch implements Reflector {
  readonly #prefix: string;
  readonly #listener: ReflectorListener;
  readonly #deps: ReflectorDeps;
  readonly #closing = createAbortController();
  readonly #waiters = new Set<{ readonly rev: number; readonly reached: Deferred<void> }>();
  #copy = new Map<string, KeyValue>();
  #rev = 0;
  #live = false;
  #running: Promise<void> | undefined;

  constructor(prefix: string, listener: ReflectorListener, deps: ReflectorDeps) {
    this.#prefix = prefix;
    this.#listener = listener;
    this.#deps = deps;
  }

  get live(): boolean {
    return this.#live;
  }

  get rev(): number {
    return this.#rev;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async reached(rev: number, signal: AbortSignal): Promise<void> {
    if (this.#rev >= rev) return;
    signal.throwIfAborted();
    const waiter = { rev, reached: createDeferred<void>() };
    const abort = (): void => waiter.reached.reject(signal.reason);
    signal.addEventListener('abort', abort);
    this.#waiters.add(waiter);
    try {
      await waiter.reached.promise;
    } finally {
      this.#waiters.delete(waiter);
      signal.removeEventListener('abort', abort);
    }
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('the reflector is closed'));
    await this.#running;
    this.#setLive(false);
    for (const waiter of this.#waiters) waiter.reached.reject(this.#closing.signal.reason);
  }

  async #run(): Promise<void> {
    let listed = false;
    let failures = 0;
    while (!this.#closing.signal.aborted) {
      const beganMs = this.#deps.clock.now();
      try {
        if (!listed) await this.#list();
        listed = (await this.#follow()) === 'lost';
      } catch (error) {
        this.#deps.logger.debug({ err: error }, 'list of the DDL keys failed');
      }
      this.#setLive(false);
      failures = this.#deps.clock.now() - beganMs > RETRY_MAX_MS ? 1 : failures + 1;
      await this.#pause(failures);
    }
  }

  async #pause(failures: number): Promise<void> {
    if (this.#closing.signal.aborted) return;
    const waitMs = jitterMs(exponentialMs(RETRY_BASE_MS, RETRY_MAX_MS, failures), 0.2, this.#deps.random);
    try {
      await this.#deps.clock.sleep(waitMs, this.#closing.signal);
    } catch {
      // Closed: the loop ends.
    }
  }

  /** Reads everything as of one revision and replaces the copy by it. */
  async #list(): Promise<void> {
    const next = new Map<string, KeyValue>();
    let revision: number | undefined;
    let page: RangeResult;
    let from = '';
    do {
      page = await this.#deps.store.range(
        { prefix: this.#prefix, from, limit: PAGE_KEYS, ...(revision === undefined ? {} : { revision }) },
        this.#closing.signal,
      );
      revision ??= page.rev;
      for (const kv of page.kvs) next.set(kv.key, kv);
      from = `${page.kvs.at(-1)?.key ?? ''}\u0000`;
    } while (page.more);
    const changes = difference(this.#copy, next);
    this.#copy = next;
    this.#advance(changes, revision, true);
  }

  /** Watches from the revision after the copy's until the watch ends. */
  #follow(): Promise<WatchEnd> {
    return new Promise((resolve) => {
      let stop: (() => void) | undefined;
      const closing = this.#closing.signal;
      const end = (reason: WatchEnd): void => {
        closing.removeEventListener('abort', onAbort);
        stop?.();
        resolve(reason);
      };
      const onAbort = (): void => end('lost');
      closing.addEventListener('abort', onAbort);
      stop = this.#deps.store.watch(this.#prefix, this.#rev + 1, {
        onOpen: (rev) => {
          if (rev < this.#rev) end('reset');
          else this.#setLive(true);
        },
        onBatch: (rev, events) => this.#apply(rev, events),
        onEnd: (reason) => {
          this.#deps.metrics.watchEnded(reason);
          this.#deps.logger.debug({ reason, rev: this.#rev }, 'watch of the DDL keys ended');
          end(reason);
        },
      });
      if (closing.aborted) onAbort();
    });
  }

  #apply(rev: number, events: readonly { readonly key: string; readonly kv: KeyValue | undefined }[]): void {
    // A server may send a revision again after it resumed (etcd #20221).
    if (rev <= this.#rev) return;
    const changes = events.map(({ key, kv }) => ({ key, before: this.#copy.get(key), after: kv }));
    for (const { key, after } of changes) {
      if (after === undefined) this.#copy.delete(key);
      else this.#copy.set(key, after);
    }
    this.#advance(changes, rev, false);
  }

  #advance(changes: readonly Change[], rev: number, listed: boolean): void {
    this.#rev = rev;
    this.#listener.changed(changes, rev, listed);
    for (const waiter of this.#waiters) {
      if (listed || rev >= waiter.rev) waiter.reached.resolve();
    }
  }

  #setLive(live: boolean): void {
    if (this.#live === live) return;
    this.#live = live;
    this.#listener.liveChanged(live);
  }
}

function difference(old: ReadonlyMap<string, KeyValue>, next: ReadonlyMap<string, KeyValue>): Change[] {
  const changes: Change[] = [];
  for (const [key, before] of old) {
    if (!next.has(key)) changes.push({ key, before, after: undefined });
  }
  for (const [key, after] of next) {
    const before = old.get(key);
    // The value, too: in a store that was emptied the same revisions may hold something else.
    const same = before?.mod === after.mod && before.create === after.create && before.value === after.value;
    if (!same) changes.push({ key, before, after });
  }
  return changes;
}
