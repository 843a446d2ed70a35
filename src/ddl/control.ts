/**
 * The operator's side of the queue: what the view shows, in the model's terms, and the key that pauses all creates. The
 * key has no lease, so it outlives every gateway; each sees it by its watch, and its guard and worker go by that.
 */
import { GatewayError } from '../errors.ts';
import type { Clock } from '../model/clock.ts';
import type {
  Cancellation,
  DdlControl,
  HeldBreaker,
  NegativeResult,
  OpenTask,
} from '../model/ddl-control.ts';
import { unlessAborted } from '../util/abort.ts';
import { decodeValue, encodeValue, type LeadValue, targetOf } from './codec.ts';
import type { DdlKeys } from './keys.ts';
import type { Reflector } from './reflector.ts';
import { absent, type Store, storeErrorKind, type Txn } from './store.ts';
import type { DdlView } from './view.ts';
import type { Worker } from './worker.ts';

/** What the controls work with. */
export interface DdlControlDeps {
  readonly store: Store;
  readonly keys: DdlKeys;
  readonly view: DdlView;
  readonly reflector: Pick<Reflector, 'reached'>;
  readonly worker: Pick<Worker, 'progress' | 'cancel'>;
  readonly clock: Clock;
}

/** Makes the controls; nothing of them has to be closed. */
export function createDdlControl({
  store,
  keys,
  view,
  reflector,
  worker,
  clock,
}: DdlControlDeps): DdlControl {
  return {
    leader() {
      const { lead } = view;
      return lead && (decodeValue(lead.key, lead.value) as LeadValue).gateway;
    },
    isPaused: () => view.pauseKey !== undefined,
    pause: () => view.pause ?? (view.pauseKey && UNREADABLE),
    list: () => ({
      tasks: openTasks(view, worker),
      negatives: negatives(view, clock.now()),
      breakers: breakers(view, clock.now()),
    }),
    async setPause(pause, signal) {
      const { pause: key } = keys;
      const value = pause && encodeValue({ v: 1, ...pause, atMs: clock.wallNow() });
      const txn: Txn =
        value === undefined
          ? { label: 'pause', compare: [absent(key)], success: [], failure: [{ op: 'delete', key }] }
          : { label: 'pause', compare: [absent(key)], success: [{ op: 'put', key, value }] };
      try {
        const { ok, rev } = await store.txn(txn, signal);
        // Whoever asks this gateway next shall see it.
        await reflector.reached(rev, signal);
        return ok === (value !== undefined);
      } catch (error) {
        signal.throwIfAborted();
        const message = `the store of the DDL queue failed: ${storeErrorKind(error)}`;
        throw new GatewayError('unavailable', message, { cause: error });
      }
    },
    async cancel({ database, table }, by, signal): Promise<Cancellation> {
      const task = view.tasks.get(keys.task(database, table));
      if (task === undefined) return 'none';
      const cancelling = worker.cancel(task.value.nonce, `cancelled by ${by}`);
      return (await unlessAborted(cancelling, signal)) ?? 'elsewhere';
    },
  };
}

const UNREADABLE = { by: 'unknown', reason: 'written by another version of the gateway', atMs: 0 };

function openTasks({ tasks }: DdlView, worker: Pick<Worker, 'progress'>): OpenTask[] {
  return Array.from(tasks.values(), ({ value }) => {
    const { source, columns, askedBy, gateway, atMs, nonce } = value;
    const progress = worker.progress(nonce);
    return { ...targetOf(value), source, columns, askedBy, gateway, atMs, progress };
  });
}

function negatives({ outs }: DdlView, nowMs: number): NegativeResult[] {
  return Array.from(outs.values(), ({ value, seenMs }) => {
    const failures = value.failures
      .map((failure) => ({ ...failure, leftMs: seenMs + failure.ttlMs - nowMs }))
      .filter(({ leftMs }) => leftMs > 0);
    return { ...targetOf(value), failures };
  }).filter(({ failures }) => failures.length > 0);
}

function breakers({ breakers: all }: DdlView, nowMs: number): HeldBreaker[] {
  return Array.from(all.values(), ({ value, untilMs }) => {
    const { tenant, code, message } = value;
    return { tenant, code, message, leftMs: untilMs - nowMs };
  }).filter(({ leftMs }) => leftMs > 0);
}
