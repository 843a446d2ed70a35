/** The etcd store when links break, etcd dies, comes back older or empty, runs full, or is not there. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createAbortController } from '../../src/util/abort.ts';
import { startEtcd, startEtcdCluster } from '../helpers/etcd.ts';
import { openStore, recordLog, untilAnswers, watchEnd, watchUntilOpen } from '../helpers/etcd-rig.ts';
import { commit, del, put, putOp, read, refused, signal } from '../helpers/store-fixture.ts';
import { startTcpProxy } from '../helpers/tcp-proxy.ts';
import { recordWatch } from '../helpers/watch-recorder.ts';

describe('a watch of etcd', () => {
  it('loses and repeats no event when etcd is killed while it catches up', async (t) => {
    const etcd = await startEtcd(t);
    const store = openStore(t, etcd);
    const { rev: first } = await put(store, '/test/a', 'x');
    const total = 3_000;
    // Large values, so that most of it is still in etcd when the first of it has come.
    const value = 'x'.repeat(4_096);
    for (let sent = 0; sent < total; sent += 100)
      await Promise.all(Array.from({ length: 100 }, (_, index) => put(store, `/test/${index}`, value)));
    const seen: number[] = [];
    const kills = [1, 500, 1_500];
    let ends = 0;
    while (seen.length < total) {
      const next = (seen.at(-1) ?? first) + 1;
      const watch = recordWatch(store, '/test/', next);
      let killAt = kills.shift() ?? Infinity;
      await watch.until(({ batches, ended }) => {
        if (seen.length + batches.length >= killAt) {
          killAt = Infinity;
          process.kill(etcd.pid, 'SIGKILL');
        }
        return ended.length > 0 || seen.length + batches.length >= total;
      });
      watch.stop();
      seen.push(...watch.batches.map(({ rev }) => rev));
      if (watch.ended.length > 0) {
        ends++;
        assert.deepEqual(watch.ended, ['lost']);
        await etcd.restart();
      }
    }
    assert.deepEqual(
      seen,
      Array.from({ length: total }, (_, index) => first + 1 + index),
    );
    assert.equal(ends, 3);
  });

  it('brings whole revisions, however etcd splits what it sends', async (t) => {
    const etcd = await startEtcd(t);
    const store = openStore(t, etcd);
    const { rev: first } = await put(store, '/test/a', 'x');
    // 40 revisions of 100 KB each: etcd sends them as one answer, in pieces of 1.5 MB or less.
    const revisions = 40;
    const ops = Array.from({ length: 100 }, (_, index) => putOp(`/test/${index}`, 'x'.repeat(1_024)));
    for (let sent = 0; sent < revisions; sent++) await commit(store, ops);
    const watch = recordWatch(store, '/test/', first + 1);
    await watch.until(({ batches }) => batches.length >= revisions);
    assert.deepEqual(
      watch.batches.map(({ rev, events }) => [rev, events.length]),
      Array.from({ length: revisions }, (_, index) => [first + 1 + index, 100]),
    );
  });

  it('ends as compacted when history was compacted while the link was down', async (t) => {
    const etcd = await startEtcd(t);
    const proxy = await startTcpProxy(t, etcd.port);
    const [direct, far] = [openStore(t, etcd), openStore(t, { url: `http://127.0.0.1:${proxy.port}` })];
    const { rev } = await put(direct, '/test/a', '1');
    const watch = recordWatch(far, '/test/', rev + 1);
    await watch.until(({ opened }) => opened.length > 0);
    proxy.refuse();
    proxy.cut();
    await watch.until(({ ended }) => ended.length > 0);
    await put(direct, '/test/a', '2');
    const { rev: last } = await put(direct, '/test/a', '3');
    await direct.compact(last, signal);
    assert.deepEqual(await watchEnd(far, '/test/', rev + 1), 'lost');
    proxy.heal();
    assert.deepEqual([watch.ended, await watchEnd(far, '/test/', rev + 1)], [['lost'], 'compacted']);
  });

  it('is reset, under each prefix, when etcd comes back empty, even if it has outrun the old revision', async (t) => {
    const etcd = await startEtcd(t);
    const { logger, messages } = recordLog();
    const store = openStore(t, etcd, {}, logger);
    const { rev } = await put(store, '/test/a/1', '1');
    for (const prefix of ['/test/a/', '/test/b/']) {
      const watch = recordWatch(store, prefix, rev + 1);
      await watch.until(({ opened }) => opened.length > 0);
      watch.stop();
    }
    await etcd.wipe();
    for (let last = 0; last < rev + 5; ) last = (await put(openStore(t, etcd), '/test/c', 'x')).rev;
    await untilAnswers(store);
    assert.equal(await watchEnd(store, '/test/a/', rev + 1), 'reset');
    assert.equal(await watchEnd(store, '/test/b/', rev + 1), 'reset');
    const again = await put(store, '/test/a/2', '2');
    const watch = recordWatch(store, '/test/a/', again.rev);
    await watch.until(({ batches }) => batches.length > 0);
    assert.ok(messages.some((message) => message.startsWith('etcd is another cluster than before')));
  });

  it('is reset when etcd comes back with older data', async (t) => {
    const etcd = await startEtcd(t);
    const store = openStore(t, etcd);
    await put(store, '/test/a', '1');
    await etcd.backUp();
    await untilAnswers(store);
    for (let index = 0; index < 10; index++) await put(store, '/test/a', 'lost');
    const { rev } = await put(store, '/test/a', 'lost');
    await etcd.restoreBackup();
    await untilAnswers(store);
    assert.equal(await watchEnd(store, '/test/', rev + 1), 'reset');
    assert.equal((await read(store, '/test/'))[0]?.value, '1');
  });

  it('ends as lost when the link becomes a black hole, and calls fail by their deadline', async (t) => {
    const etcd = await startEtcd(t, { flags: ['--grpc-keepalive-min-time', '50ms'] });
    const proxy = await startTcpProxy(t, etcd.port);
    const fast = { requestTimeoutMs: 500, pingMs: 200, pingTimeoutMs: 200, renewMs: 1_000 };
    const store = openStore(t, { url: `http://127.0.0.1:${proxy.port}` }, fast);
    const { rev } = await put(store, '/test/a', '1');
    const watch = recordWatch(store, '/test/', rev + 1);
    await watch.until(({ opened }) => opened.length > 0);
    proxy.drop();
    await refused('unavailable', put(store, '/test/a', '2'));
    await refused('unavailable', store.keepAlive('1', signal));
    await watch.until(({ ended }) => ended.length > 0);
    assert.deepEqual(watch.ended, ['lost']);
    assert.equal(await watchEnd(store, '/test/', rev + 1), 'lost');
    proxy.heal();
    await untilAnswers(store);
    await watchUntilOpen(store, '/test/', rev + 1);
  });
});

describe('a call to etcd', () => {
  it('whose answer is lost is unavailable, and was applied once', async (t) => {
    const etcd = await startEtcd(t);
    const proxy = await startTcpProxy(t, etcd.port);
    const store = openStore(t, { url: `http://127.0.0.1:${proxy.port}` }, { requestTimeoutMs: 500 });
    const direct = openStore(t, etcd);
    const { rev } = await put(store, '/test/a', '1');
    proxy.drop('answers');
    await refused('unavailable', put(store, '/test/b', '2'));
    proxy.heal();
    const kv = (await direct.range({ key: '/test/b' }, signal)).kvs[0];
    assert.deepEqual([kv?.create, kv?.mod, await untilAnswers(direct)], [rev + 1, rev + 1, rev + 1]);
  });

  it('to a paused etcd is unavailable, and works again when it runs', async (t) => {
    const etcd = await startEtcd(t);
    const store = openStore(t, etcd, { requestTimeoutMs: 300 });
    await put(store, '/test/a', '1');
    etcd.pause();
    await refused('unavailable', store.range({ prefix: '/test/' }, signal));
    etcd.resume();
    await untilAnswers(store);
  });

  it('that is aborted rejects at once, with the reason of the signal', async (t) => {
    const etcd = await startEtcd(t);
    const store = openStore(t, etcd, { requestTimeoutMs: 500 });
    etcd.pause();
    const controller = createAbortController();
    const call = store.range({ prefix: '/test/' }, controller.signal);
    controller.abort(new Error('enough'));
    await assert.rejects(call, /enough/);
    etcd.resume();
  });

  it('is not shut off by refusals: no space, or a request that is too large', async (t) => {
    const etcd = await startEtcd(t, { quotaBytes: 200_000, flags: ['--backend-batch-limit', '1'] });
    const store = openStore(t, etcd);
    await put(store, '/test/keep', '1');
    for (let index = 0; index < 5; index++)
      await refused('too_large', put(store, '/test/x', 'x'.repeat(3_000_000)));
    const fill = async (): Promise<void> => {
      for (let index = 0; ; index++) await put(store, `/test/fill${index}`, 'x'.repeat(20_000));
    };
    await refused('nospace', fill());
    for (let index = 0; index < 5; index++) {
      await refused('nospace', commit(store, [putOp('/test/a', '1')]));
      assert.equal((await store.range({ key: '/test/keep' }, signal)).count, 1);
    }
    const { ok } = await store.txn(
      { compare: [{ key: '/test/none', create: 0 }], success: [del('/test/keep')] },
      signal,
    );
    assert.equal(ok, true);
    const { nospace, quotaBytes } = await store.status(signal);
    assert.deepEqual([nospace, quotaBytes, store.stats()?.nospace], [true, 200_000, true]);
  });

  it('goes to another member when one is gone, and fails while there is no majority', async (t) => {
    const members = await startEtcdCluster(t, 3);
    const [one, two, three] = members as [(typeof members)[0], (typeof members)[0], (typeof members)[0]];
    const endpoints = members.map(({ url }) => url);
    const store = openStore(t, one, { endpoints, requestTimeoutMs: 1_000 });
    const { rev } = await put(store, '/test/a', '1');
    const watch = recordWatch(store, '/test/', rev + 1);
    await watch.until(({ opened }) => opened.length > 0);
    await one.kill9();
    await watch.until(({ ended }) => ended.length > 0);
    await untilAnswers(store);
    const again = await watchUntilOpen(store, '/test/', rev + 1);
    await put(store, '/test/a', '2');
    await again.until(({ batches }) => batches.length > 0);
    await two.kill9();
    // The member that is left says that it has no leader, or is the one that was lost.
    await again.until(({ ended }) => ended.length > 0);
    await refused('unavailable', put(store, '/test/a', '3'));
    await Promise.all([one.restart(), two.restart()]);
    await untilAnswers(store);
    await put(store, '/test/a', '4');
    assert.ok(three.pid > 0);
  });
});
