/**
 * What every store must do, as tests over a factory: the semantics of etcd that the DDL queue is built on. The same
 * tests, byte for byte, run over the memory store, the fault wrapper without faults, and the etcd store.
 */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import {
  absent,
  type KeyValue,
  MAX_TXN_OPS,
  MIN_LEASE_TTL_MS,
  type Op,
  type Store,
  StoreError,
  type StoreErrorKind,
  type TxnResult,
} from '../../src/ddl/store.ts';
import { createAbortController } from '../../src/util/abort.ts';
import { recordWatch } from '../helpers/watch-recorder.ts';

/** A store for one test. */
export interface StoreFixture {
  readonly store: Store;
  /** Nothing is under it when the test begins; ends with a slash. */
  readonly prefix: string;
  /** Lets so much of the store's time go by. */
  pass(ms: number): Promise<void>;
  /** Takes the nospace alarm back, when space was made. */
  disarm(): Promise<void>;
}

/** Makes a fixture and cleans up after the test. `quotaBytes`: the store is to refuse puts beyond it. */
export type StoreFactory = (
  t: TestContext,
  options: { readonly quotaBytes?: number },
) => Promise<StoreFixture>;

const signal = createAbortController().signal;

/** Registers the suite. */
export function storeSuite(name: string, open: StoreFactory): void {
  describe(`${name}: keys and revisions`, () => keySuite(open));
  describe(`${name}: ranges and history`, () => rangeSuite(open));
  describe(`${name}: leases`, () => leaseSuite(open));
  describe(`${name}: watches`, () => watchSuite(open));
  describe(`${name}: limits and refusals`, () => limitSuite(open));
}

function keySuite(open: StoreFactory): void {
  it('makes one revision of a transaction, whatever it changes', async (t) => {
    const { store, prefix } = await open(t, {});
    const first = await put(store, `${prefix}a`, '1');
    const second = await commit(store, [putOp(`${prefix}b`, '2'), putOp(`${prefix}c`, '3')]);
    assert.equal(second.rev, first.rev + 1);
    const all = await read(store, prefix);
    assert.deepEqual(
      all.map(({ mod }) => mod),
      [first.rev, second.rev, second.rev],
    );
  });

  it('makes no revision of a deletion of nothing, of a read, or of a failed compare without a failure branch', async (t) => {
    const { store, prefix } = await open(t, {});
    const { rev } = await put(store, `${prefix}a`, '1');
    const results = [
      await commit(store, [{ op: 'delete', key: `${prefix}none` }]),
      await commit(store, [{ op: 'get', key: `${prefix}a` }]),
      await store.txn({ compare: [absent(`${prefix}a`)], success: [putOp(`${prefix}a`, '2')] }, signal),
    ];
    assert.deepEqual(
      results.map((result) => result.rev),
      [rev, rev, rev],
    );
    assert.equal(results[2]?.ok, false);
  });

  it('keeps the create revision over puts and gives a new one after a deletion', async (t) => {
    const { store, prefix } = await open(t, {});
    const key = `${prefix}a`;
    const first = await put(store, key, '1');
    const second = await put(store, key, '2');
    assert.deepEqual(await revisions(store, key), { create: first.rev, mod: second.rev });
    await commit(store, [{ op: 'delete', key }]);
    const third = await put(store, key, '3');
    assert.deepEqual(await revisions(store, key), { create: third.rev, mod: third.rev });
  });

  it('compares absence, create and mod revision, all together', async (t) => {
    const { store, prefix } = await open(t, {});
    const key = `${prefix}a`;
    const { rev: create } = await put(store, key, '1');
    const { rev: mod } = await put(store, key, '2');
    const cases = [
      { compare: [absent(key)], ok: false },
      { compare: [absent(`${prefix}none`)], ok: true },
      { compare: [{ key, create }], ok: true },
      { compare: [{ key, create: mod }], ok: false },
      { compare: [{ key, mod }], ok: true },
      { compare: [{ key, mod: create }], ok: false },
      { compare: [{ key: `${prefix}none`, mod: 0 }], ok: true },
      { compare: [{ key, create }, { key, mod }, absent(`${prefix}none`)], ok: true },
      { compare: [{ key, create }, absent(key)], ok: false },
      { compare: [], ok: true },
    ];
    for (const { compare, ok } of cases) {
      assert.equal((await store.txn({ compare, success: [] }, signal)).ok, ok, JSON.stringify(compare));
    }
  });

  it('answers the reads of the branch it took, leaving out keys that do not exist', async (t) => {
    const { store, prefix } = await open(t, {});
    await put(store, `${prefix}a`, 'here');
    const result = await store.txn(
      {
        compare: [absent(`${prefix}a`)],
        success: [putOp(`${prefix}a`, 'new')],
        failure: [
          { op: 'get', key: `${prefix}a` },
          { op: 'get', key: `${prefix}none` },
        ],
      },
      signal,
    );
    assert.equal(result.ok, false);
    assert.deepEqual([...result.found.keys()], [`${prefix}a`]);
    assert.equal(result.found.get(`${prefix}a`)?.value, 'here');
  });

  it('keeps any text as a value', async (t) => {
    const { store, prefix } = await open(t, {});
    for (const value of ['', '\u0000', '🦥 ünï', '{"__proto__":1}', 'x'.repeat(100_000)]) {
      await put(store, `${prefix}a`, value);
      assert.equal((await read(store, prefix))[0]?.value, value);
    }
  });

  it('lets exactly one of many concurrent create-if-absent win', async (t) => {
    const { store, prefix } = await open(t, {});
    const key = `${prefix}a`;
    const tries = Array.from({ length: 20 }, (_, index) =>
      store.txn({ compare: [absent(key)], success: [putOp(key, String(index))] }, signal),
    );
    assert.equal((await Promise.all(tries)).filter(({ ok }) => ok).length, 1);
  });
}

function rangeSuite(open: StoreFactory): void {
  it('answers a prefix in ascending order, by pages, with the number of all that match', async (t) => {
    const { store, prefix } = await open(t, {});
    await commit(
      store,
      ['d', 'a', 'c', 'b', 'e'].map((name) => putOp(prefix + name, name)),
    );
    const first = await store.range({ prefix, limit: 2 }, signal);
    assert.deepEqual([names(first.kvs), first.more, first.count], ['ab', true, 5]);
    const second = await store.range({ prefix, from: `${prefix}b\u0000`, limit: 3 }, signal);
    assert.deepEqual([names(second.kvs), second.more], ['cde', false]);
    const counted = await store.range({ prefix, countOnly: true }, signal);
    assert.deepEqual([counted.kvs.length, counted.count], [0, 5]);
  });

  it('reads one key, and nothing beside it', async (t) => {
    const { store, prefix } = await open(t, {});
    await commit(store, [putOp(`${prefix}a`, '1'), putOp(`${prefix}ab`, '2')]);
    const { kvs, more } = await store.range({ key: `${prefix}a` }, signal);
    assert.deepEqual([kvs.map(({ value }) => value), more], [['1'], false]);
  });

  it('reads the past: later changes, and keys deleted since', async (t) => {
    const { store, prefix } = await open(t, {});
    const { rev } = await commit(store, [putOp(`${prefix}a`, 'old'), putOp(`${prefix}b`, 'gone')]);
    await commit(store, [putOp(`${prefix}a`, 'new'), putOp(`${prefix}c`, 'later'), del(`${prefix}b`)]);
    const { kvs } = await store.range({ prefix, revision: rev }, signal);
    assert.deepEqual(
      kvs.map(({ value }) => value),
      ['old', 'gone'],
    );
    assert.deepEqual(
      (await read(store, prefix)).map(({ value }) => value),
      ['new', 'later'],
    );
  });

  it('tells the revision of the store with every answer', async (t) => {
    const { store, prefix } = await open(t, {});
    const { rev } = await put(store, `${prefix}a`, '1');
    assert.equal((await store.range({ prefix }, signal)).rev, rev);
    assert.equal((await store.status(signal)).rev, rev);
  });

  it('refuses the future and what is compacted, and compaction of either', async (t) => {
    const { store, prefix } = await open(t, {});
    const { rev } = await put(store, `${prefix}a`, '1');
    await put(store, `${prefix}a`, '2');
    const { rev: last } = await put(store, `${prefix}a`, '3');
    await refused('future', store.range({ prefix, revision: last + 10 }, signal));
    await refused('future', store.compact(last + 10, signal));
    await store.compact(last, signal);
    await refused('compacted', store.range({ prefix, revision: rev }, signal));
    await refused('compacted', store.compact(rev, signal));
    assert.equal((await read(store, prefix))[0]?.value, '3');
    assert.equal((await store.range({ prefix, revision: last }, signal)).kvs[0]?.value, '3');
  });
}

function leaseSuite(open: StoreFactory): void {
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

function watchSuite(open: StoreFactory): void {
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

function limitSuite(open: StoreFactory): void {
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

function putOp(key: string, value: string, lease?: string): Op {
  return { op: 'put', key, value, lease };
}

function del(key: string): Op {
  return { op: 'delete', key };
}

function commit(store: Store, success: readonly Op[]): Promise<TxnResult> {
  return store.txn({ compare: [], success }, signal);
}

function put(store: Store, key: string, value: string): Promise<TxnResult> {
  return commit(store, [putOp(key, value)]);
}

async function read(store: Store, prefix: string): Promise<readonly KeyValue[]> {
  return (await store.range({ prefix }, signal)).kvs;
}

async function revisions(store: Store, key: string): Promise<{ create: number; mod: number } | undefined> {
  const kv = (await store.range({ key }, signal)).kvs[0];
  return kv && { create: kv.create, mod: kv.mod };
}

function names(kvs: readonly KeyValue[]): string {
  return kvs.map(({ value }) => value).join('');
}

async function refused(kind: StoreErrorKind, call: Promise<unknown>): Promise<void> {
  await assert.rejects(call, (error) => error instanceof StoreError && error.kind === kind);
}
