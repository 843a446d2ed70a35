import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NEVER, outcomeOf, startHarness, wanted } from '../helpers/ddl-harness.ts';

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
});
