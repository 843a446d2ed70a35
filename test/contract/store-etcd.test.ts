/** The store's contract over a real etcd. Tests of a quota get one of their own; the others share one. */
import { after, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createEtcdStore } from '../../src/ddl/etcd-store.ts';
import { createFaultStore } from '../../src/ddl/fault-store.ts';
import { createSystemClock } from '../../src/util/clock.ts';
import { type Etcd, startEtcd } from '../helpers/etcd.ts';
import { etcdOptions, SILENT } from '../helpers/etcd-rig.ts';
import type { StoreFactory } from '../helpers/store-fixture.ts';
import { storeSuite } from './store-suite.ts';

/** Sizes are told after every operation, instead of after 100 ms. */
const FLAGS = ['--backend-batch-limit', '1'];

let shared: Promise<Etcd> | undefined;
let tests = 0;

function sharedEtcd(): Promise<Etcd> {
  shared ??= startEtcd({ after: () => undefined }, { flags: FLAGS });
  return shared;
}

after(async () => (await shared)?.close());

const openEtcd: StoreFactory = async (t: TestContext, { quotaBytes }) => {
  const etcd =
    quotaBytes === undefined ? await sharedEtcd() : await startEtcd(t, { quotaBytes, flags: FLAGS });
  const store = createEtcdStore(etcdOptions(etcd), { clock: createSystemClock(), logger: SILENT });
  t.after(async () => {
    await store.close();
    if (quotaBytes === undefined) await revokeLeases(etcd);
  });
  return {
    store,
    prefix: `/test/${tests++}/`,
    pass: (ms) => delay(ms),
    disarm: () => disarm(etcd),
  };
};

/** A lease that expires during a later test would make a revision between two of its own. */
async function revokeLeases(etcd: Etcd): Promise<void> {
  const lines = (await etcd.ctl(['lease', 'list'])).split('\n').slice(1);
  for (const id of lines) if (id !== '') await etcd.ctl(['lease', 'revoke', id]);
}

/** Compaction goes on for a moment after its answer; only what it has freed can be given back. */
async function disarm(etcd: Etcd): Promise<void> {
  for (let bytes = Infinity; bytes > 100_000; ) {
    await etcd.ctl(['defrag']);
    const [status] = JSON.parse(await etcd.ctl(['endpoint', 'status', '-w', 'json'])) as [
      { Status: { dbSize: number } },
    ];
    bytes = status.Status.dbSize;
  }
  await etcd.ctl(['alarm', 'disarm']);
}

storeSuite('etcd', openEtcd);

storeSuite('etcd behind a fault wrapper without faults', async (t, options) => {
  const fixture = await openEtcd(t, options);
  return { ...fixture, store: createFaultStore({ store: fixture.store, clock: createSystemClock() }) };
});
