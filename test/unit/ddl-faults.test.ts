import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Fault, FaultPlan, StoreCall } from '../../src/ddl/fault-store.ts';
import type { TxnLabel } from '../../src/ddl/store.ts';
import { createDeferred } from '../../src/util/deferred.ts';
import {
  count,
  DdlHarness,
  endOf,
  type Gateway,
  NEVER,
  outcomeOf,
  startHarness,
  submit,
  wanted,
} from '../helpers/ddl-harness.ts';

/** The leader of the harness, and one that is not. */
function roles(harness: DdlHarness): [Gateway, Gateway] {
  const leader = harness.leader() ?? assert.fail('no leader');
  return [leader, harness.gateways.find((gateway) => gateway !== leader) ?? assert.fail('no follower')];
}

/** The fault, for the first `times` transactions with this label. */
function onTxn(label: TxnLabel, fault: Fault, times = 1): FaultPlan {
  let left = times;
  return (call) => (call.label === label && left-- > 0 ? fault : undefined);
}

describe('an enqueue whose answer is lost', () => {
  const cases: readonly [string, Fault][] = [
    ['was applied', { kind: 'drop' }],
    ['was delayed', { kind: 'delay', ms: 3_000 }],
  ];
  for (const [what, fault] of cases) {
    it(`is recognised by its nonce when it ${what}`, async (t) => {
      const harness = await startHarness(t, 2);
      const [, follower] = roles(harness);
      const gate = createDeferred<void>();
      harness.executor.onDescribe = () => gate.promise;
      follower.store.plan = onTxn('enqueue', fault);
      const pending = follower.queue.submit(wanted('cpu'), NEVER);
      await harness.clock.advance(5_000);
      const submission = await pending;
      assert.equal(submission.kind, 'submitted');
      gate.resolve();
      assert.deepEqual(await endOf(harness, submission), { kind: 'ok' });
      assert.equal(harness.executor.sent.length, 1);
      harness.invariants.assertQuiescent();
    });
  }

  it('joins the task of another gateway that it finds instead of its own', async (t) => {
    const harness = await startHarness(t, 2);
    const [leader, follower] = roles(harness);
    const gate = createDeferred<void>();
    harness.executor.onDescribe = () => gate.promise;
    follower.store.holdWatches();
    await submit(harness, leader, 'cpu');
    follower.store.plan = onTxn('enqueue', { kind: 'fail' });
    const submission = await submit(harness, follower, 'cpu');
    assert.equal(submission.kind, 'joined');
    gate.resolve();
    follower.store.releaseWatches();
    assert.deepEqual(await endOf(harness, submission), { kind: 'ok' });
  });

  it('is refused when it can not be found, and does no harm when it arrives later', async (t) => {
    const harness = await startHarness(t, 2);
    const [, follower] = roles(harness);
    follower.store.plan = onTxn('enqueue', { kind: 'late', ms: 15_000 });
    const submission = await submit(harness, follower, 'cpu');
    assert.deepEqual(submission.kind === 'refused' && submission.reason, 'unavailable');
    const again = await submit(harness, follower, 'cpu');
    assert.deepEqual(await endOf(harness, again), { kind: 'ok' });
    assert.deepEqual([harness.invariants.queued.size, harness.executor.sent.length], [2, 1]);
    harness.invariants.assertQuiescent();
  });

  it('is refused when it never arrives, within the deadline of the store', async (t) => {
    const harness = await startHarness(t, 1);
    const [gateway] = harness.gateways;
    assert.ok(gateway);
    gateway.store.plan = onTxn('enqueue', { kind: 'black_hole' });
    const pending = gateway.queue.submit(wanted('cpu'), NEVER);
    await harness.clock.advance(5_000);
    assert.equal((await pending).kind, 'refused');
    assert.equal(await count(harness, 'task'), 0);
  });
});

describe('a completion whose answer is lost', () => {
  const faults: readonly [string, Fault, number][] = [
    ['applied', { kind: 'drop' }, 1],
    ['not applied', { kind: 'fail' }, 5],
    ['applied late', { kind: 'late', ms: 1_000 }, 3],
    ['lost in a black hole', { kind: 'black_hole' }, 2],
  ];
  for (const [what, fault, times] of faults) {
    it(`is repeated alone, never the statement, when it was ${what}`, async (t) => {
      const harness = await startHarness(t, 2);
      const [leader, follower] = roles(harness);
      leader.store.plan = onTxn('complete', fault, times);
      const submission = await submit(harness, follower, 'cpu');
      assert.deepEqual(await endOf(harness, submission), { kind: 'ok' });
      assert.equal(harness.executor.sent.length, 1);
      harness.invariants.assertQuiescent();
    });
  }

  it('gets a new lease when the one for its outcome is gone', async (t) => {
    const harness = await startHarness(t, 1);
    const [gateway] = harness.gateways;
    assert.ok(gateway);
    let revoked = 0;
    gateway.store.plan = ({ label }: StoreCall) => {
      // The lease of the outcome is the newest one.
      if (label === 'complete' && revoked++ === 0) void harness.store.revoke('2', NEVER);
      return undefined;
    };
    const submission = await submit(harness, gateway, 'cpu');
    assert.deepEqual(await endOf(harness, submission), { kind: 'ok' });
    assert.equal(gateway.count('retried complete'), 1);
    harness.invariants.assertQuiescent();
  });
});

describe('a watch that breaks', () => {
  for (const reason of ['lost', 'compacted', 'reset'] as const) {
    it(`as ${reason} is made up for: nothing is missed`, async (t) => {
      const harness = await startHarness(t, 2);
      const [leader, follower] = roles(harness);
      const submission = await submit(harness, follower, 'before');
      follower.store.breakWatches(reason);
      leader.store.breakWatches(reason);
      assert.deepEqual(await endOf(harness, submission), { kind: 'ok' });
      harness.executor.answer = () => ({ kind: 'invalid', code: 'X', message: 'no' });
      await submit(harness, leader, 'bad');
      follower.store.breakWatches(reason);
      await harness.clock.advance(1_000);
      assert.equal((await submit(harness, follower, 'bad')).kind, 'known');
      assert.ok(follower.events.some((event) => event.kind === 'outcome' && event.target.table === 'bad'));
      harness.invariants.assertHeld();
    });
  }

  it('while a task ends leaves its waiter with what can still be known', async (t) => {
    const harness = await startHarness(t, 2);
    const [, follower] = roles(harness);
    const gate = createDeferred<void>();
    harness.executor.onDescribe = () => gate.promise;
    const seen = await submit(harness, follower, 'seen');
    const unseen = await submit(harness, follower, 'unseen');
    follower.store.plan = () => ({ kind: 'fail' });
    follower.store.breakWatches('compacted');
    gate.resolve();
    await harness.clock.advance(20_000);
    harness.executor.tables.clear();
    follower.store.plan = undefined;
    await harness.clock.advance(20_000);
    assert.deepEqual([await outcomeOf(seen), await outcomeOf(unseen)], [undefined, undefined]);
    assert.equal(follower.queue.stats().live, true);
  });

  it('far behind a compaction lists again and comes out equal', async (t) => {
    const harness = await startHarness(t, 2);
    const [leader, follower] = roles(harness);
    follower.store.plan = () => ({ kind: 'fail' });
    follower.store.breakWatches('lost');
    harness.executor.answer = () => ({ kind: 'invalid', code: 'X', message: 'no' });
    for (let index = 0; index < 10; index++) await submit(harness, leader, `t${index}`);
    const { rev } = await harness.store.status(NEVER);
    await harness.store.compact(rev, NEVER);
    follower.store.plan = undefined;
    await harness.clock.advance(10_000);
    assert.equal(follower.queue.stats().outcomes, 10);
    assert.equal((await submit(harness, follower, 't5')).kind, 'known');
  });
});

describe('a store without space', () => {
  it('gets its tasks drained, takes no new ones, and recovers', async (t) => {
    const harness = await startHarness(t, 2, { store: { quotaBytes: 100_000 } });
    const [leader, follower] = roles(harness);
    const gate = createDeferred<void>();
    harness.executor.onDescribe = () => gate.promise;
    const submission = await submit(harness, follower, 'cpu');
    const filling = harness.store.txn(
      { compare: [], success: [{ op: 'put', key: '/other', value: 'x'.repeat(200_000) }] },
      NEVER,
    );
    await assert.rejects(filling, /space/);
    harness.invariants.drainAllowed = true;
    gate.resolve();
    await harness.clock.settle();
    assert.equal(await outcomeOf(submission), undefined);
    assert.deepEqual([await count(harness, 'task'), await count(harness, 'slot')], [0, 0]);
    assert.equal(leader.count('completed drained'), 1);
    const refused = await submit(harness, follower, 'mem');
    assert.deepEqual(refused.kind === 'refused' && refused.reason, 'unavailable');
    follower.store.plan = ({ method }) => (method === 'txn' ? assert.fail('a call was made') : undefined);
    assert.equal((await submit(harness, follower, 'mem')).kind, 'refused');
    follower.store.plan = undefined;
    harness.store.disarm();
    await harness.clock.advance(6_000);
    assert.deepEqual(await endOf(harness, await submit(harness, follower, 'mem')), { kind: 'ok' });
    harness.invariants.assertHeld();
  });

  it('loses no back-off: the leader remembers what it could not publish', async (t) => {
    const harness = await startHarness(t, 1, { store: { quotaBytes: 100_000 } });
    const [gateway] = harness.gateways;
    harness.executor.answer = () => {
      void harness.store
        .txn({ compare: [], success: [{ op: 'put', key: '/other', value: 'x'.repeat(200_000) }] }, NEVER)
        .catch(() => undefined);
      return { kind: 'invalid', code: 'X', message: 'no' };
    };
    harness.invariants.drainAllowed = true;
    await submit(harness, gateway, 'bad');
    harness.store.disarm();
    await harness.clock.advance(6_000);
    const again = await endOf(harness, await submit(harness, gateway, 'bad'));
    assert.ok(again?.kind === 'error');
    assert.equal(harness.executor.sent.length, 1);
  });

  it('is left alone well before it is full', async (t) => {
    const harness = await startHarness(t, 1, { store: { quotaBytes: 100_000 } });
    await harness.store.txn(
      { compare: [], success: [{ op: 'put', key: '/other', value: 'x'.repeat(72_000) }] },
      NEVER,
    );
    await harness.clock.advance(5_000);
    const refused = await submit(harness, harness.gateways[0], 'cpu');
    assert.deepEqual(refused.kind === 'refused' && refused.reason, 'unavailable');
    assert.equal((await harness.store.status(NEVER)).nospace, false);
  });
});

describe('a leader', () => {
  it('that closes is replaced at once, and its open tasks are taken over', async (t) => {
    const harness = await startHarness(t, 2);
    const [leader, follower] = roles(harness);
    const gate = createDeferred<void>();
    harness.executor.onDescribe = () => gate.promise;
    const submission = await submit(harness, follower, 'cpu');
    const limit = new AbortController();
    limit.abort(new Error('at once'));
    await leader.queue.close(limit.signal);
    harness.executor.onDescribe = undefined;
    await harness.clock.advance(1_000);
    assert.equal(follower.queue.stats().leader, true);
    assert.deepEqual(await outcomeOf(submission), { kind: 'ok' });
    harness.invariants.assertHeld();
  });

  it('that is killed is replaced within its lease and a second', async (t) => {
    const harness = await startHarness(t, 2);
    const [leader, follower] = roles(harness);
    harness.kill(leader);
    const submission = await submit(harness, follower, 'cpu');
    await harness.clock.advance(11_000);
    assert.equal(follower.queue.stats().leader, true);
    assert.deepEqual(await outcomeOf(submission), { kind: 'ok' });
    harness.invariants.assertHeld();
  });

  it('that is cut off starts nothing after two thirds of its lease, and what it completes is fenced', async (t) => {
    const harness = await startHarness(t, 2);
    const [leader, follower] = roles(harness);
    const gate = createDeferred<void>();
    harness.executor.answer = async (_, apply) => {
      await gate.promise;
      apply();
      return { kind: 'done' };
    };
    const submission = await submit(harness, follower, 'cpu');
    assert.equal(harness.executor.sent.length, 1);
    leader.store.plan = ({ method }) => (method === 'keepAlive' ? { kind: 'fail' } : undefined);
    leader.store.holdWatches();
    await harness.clock.advance(7_000);
    assert.equal(leader.queue.stats().leader, true);
    await submit(harness, follower, 'while-unsure');
    assert.equal(harness.executor.sentFor('while-unsure'), 0);
    await harness.clock.advance(5_000);
    assert.equal(follower.queue.stats().leader, true);
    gate.resolve();
    await harness.clock.settle();
    leader.store.plan = undefined;
    leader.store.releaseWatches();
    await harness.clock.advance(30_000);
    assert.deepEqual(await outcomeOf(submission), { kind: 'ok' });
    assert.equal(leader.count('fenced'), 1);
    assert.equal(harness.gateways.filter(({ queue }) => queue.stats().leader).length, 1);
    harness.invariants.assertQuiescent();
  });

  it('stays leader when the store was away for a while, as long as its lease lives', async (t) => {
    const harness = await startHarness(t, 2);
    const [leader] = roles(harness);
    leader.store.plan = () => ({ kind: 'fail' });
    await harness.clock.advance(5_000);
    leader.store.plan = undefined;
    await harness.clock.advance(10_000);
    assert.equal(leader.queue.stats().leader, true);
    assert.equal(leader.count('leaderChanged false'), 0);
  });

  it('is found although the answer of its election was lost', async (t) => {
    const harness = new DdlHarness();
    const gateway = harness.add('a');
    t.after(() => harness.close());
    gateway.store.plan = onTxn('elect', { kind: 'drop' });
    await harness.ready();
    assert.equal(gateway.queue.stats().leader, true);
    assert.deepEqual(await outcomeOf(await submit(harness, gateway, 'cpu')), { kind: 'ok' });
    harness.invariants.assertHeld();
  });
});
