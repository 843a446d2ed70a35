/** Part of the store's contract suite: leases and watches. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { MIN_LEASE_TTL_MS } from '../../src/ddl/store.ts';
import {
  commit,
  del,
  names,
  put,
  putOp,
  read,
  refused,
  type StoreFactory,
  signal,
} from '../helpers/store-fixture.ts';
import { recordWatch } from '../helpers/watch-recorder.ts';
/** See store-suite.ts. */
export function leaseSuite(open: StoreFactory): void {
  it('grants whole seconds, and never less than the minimum', async (t) => {
    const { store } = await open(t, {});
    assert.equal((await store.grant(1, signal)).ttlMs, MIN_LEASE_TTL_MS);
    assert.ok((await store.grant(3_500, signal)).ttlMs >= 3_500);
  });

  it('deletes all keys of an expired lease in one revision', async (t) => {
    const { store, prefix, pass } = await open(t, {});
    const lease = await store.grant(2_000, signal);
    const { rev } = await commit(store, [
      putOp(`${prefix}a`, '1', lease.id),
      putOp(`${prefix}b`, '2', lease.id),
    ]);
    const watch = recordWatch(store, prefix, rev + 1);
    await pass(lease.ttlMs + 2_000);
    await watch.until(({ batches }) => batches.length > 0);
    assert.equal(watch.batches.length, 1);
    assert.deepEqual(
      watch.batches[0]?.events.map(({ kv }) => kv),
      [undefined, undefined],
    );
    assert.deepEqual(await read(store, prefix), []);
    watch.stop();
  });

  it('keeps the keys of a lease that is kept alive', async (t) => {
    const { store, prefix, pass } = await open(t, {});
    const lease = await store.grant(3_000, signal);
    await commit(store, [putOp(`${prefix}a`, '1', lease.id)]);
    for (let round = 0; round < 3; round++) {
      await pass(2_000);
      await store.keepAlive(lease.id, signal);
    }
    assert.deepEqual(
      (await read(store, prefix)).map((kv) => kv.lease),
      [lease.id],
    );
  });

  it('deletes the keys of a revoked lease, and knows the lease no longer', async (t) => {
    const { store, prefix } = await open(t, {});
    const lease = await store.grant(10_000, signal);
    await commit(store, [putOp(`${prefix}a`, '1', lease.id)]);
    await store.revoke(lease.id, signal);
    assert.deepEqual(await read(store, prefix), []);
    await refused('lease_not_found', store.revoke(lease.id, signal));
    await refused('lease_not_found', store.keepAlive(lease.id, signal));
    await refused('lease_not_found', commit(store, [putOp(`${prefix}a`, '2', lease.id)]));
    assert.deepEqual(await read(store, prefix), []);
  });

  it('takes a key off its lease when it is put without one, or with another', async (t) => {
    const { store, prefix } = await open(t, {});
    const [one, two] = [await store.grant(10_000, signal), await store.grant(10_000, signal)];
    await commit(store, [putOp(`${prefix}a`, '1', one.id), putOp(`${prefix}b`, '1', one.id)]);
    await commit(store, [putOp(`${prefix}a`, '2'), putOp(`${prefix}b`, '2', two.id)]);
    await store.revoke(one.id, signal);
    assert.deepEqual(names(await read(store, prefix)), '22');
    await store.revoke(two.id, signal);
    assert.deepEqual(
      (await read(store, prefix)).map(({ key }) => key),
      [`${prefix}a`],
    );
  });
}

/** See store-suite.ts. */
export function watchSuite(open: StoreFactory): void {
  it('opens first, then brings whole revisions of its prefix in order', async (t) => {
    const { store, prefix } = await open(t, {});
    const { rev } = await put(store, `${prefix}in/a`, '0');
    const watch = recordWatch(store, `${prefix}in/`, rev + 1);
    await watch.until(({ opened }) => opened.length > 0);
    await commit(store, [
      putOp(`${prefix}in/a`, '1'),
      putOp(`${prefix}in/b`, '1'),
      putOp(`${prefix}out`, '1'),
    ]);
    await put(store, `${prefix}out`, '2');
    await commit(store, [del(`${prefix}in/a`)]);
    await watch.until(({ batches }) => batches.length === 2);
    assert.deepEqual(
      watch.batches.map((batch) => batch.rev),
      [rev + 1, rev + 3],
    );
    assert.deepEqual(watch.batches[0]?.events.map(({ key }) => key).sort(), [
      `${prefix}in/a`,
      `${prefix}in/b`,
    ]);
    assert.deepEqual(watch.batches[1]?.events, [{ key: `${prefix}in/a`, kv: undefined }]);
    assert.ok((watch.opened[0] ?? 0) >= rev);
    watch.stop();
  });

  it('repeats the past from the revision asked for', async (t) => {
    const { store, prefix } = await open(t, {});
    const first = await put(store, `${prefix}a`, '1');
    await put(store, `${prefix}a`, '2');
    await put(store, `${prefix}a`, '3');
    const watch = recordWatch(store, prefix, first.rev + 1);
    await watch.until(({ batches }) => batches.length === 2);
    const events = watch.batches.flatMap((batch) => batch.events);
    assert.deepEqual(
      events.map(({ kv }) => kv?.value),
      ['2', '3'],
    );
    assert.deepEqual(
      events.map(({ kv }) => kv?.create),
      [first.rev, first.rev],
    );
    watch.stop();
  });

  it('waits for a revision in the future', async (t) => {
    const { store, prefix } = await open(t, {});
    const { rev } = await put(store, `${prefix}a`, '1');
    const watch = recordWatch(store, prefix, rev + 3);
    for (const value of ['2', '3', '4', '5']) await put(store, `${prefix}a`, value);
    await watch.until(({ batches }) => batches.length === 2);
    assert.deepEqual(
      watch.batches.map((batch) => batch.rev),
      [rev + 3, rev + 4],
    );
    watch.stop();
  });

  it('ends as compacted when what it asks for is gone', async (t) => {
    const { store, prefix } = await open(t, {});
    const { rev } = await put(store, `${prefix}a`, '1');
    for (const value of ['2', '3', '4']) await put(store, `${prefix}a`, value);
    await store.compact(rev + 3, signal);
    const watch = recordWatch(store, prefix, rev);
    await watch.until(({ ended }) => ended.length > 0);
    assert.deepEqual([watch.ended, watch.batches], [['compacted'], []]);
  });

  it('is silent once stopped, and never calls from within a call', async (t) => {
    const { store, prefix } = await open(t, {});
    const { rev } = await put(store, `${prefix}a`, '1');
    const stopped = recordWatch(store, prefix, rev + 1);
    stopped.stop();
    const other = recordWatch(store, prefix, rev + 1);
    const pending = put(store, `${prefix}a`, '2');
    assert.deepEqual(other.batches, []);
    await pending;
    await other.until(({ batches }) => batches.length > 0);
    assert.deepEqual([stopped.opened, stopped.batches, stopped.ended], [[], [], []]);
    other.stop();
  });
}
