/**
 * The store as one simulated process has it: each call has its steps, answers and events come only while the process
 * runs, and what was done is in the trace. Below it lies the process's own link, the fault wrapper.
 */
import {
  type Lease,
  type RangeQuery,
  type RangeResult,
  type Store,
  StoreError,
  type StoreStatus,
  storeErrorKind,
  type Txn,
  type TxnResult,
  type WatchHandler,
} from '../../src/ddl/store.ts';
import { createDeferred } from '../../src/util/deferred.ts';
import type { Life, ProcessClock } from './life.ts';
import type { StepName } from './steps.ts';

/** Longest that an answer is waited for, as every driver must bound it. */
const DEADLINE_MS = 2_500;

/** What the store needs of its process. */
export interface StoreProcess {
  readonly life: Life;
  readonly clock: ProcessClock;
  readonly leads: () => boolean;
  /** Does what is set for this step; resolves when the process runs on. */
  readonly at: (step: `${StepName}.${'before' | 'in' | 'after'}`) => Promise<void>;
  readonly trace: (what: string) => void;
  /** A call was refused for want of space. */
  readonly sawNospace: () => void;
}

/** See the module comment. */
export class ProcessStore implements Store {
  readonly #link: Store;
  readonly #process: StoreProcess;
  readonly #watches = new Set<() => void>();

  constructor(link: Store, process: StoreProcess) {
    this.#link = link;
    this.#process = process;
  }

  range(query: RangeQuery, signal: AbortSignal): Promise<RangeResult> {
    const what = 'key' in query ? query.key : `${query.prefix}*`;
    return this.#call(`range ${what}`, undefined, () => this.#link.range(query, signal));
  }

  txn(txn: Txn, signal: AbortSignal): Promise<TxnResult> {
    const keys = txn.success.filter(({ op }) => op !== 'get').map(({ op, key }) => `${op} ${shortKey(key)}`);
    return this.#call(`${txn.label} [${keys.join(', ')}]`, txn.label, () => this.#link.txn(txn, signal));
  }

  grant(ttlMs: number, signal: AbortSignal): Promise<Lease> {
    const step = this.#process.leads() ? 'bucket' : 'candidacy';
    return this.#call(`grant ${ttlMs} for ${step}`, step, () => this.#link.grant(ttlMs, signal));
  }

  keepAlive(leaseId: string, signal: AbortSignal): Promise<void> {
    return this.#call(`keepAlive ${leaseId}`, undefined, () => this.#link.keepAlive(leaseId, signal));
  }

  revoke(leaseId: string, signal: AbortSignal): Promise<void> {
    return this.#call(`revoke ${leaseId}`, undefined, () => this.#link.revoke(leaseId, signal));
  }

  compact(revision: number, signal: AbortSignal): Promise<void> {
    return this.#call(`compact ${revision}`, undefined, () => this.#link.compact(revision, signal));
  }

  status(signal: AbortSignal): Promise<StoreStatus> {
    return this.#call('', undefined, () => this.#link.status(signal));
  }

  watch(prefix: string, fromRev: number, handler: WatchHandler): () => void {
    const { life, trace } = this.#process;
    let running = true;
    const hear = (event: () => void): void => life.deliver(() => running && event());
    const stopLink = this.#link.watch(prefix, fromRev, {
      onOpen: (rev) => hear(() => handler.onOpen(rev)),
      onBatch: (rev, events) => hear(() => handler.onBatch(rev, events)),
      onEnd: (reason) =>
        hear(() => {
          stop();
          trace(`watch ended: ${reason}`);
          handler.onEnd(reason);
        }),
    });
    const stop = (): void => {
      running = false;
      this.#watches.delete(stop);
      stopLink();
    };
    this.#watches.add(stop);
    trace(`watch from ${fromRev}`);
    return stop;
  }

  /** The process is dead: nothing comes any more. */
  kill(): void {
    for (const stop of this.#watches) stop();
  }

  /** The link is not the queue's to close. */
  close(): Promise<void> {
    return Promise.resolve();
  }

  async #call<T>(what: string, step: StepName | undefined, send: () => Promise<T>): Promise<T> {
    const { at, life, trace, sawNospace } = this.#process;
    if (step !== undefined) await at(`${step}.before`);
    await life.passed();
    const answer = await this.#sent(send, step);
    const failure = answer.status === 'rejected' ? storeErrorKind(answer.reason) : undefined;
    if (failure === 'nospace') sawNospace();
    if (what !== '') trace(`${what} -> ${failure ?? summary(answer)}`);
    if (answer.status === 'rejected') throw answer.reason as Error;
    if (step !== undefined) await at(`${step}.after`);
    return answer.value;
  }

  /** The answer, or none by the deadline; after a long sleep it is by chance which of them comes first. */
  async #sent<T>(send: () => Promise<T>, step: StepName | undefined): Promise<PromiseSettledResult<T>> {
    const { at, life, clock } = this.#process;
    const answer = createDeferred<PromiseSettledResult<T>>();
    const cancel = clock.schedule(DEADLINE_MS, () =>
      answer.resolve({ status: 'rejected', reason: new StoreError('unavailable', 'deadline') }),
    );
    void Promise.allSettled([send()]).then(([result]) => life.deliver(() => answer.resolve(result)));
    if (step !== undefined) await at(`${step}.in`);
    const result = await answer.promise;
    cancel();
    return result;
  }
}

function summary(answer: PromiseSettledResult<unknown>): string {
  const value = answer.status === 'fulfilled' ? answer.value : undefined;
  if (typeof value !== 'object' || value === null) return 'ok';
  if ('ok' in value && 'rev' in value) return `${value.ok === true ? 'yes' : 'no'} at ${String(value.rev)}`;
  if ('count' in value && 'rev' in value) return `${String(value.count)} keys at ${String(value.rev)}`;
  return 'id' in value ? `lease ${String(value.id)}` : 'ok';
}

function shortKey(key: string): string {
  return key.replace('/sluice/v1/', '');
}
