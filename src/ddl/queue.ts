/**
 * The DDL queue of one gateway, over a store. Submits are answered from the view where it says enough; one submit per
 * table is under way in this process, the others join it. What the store's watch brings goes, whole revisions in
 * order, to the view, the waiters, the worker and the subscribers. Does not own the store or the executor: whoever made
 * them closes them, after the queue.
 */
import { GatewayError } from '../errors.ts';
import type { ControlledQueue, DdlControl } from '../model/ddl-control.ts';
import type {
  DdlEvent,
  DdlOutcome,
  DdlQueueStats,
  DdlRefusal,
  DdlRequest,
  DdlSubmission,
  ForgetScope,
} from '../model/ddl-queue.ts';
import { createAbortController, unlessAborted } from '../util/abort.ts';
import type { OutValue } from './codec.ts';
import { createDdlControl } from './control.ts';
import { type EnqueueResult, RETRY_MS } from './enqueue.ts';
import { eventsOf } from './events.ts';
import { forgetOutcomes } from './forget.ts';
import { type DdlQueueOptions, type DdlSettings, resolveDdlOptions } from './options.ts';
import { composeQueue, type DdlQueueDeps, type QueueParts, startParts, stopParts } from './queue-parts.ts';
import type { Change } from './reflector.ts';
import { storeErrorKind } from './store.ts';
import type { Lasting, ViewChange } from './view.ts';

export type { DdlQueueDeps } from './queue-parts.ts';

/** Opens the queue. Until it has read the store, however long the store is away, it refuses as `not_live`. */
export function createDdlQueue(options: DdlQueueOptions, deps: DdlQueueDeps): ControlledQueue {
  return new StoreQueue(resolveDdlOptions(options), deps);
}

/** A submit's result, and the end of its task where there is one. */
interface Flight {
  readonly result: EnqueueResult;
  readonly outcome: Promise<DdlOutcome | undefined>;
}

const UNKNOWN: Promise<undefined> = Promise.resolve(undefined);

class StoreQueue implements ControlledQueue {
  readonly control: DdlControl;
  readonly #settings: DdlSettings;
  readonly #deps: DdlQueueDeps;
  readonly #parts: QueueParts;
  readonly #closing = createAbortController();
  readonly #listeners = new Set<(event: DdlEvent) => void>();
  /** By key of the task. */
  readonly #flights = new Map<string, Promise<Flight>>();
  #closed: Promise<void> | undefined;

  constructor(settings: DdlSettings, deps: DdlQueueDeps) {
    this.#settings = settings;
    this.#deps = deps;
    this.#parts = composeQueue(settings, deps, {
      reflected: {
        changed: (changes, rev, listed) => this.#changed(changes, rev, listed),
        liveChanged: () => this.#liveChanged(),
      },
      closing: this.#closing.signal,
    });
    this.control = createDdlControl({ ...deps, ...this.#parts });
    startParts(this.#parts);
  }

  async submit(request: DdlRequest, signal: AbortSignal): Promise<DdlSubmission> {
    signal.throwIfAborted();
    const { result, outcome } = await this.#flight(request, signal);
    const { metrics } = this.#deps;
    if (result.kind === 'refused') {
      metrics.refused(result.reason);
      return { kind: 'refused', reason: result.reason, retryAfterMs: result.retryAfterMs };
    }
    metrics[result.kind]();
    return result.kind === 'known' ? result : { kind: result.kind, outcome };
  }

  subscribe(listener: (event: DdlEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async forget(scope: ForgetScope, signal: AbortSignal): Promise<number> {
    const { view, reflector } = this.#parts;
    if (!reflector.live) throw new GatewayError('unavailable', 'the DDL queue has lost sight of its store');
    try {
      return await forgetOutcomes(scope, { store: this.#deps.store, view }, signal);
    } catch (error) {
      signal.throwIfAborted();
      throw new GatewayError('unavailable', `the store of the DDL queue failed: ${storeErrorKind(error)}`, {
        cause: error,
      });
    }
  }

  stats(): DdlQueueStats {
    const { view, election, reflector, space } = this.#parts;
    return {
      openTasks: view.tasks.size,
      maxOpenTasks: this.#settings.maxOpenTasks,
      outcomes: view.outs.size,
      leader: election.fence !== undefined,
      live: reflector.live,
      storeFill: space.fill,
    };
  }

  close(signal?: AbortSignal): Promise<void> {
    this.#closed ??= this.#close(signal);
    return this.#closed;
  }

  /** Stops within `signal`, or within the time of one statement. */
  async #close(signal: AbortSignal | undefined): Promise<void> {
    const { clock, logger } = this.#deps;
    this.#closing.abort(new GatewayError('closed', 'the DDL queue is closed'));
    if (signal !== undefined) {
      await stopParts(this.#parts, signal);
    } else {
      const timer = createAbortController();
      const limit = createAbortController();
      void clock.sleep(this.#settings.ddlTimeoutMs, timer.signal).then(
        () => limit.abort(new Error('the time to close is over')),
        () => undefined,
      );
      await stopParts(this.#parts, limit.signal);
      timer.abort();
    }
    this.#listeners.clear();
    logger.debug({}, 'the DDL queue is closed');
  }

  async #flight(request: DdlRequest, signal: AbortSignal): Promise<Flight> {
    const { keys, enqueuer, reflector, waiters, space } = this.#parts;
    if (this.#closing.signal.aborted) return refusal('closed');
    if (!reflector.live) return refusal('not_live');
    const key = keys.task(request.database, request.table);
    const known = enqueuer.lookUp(request, reflector.rev);
    if (known !== undefined) {
      return { result: known, outcome: known.kind === 'joined' ? waiters.expect(known.nonce) : UNKNOWN };
    }
    if (space.full) return refusal('unavailable');
    const under = this.#flights.get(key);
    if (under !== undefined) {
      const { result, outcome } = await unlessAborted(under, signal);
      return { result: result.kind === 'submitted' ? { ...result, kind: 'joined' } : result, outcome };
    }
    const flight = this.#enqueue(request).finally(() => this.#flights.delete(key));
    this.#flights.set(key, flight);
    return await unlessAborted(flight, signal);
  }

  /** The caller's abort does not end it: others may have joined. */
  async #enqueue(request: DdlRequest): Promise<Flight> {
    const { enqueuer, waiters, keys, space, nextNonce } = this.#parts;
    const { database, table } = request;
    const nonce = nextNonce();
    const own = waiters.expect(nonce);
    const result = await enqueuer.enqueue(request, nonce, this.#closing.signal);
    const seen = { task: keys.task(database, table), out: keys.out(database, table) };
    if (result.kind === 'submitted') {
      waiters.confirm(nonce, { ...seen, rev: result.rev });
      return { result, outcome: own };
    }
    waiters.drop(nonce);
    if (result.kind === 'refused' && result.nospace === true) space.refused();
    if (result.kind !== 'joined') return { result, outcome: UNKNOWN };
    const outcome = waiters.expect(result.nonce);
    waiters.confirm(result.nonce, { ...seen, rev: result.rev });
    return { result, outcome };
  }

  #changed(changes: readonly Change[], rev: number, listed: boolean): void {
    const { view, waiters, worker, election } = this.#parts;
    const happened = view.apply(changes);
    for (const change of happened) {
      if (change.kind === 'out') this.#remember(change.out);
      else if (change.kind === 'out_gone' && !listed) this.#forgetPurged(change.out, happened);
    }
    waiters.apply(happened, rev, listed);
    if (happened.some(({ kind }) => kind === 'lead')) election.viewChanged();
    worker.viewChanged(happened);
    for (const event of eventsOf(happened, listed, this.#deps.clock.now())) this.#emit(event);
  }

  #remember({ key, value, seenMs }: Lasting<OutValue>): void {
    const { memory } = this.#parts;
    if (value.failures.length === 0) memory.forget(key);
    memory.observe(
      key,
      value.failures.map(({ ttlMs, ...failure }) => ({ ...failure, untilMs: seenMs + ttlMs })),
    );
  }

  /** A result that went before its time, and not for a new task, was dropped by hand: begin anew with it. */
  #forgetPurged(out: Lasting<OutValue>, happened: readonly ViewChange[]): void {
    const { keys, memory, election } = this.#parts;
    const { clock } = this.#deps;
    const madeWay = happened.some(
      (change) =>
        change.kind === 'task' && keys.out(change.task.value.database, change.task.value.table) === out.key,
    );
    // The leader may have seen its own result late; it knows by the clock that it was written by when its lease could end.
    const ended = out.value.fence === election.fence && clock.wallNow() >= out.value.untilMs;
    if (!madeWay && !ended && clock.now() < out.untilMs) memory.forget(out.key);
  }

  #liveChanged(): void {
    this.#parts.election.viewChanged();
    this.#parts.worker.pump();
  }

  #emit(event: DdlEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        this.#deps.logger.error({ err: error }, 'a listener of the DDL queue failed');
      }
    }
  }
}

function refusal(reason: DdlRefusal): Flight {
  return { result: { kind: 'refused', reason, retryAfterMs: RETRY_MS }, outcome: UNKNOWN };
}
