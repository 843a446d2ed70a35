/**
 * Named steps at which a gateway of a test kills itself, as kill -9 does: wrapped around the store and the executor,
 * so that the product knows nothing of it. A transaction's label names its step.
 */
import type { Store, Txn } from '../../src/ddl/store.ts';
import type { DdlExecutor } from '../../src/model/sink.ts';

/** `in`: the request has been handed to the network, its answer has not been looked at. */
export const KILL_POINTS = [
  'enqueue.before',
  'enqueue.in',
  'enqueue.after',
  'elect.after',
  'ddl.before',
  'ddl.after',
  'complete.before',
  'complete.in',
  'complete.after',
  // Between the grant of a lease for outcomes and the put on it.
  'bucket.after',
] as const;

/** One of `KILL_POINTS`. */
export type KillPoint = (typeof KILL_POINTS)[number];

/** Where to die; to be armed once. */
export interface KillSwitch {
  armed: KillPoint | undefined;
}

type Step = 'enqueue' | 'elect' | 'ddl' | 'complete' | 'bucket';

/** The store with its steps. */
export function withKillPoints(store: Store, kill: KillSwitch): Store {
  let elected = false;
  return {
    range: (query, signal) => store.range(query, signal),
    async txn(txn, signal) {
      const step = stepOf(txn);
      const result = await around(kill, step, () => store.txn(txn, signal));
      if (step === 'elect') elected ||= result.ok;
      return result;
    },
    async grant(ttlMs, signal) {
      // The first is the election's own.
      const lease = await store.grant(ttlMs, signal);
      if (elected) reach(kill, 'bucket', 'after');
      return lease;
    },
    keepAlive: (id, signal) => store.keepAlive(id, signal),
    revoke: (id, signal) => store.revoke(id, signal),
    watch: (prefix, fromRev, handler) => store.watch(prefix, fromRev, handler),
    compact: (revision, signal) => store.compact(revision, signal),
    status: (signal) => store.status(signal),
    close: () => store.close(),
  };
}

/** The executor with its steps. */
export function withDdlKillPoints(ddl: DdlExecutor, kill: KillSwitch): DdlExecutor {
  return {
    ...ddl,
    createTable: (spec, signal) => around(kill, 'ddl', () => ddl.createTable(spec, signal)),
  };
}

function stepOf({ label }: Txn): Step | undefined {
  if (label === 'complete' || label === 'breaker' || label === 'drain') return 'complete';
  return label === 'enqueue' || label === 'elect' ? label : undefined;
}

async function around<T>(kill: KillSwitch, step: Step | undefined, call: () => Promise<T>): Promise<T> {
  if (step === undefined) return call();
  reach(kill, step, 'before');
  const running = call();
  if (kill.armed === `${step}.in`) {
    // A few turns, so that at times the request is out and at times not.
    for (let turns = Math.floor(Math.random() * 4); turns > 0; turns--) await turn();
    reach(kill, step, 'in');
  }
  const result = await running;
  reach(kill, step, 'after');
  return result;
}

function reach(kill: KillSwitch, step: Step, moment: 'before' | 'in' | 'after'): void {
  if (kill.armed === `${step}.${moment}`) process.kill(process.pid, 'SIGKILL');
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
