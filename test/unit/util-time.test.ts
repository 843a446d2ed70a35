import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { unlessAborted, withChildAbort } from '../../src/util/abort.ts';
import { exponentialMs, jitterMs } from '../../src/util/backoff.ts';
import { createSystemClock } from '../../src/util/clock.ts';
import { createDeferred } from '../../src/util/deferred.ts';
import { FakeClock } from '../helpers/fake-clock.ts';

describe('delays', () => {
  it('double up to their limit, however many attempts', () => {
    const delays = [1, 2, 3, 4, 5, 1_000, 1e9].map((attempt) => exponentialMs(500, 4_000, attempt));
    assert.deepEqual(delays, [500, 1_000, 2_000, 4_000, 4_000, 4_000, 4_000]);
  });

  it('scatter around their middle', () => {
    assert.deepEqual(
      [0, 0.5, 1].map((at) => Math.round(jitterMs(1_000, 0.2, () => at))),
      [800, 1_000, 1_200],
    );
  });
});

describe('the system clock', () => {
  it('goes forward, never from near 0, and sleeps until told otherwise', async () => {
    const clock = createSystemClock();
    const before = clock.now();
    await clock.sleep(0);
    assert.ok(before >= 1_000 && clock.now() >= before);
    const controller = new AbortController();
    const reason = new Error('enough');
    const asleep = clock.sleep(2 ** 40, controller.signal);
    controller.abort(reason);
    await assert.rejects(asleep, (error) => error === reason);
    await assert.rejects(clock.sleep(1, controller.signal), (error) => error === reason);
  });
});

describe('the fake clock', () => {
  it('wakes sleepers in the order of their time, each before the next', async () => {
    const clock = new FakeClock();
    const woken: string[] = [];
    const sleep = async (name: string, ms: number): Promise<void> => {
      await clock.sleep(ms);
      woken.push(`${name} ${clock.now() - began}`);
    };
    const began = clock.now();
    const all = Promise.all([sleep('late', 30), sleep('early', 10).then(() => sleep('follower', 10))]);
    await clock.advance(25);
    assert.deepEqual([woken, clock.sleeping], [['early 10', 'follower 20'], 1]);
    await clock.advance(5);
    await all;
    assert.deepEqual([woken.at(-1), clock.sleeping], ['late 30', 0]);
  });

  it('rejects a sleeper with the reason of its signal', async () => {
    const clock = new FakeClock();
    const controller = new AbortController();
    const asleep = assert.rejects(clock.sleep(10, controller.signal), /stop/);
    controller.abort(new Error('stop'));
    await asleep;
    await assert.rejects(clock.sleep(10, controller.signal), /stop/);
    assert.equal(clock.sleeping, 0);
  });
});

describe('signals', () => {
  it('of a child follow the parent, and leave it alone afterwards', async () => {
    const parent = new AbortController();
    const reason = await withChildAbort(parent.signal, async (child) => {
      parent.abort('over');
      return child.signal.reason as unknown;
    });
    assert.equal(reason, 'over');
    const late = await withChildAbort(parent.signal, async (child) => child.signal.aborted);
    assert.equal(late, true);
    const own = await withChildAbort(new AbortController().signal, async (child) => {
      child.abort();
      return child.signal.aborted;
    });
    assert.equal(own, true);
  });

  it('end the waiting for a promise, not the promise', async () => {
    const work = createDeferred<string>();
    const controller = new AbortController();
    const impatient = assert.rejects(unlessAborted(work.promise, controller.signal), /late/);
    const patient = unlessAborted(work.promise, new AbortController().signal);
    controller.abort(new Error('late'));
    work.resolve('done');
    await impatient;
    assert.equal(await patient, 'done');
  });

  it('leave nobody with the failure of a promise that was given up', async () => {
    const uncaught: unknown[] = [];
    const note = (reason: unknown): void => void uncaught.push(reason);
    process.on('unhandledRejection', note);
    await assert.rejects(unlessAborted(Promise.reject(new Error('lost')), AbortSignal.abort()), /abort/);
    const controller = new AbortController();
    const work = createDeferred<void>();
    const waiting = unlessAborted(work.promise, controller.signal);
    controller.abort();
    await assert.rejects(waiting, /abort/);
    work.reject(new Error('lost later'));
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', note);
    assert.deepEqual(uncaught, []);
  });
});
