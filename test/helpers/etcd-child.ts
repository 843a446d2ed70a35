/**
 * A process that uses an etcd store in every way, closes it and then has nothing left to do: it ends by itself, or a
 * handle was left. Arguments: endpoint, and `answers` or `silent` for what to expect of etcd.
 */
import { createEtcdStore } from '../../src/ddl/etcd-store.ts';
import { createSystemClock } from '../../src/util/clock.ts';
import { etcdOptions, SILENT } from './etcd-rig.ts';
import { put, signal } from './store-fixture.ts';
import { recordWatch } from './watch-recorder.ts';

const [, , url = '', expected] = process.argv;
const requestTimeoutMs = expected === 'answers' ? 3_000 : 300;
const store = createEtcdStore(etcdOptions({ url }, { requestTimeoutMs }), {
  clock: createSystemClock(),
  logger: SILENT,
});
const watch = recordWatch(store, '/test/', 1);
if (expected === 'answers') {
  await store.check(signal);
  const lease = await store.grant(60_000, signal);
  await put(store, '/test/child', '1');
  await store.keepAlive(lease.id, signal);
  await watch.until(({ batches }) => batches.length > 0);
  recordWatch(store, '/test/never-opened/', 1);
} else {
  await store.check(signal);
  await watch.until(({ ended }) => ended.length > 0);
  recordWatch(store, '/test/', 1);
}
// Calls that are under way when it closes.
for (const call of [put(store, '/test/late', '1'), store.keepAlive('1', signal), store.status(signal)]) {
  call.catch(() => undefined);
}
await store.close();
process.stdout.write('closed\n');
