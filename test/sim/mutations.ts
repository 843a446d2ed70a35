/**
 * Defects to plant under the queues, to show that the simulation finds them: each takes away one thing that the
 * queue's safety rests on, between a gateway's link and the store.
 */
import type { Compare, KeyValue, Store, TxnLabel } from '../../src/ddl/store.ts';
import { delegate, type Mutation } from './cluster.ts';

const ENDINGS: readonly TxnLabel[] = ['complete', 'breaker', 'drain'];

/** Strips compares from transactions with these labels. */
function without(labels: readonly TxnLabel[], isStripped: (compare: Compare) => boolean): Mutation {
  return (store) =>
    delegate(store, (txn, signal) => {
      const stripped = txn.label !== undefined && labels.includes(txn.label);
      const compare = stripped ? txn.compare.filter((one) => !isStripped(one)) : txn.compare;
      return store.txn({ ...txn, compare }, signal);
    });
}

/** A process that has stood for election takes whoever leads for itself: the nonce that tells them apart is gone. */
function blindToNonces(store: Store): Store {
  let mine: string | undefined;
  // A getter, so that what was read before it stood looks like its own as well.
  const forge = (kv: KeyValue): KeyValue => {
    if (!kv.key.endsWith('/lead')) return kv;
    return {
      ...kv,
      get value() {
        return mine ?? kv.value;
      },
    };
  };
  return {
    ...delegate(store, (txn, signal) => {
      for (const op of txn.success) if (txn.label === 'elect' && op.op === 'put') mine = op.value;
      return store.txn(txn, signal);
    }),
    range: async (query, signal) => {
      const result = await store.range(query, signal);
      return { ...result, kvs: result.kvs.map(forge) };
    },
    watch: (prefix, fromRev, handler) =>
      store.watch(prefix, fromRev, {
        onOpen: (rev) => handler.onOpen(rev),
        onBatch: (rev, events) =>
          handler.onBatch(
            rev,
            events.map(({ key, kv }) => ({ key, kv: kv && forge(kv) })),
          ),
        onEnd: (reason) => handler.onEnd(reason),
      }),
  };
}

function nonceOf(value: string): string {
  return (JSON.parse(value) as { readonly nonce: string }).nonce;
}

/** Each process starts to count from the same nonces again. */
function sameNonces(store: Store): Store {
  const fixed = (nonce: string): string => nonce.replace(/^(g\d+)\.\d+-[^-]*/, '$1');
  return delegate(store, (txn, signal) => {
    if (txn.label !== 'enqueue') return store.txn(txn, signal);
    const success = txn.success.map((op) => {
      if (op.op !== 'put' || !op.key.includes('/task/')) return op;
      return { ...op, value: JSON.stringify({ ...JSON.parse(op.value), nonce: fixed(nonceOf(op.value)) }) };
    });
    return store.txn({ ...txn, success }, signal);
  });
}

/** Leases are taken for longer than they are, so leaders act beyond their time. */
function longLeases(store: Store): Store {
  return {
    ...delegate(store, (txn, signal) => store.txn(txn, signal)),
    grant: async (ttlMs, signal) => {
      const lease = await store.grant(ttlMs, signal);
      return { ...lease, ttlMs: lease.ttlMs * 3 };
    },
  };
}

/** Every so often a revision is not told. */
function leakyWatch(store: Store): Store {
  return {
    ...delegate(store, (txn, signal) => store.txn(txn, signal)),
    watch: (prefix, fromRev, handler) =>
      store.watch(prefix, fromRev, {
        onOpen: (rev) => handler.onOpen(rev),
        onBatch: (rev, events) => rev % 50 !== 0 && handler.onBatch(rev, events),
        onEnd: (reason) => handler.onEnd(reason),
      }),
  };
}

/** By name; what each takes away. */
export const MUTATIONS = {
  'the fence compare': without(ENDINGS, ({ key }) => key.endsWith('/lead')),
  'the compare of slots': without(['enqueue'], ({ key }) => key.includes('/slot/')),
  'the compare of tenant slots': without(['enqueue'], ({ key }) => key.includes('/tslot/')),
  'the nonce of leaders': blindToNonces,
  'the uniqueness of nonces': sameNonces,
  'the compare of the task in queueing': without(['enqueue'], ({ key }) => key.includes('/task/')),
  'the compare of the task in completing': without(ENDINGS, ({ key }) => key.includes('/task/')),
  'the compare of outcomes': without(['enqueue'], ({ key }) => key.includes('/out/')),
  'the compare of breakers': without(['enqueue'], ({ key }) => key.includes('/brk/')),
  'the compare of the election': without(['elect'], () => true),
  'the deadline of leaders': longLeases,
  'a revision of the watch': leakyWatch,
} as const satisfies Readonly<Record<string, Mutation>>;
