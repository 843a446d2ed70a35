/** Part of the store's contract suite: limits, refusals, space, abort and close. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { absent, MAX_TXN_OPS, type Store, StoreError } from '../../src/ddl/store.ts';
import {
  commit,
  del,
  put,
  putOp,
  read,
  refused,
  type StoreFactory,
  signal,
} from '../helpers/store-fixture.ts';
/** See store-suite.ts. */
export function limitSuite(open: StoreFactory): void {
  it('takes 128 operations in each list, and refuses 129', async (t) => {
    const { store, prefix } = await open(t, {});
    const keys = Array.from({ length: MAX_TXN_OPS + 1 }, (_, index) => `${prefix}${index}`);
    const ops = keys.map((key) => putOp(key, ''));
    const most = {
      compare: keys.slice(1).map(absent),
      success: ops.slice(1),
      failure: ops.slice(1),
    };
    assert.equal((await store.txn(most, signal)).ok, true);
    await refused('too_many_ops', store.txn({ ...most, compare: keys.map(absent) }, signal));
    await refused('too_many_ops', store.txn({ ...most, success: ops }, signal));
    await refused('too_many_ops', store.txn({ ...most, failure: ops }, signal));
  });

  it('refuses a key that is changed twice in a branch, but not in both', async (t) => {
    const { store, prefix } = await open(t, {});
    const key = `${prefix}a`;
    await refused('dup_key', commit(store, [putOp(key, '1'), putOp(key, '2')]));
    await refused('dup_key', commit(store, [putOp(key, '1'), del(key)]));
    const both = { compare: [absent(key)], success: [putOp(key, '1')], failure: [putOp(key, '2')] };
    assert.equal((await store.txn(both, signal)).ok, true);
  });

  it('refuses what is too large, and an empty key, and nothing of it is applied', async (t) => {
    const { store, prefix } = await open(t, {});
    await refused('too_large', put(store, `${prefix}a`, 'x'.repeat(1_600_000)));
    await refused('invalid', put(store, '', '1'));
    assert.deepEqual(await read(store, prefix), []);
  });

  it('refuses puts and leases without space, in any branch, and still reads, deletes, renews and revokes', async (t) => {
    const { store, prefix, disarm } = await open(t, { quotaBytes: 400_000 });
    const lease = await store.grant(60_000, signal);
    await commit(store, [putOp(`${prefix}leased`, '1', lease.id), putOp(`${prefix}a`, '1')]);
    const filled = await fill(store, prefix);
    assert.equal((await store.status(signal)).nospace, true);
    await refused('nospace', put(store, `${prefix}a`, '2'));
    await refused('nospace', store.grant(2_000, signal));
    const untaken = { compare: [absent(`${prefix}a`)], success: [putOp(`${prefix}a`, '2')], failure: [] };
    await refused('nospace', store.txn(untaken, signal));
    await store.keepAlive(lease.id, signal);
    await store.revoke(lease.id, signal);
    const { ok, rev } = await commit(store, [del(`${prefix}a`), ...filled.map(del)]);
    assert.equal(ok, true);
    assert.deepEqual(await read(store, prefix), []);
    await store.compact(rev, signal);
    await disarm();
    await put(store, `${prefix}a`, '3');
    assert.equal((await store.status(signal)).nospace, false);
  });

  it('tells its size and quota', async (t) => {
    const { store, prefix } = await open(t, { quotaBytes: 400_000 });
    const before = await store.status(signal);
    await put(store, `${prefix}a`, 'x'.repeat(50_000));
    const after = await store.status(signal);
    assert.ok(after.dbSizeBytes > before.dbSizeBytes);
    assert.equal(after.quotaBytes, 400_000);
  });

  it('rejects with the reason of an aborted signal', async (t) => {
    const { store, prefix } = await open(t, {});
    const controller = new AbortController();
    controller.abort(new Error('enough'));
    await assert.rejects(store.range({ prefix }, controller.signal), /enough/);
    await assert.rejects(store.txn({ compare: [], success: [] }, controller.signal), /enough/);
  });

  it('refuses everything once closed', async (t) => {
    const { store, prefix } = await open(t, {});
    await store.close();
    await store.close();
    await refused('closed', store.range({ prefix }, signal));
    await refused('closed', put(store, `${prefix}a`, '1'));
  });
}

/** Puts until the store refuses; answers the keys it took, at most 100. */
async function fill(store: Store, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  while (keys.length < 100) {
    const key = `${prefix}fill${keys.length}`;
    try {
      await put(store, key, 'x'.repeat(20_000));
      keys.push(key);
    } catch (error) {
      assert.ok(error instanceof StoreError && error.kind === 'nospace', String(error));
      return keys;
    }
  }
  return assert.fail('the store took more than its quota');
}
