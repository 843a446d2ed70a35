/** Part of the store's contract suite: keys, revisions, ranges and history. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { absent } from '../../src/ddl/store.ts';
import {
  commit,
  del,
  names,
  put,
  putOp,
  read,
  refused,
  revisions,
  type StoreFactory,
  signal,
} from '../helpers/store-fixture.ts';
/** See store-suite.ts. */
export function keySuite(open: StoreFactory): void {
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

/** See store-suite.ts. */
export function rangeSuite(open: StoreFactory): void {
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
