import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DdlResult } from '../../src/model/sink.ts';
import { createDeferred } from '../../src/util/deferred.ts';
import {
  count,
  type Gateway,
  NEVER,
  outcomeOf,
  startHarness,
  submit,
  wanted,
} from '../helpers/ddl-harness.ts';

const PAUSE = { by: 'ops', reason: 'maintenance' };

describe('the controls of the DDL queue', () => {
  it('stop statements on all gateways, also those that start later, until they are let go on', async (t) => {
    const harness = await startHarness(t, 2);
    const [a, b] = harness.gateways;
    assert.ok(a !== undefined && b !== undefined);
    const paused = b.queue.control.setPause(PAUSE, NEVER);
    await harness.clock.settle();
    assert.equal(await paused, true);
    assert.deepEqual([a.queue.control.isPaused(), b.queue.control.isPaused()], [true, true]);
    const submission = await a.queue.submit(wanted('cpu'), NEVER);
    await harness.clock.advance(20_000);
    assert.equal(harness.executor.sent.length, 0);
    const [task] = b.queue.control.list().tasks;
    assert.deepEqual([task?.database, task?.table], [wanted('cpu').database, 'cpu']);
    const later = a.queue.control.setPause(undefined, NEVER);
    await harness.clock.settle();
    assert.equal(await later, true);
    await harness.clock.advance(1_000);
    assert.equal((await outcomeOf(submission))?.kind, 'ok');
    assert.equal(harness.executor.sent.length, 1);
  });

  it('say who paused and why, and whether a call changed anything', async (t) => {
    const harness = await startHarness(t, 1);
    const control = harness.gateways[0]?.queue.control ?? assert.fail('no gateway');
    const answers: boolean[] = [];
    for (const pause of [undefined, PAUSE, { ...PAUSE, by: 'another' }, undefined]) {
      const changing = control.setPause(pause, NEVER);
      await harness.clock.settle();
      answers.push(await changing);
      if (pause !== undefined) assert.equal(control.pause()?.by, 'ops');
    }
    assert.deepEqual(answers, [false, true, false, true]);
    assert.equal(control.pause(), undefined);
  });

  it('show what is held against a table until it is forgotten', async (t) => {
    const harness = await startHarness(t, 1);
    const queue = harness.gateways[0]?.queue ?? assert.fail('no gateway');
    harness.executor.answer = () => ({ kind: 'invalid', code: 'E1', message: 'no such luck' });
    const submission = await queue.submit(wanted('bad'), NEVER);
    await harness.clock.settle();
    assert.equal((await outcomeOf(submission))?.kind, 'error');
    const [negative] = queue.control.list().negatives;
    assert.equal(negative?.table, 'bad');
    assert.deepEqual(
      negative?.failures.map(({ class: failureClass }) => failureClass),
      ['permanent'],
    );
    const forgotten = queue.forget({ kind: 'all' }, NEVER);
    await harness.clock.settle();
    assert.equal(await forgotten, 1);
    assert.deepEqual(queue.control.list().negatives, []);
  });

  it('end a task that does not run, with a failure that says who did it, also while creates are paused', async (t) => {
    const harness = await startHarness(t, 2);
    const leader = harness.leader() ?? assert.fail('no leader');
    const other = harness.gateways.find((gateway) => gateway !== leader) ?? assert.fail('no other');
    const pausing = leader.queue.control.setPause(PAUSE, NEVER);
    await harness.clock.settle();
    await pausing;
    const submission = await submit(harness, other, 'slow');
    const target = { database: 'db', table: 'slow' };
    const cancel = async ({ queue }: Gateway, table = 'slow'): Promise<string> => {
      const cancelling = queue.control.cancel({ ...target, table }, 'ops', NEVER);
      await harness.clock.settle();
      return await cancelling;
    };
    assert.equal(await cancel(other), 'elsewhere');
    assert.equal(await cancel(leader, 'none'), 'none');
    const [task] = leader.queue.control.list().tasks;
    assert.deepEqual(task?.progress, { state: 'ready', attempts: 0, lastError: undefined });
    assert.equal(other.queue.control.list().tasks[0]?.progress, undefined);
    assert.equal(await cancel(leader), 'cancelled');
    const outcome = await outcomeOf(submission);
    assert.ok(outcome?.kind === 'error');
    assert.deepEqual(
      [outcome.class, outcome.code, outcome.message],
      ['transient', 'CANCELLED', 'cancelled by ops'],
    );
    assert.equal(await count(harness, 'task'), 0);
    assert.equal(await count(harness, 'slot'), 0);
    assert.equal(harness.executor.sent.length, 0);
    assert.equal(await cancel(leader), 'none');
  });

  it('end a task that waits for its next attempt, and not one whose statement runs', async (t) => {
    const harness = await startHarness(t, 1);
    const queue = harness.gateways[0]?.queue ?? assert.fail('no gateway');
    const target = { database: 'db', table: 'm' };
    const running = createDeferred<DdlResult>();
    harness.executor.answer = () => running.promise;
    const submission = await submit(harness, harness.gateways[0], 'm');
    await harness.clock.settle();
    assert.equal(await queue.control.cancel(target, 'ops', NEVER), 'running');
    running.resolve({ kind: 'transient', code: 'E2', message: 'not now' });
    await harness.clock.settle();
    const [task] = queue.control.list().tasks;
    const lastError = { code: 'E2', message: 'not now' };
    assert.deepEqual(task?.progress, { state: 'waiting', attempts: 1, lastError });
    const cancelling = queue.control.cancel(target, 'ops', NEVER);
    await harness.clock.settle();
    assert.equal(await cancelling, 'cancelled');
    const outcome = await outcomeOf(submission);
    assert.ok(outcome?.kind === 'error' && outcome.attempts === 1);
    const sent = harness.executor.sent.length;
    await harness.clock.advance(20_000);
    assert.equal(harness.executor.sent.length, sent);
  });
});
