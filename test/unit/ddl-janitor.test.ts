import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeValue, encodeValue } from '../../src/ddl/codec.ts';
import { createDdlKeys } from '../../src/ddl/keys.ts';
import type { DdlResult } from '../../src/model/sink.ts';
import { createDeferred } from '../../src/util/deferred.ts';
import { count, DdlHarness, NEVER, outcomeOf, startHarness, submit } from '../helpers/ddl-harness.ts';

const keys = createDdlKeys('/sluice');

describe('the janitor', () => {
  it('frees slots without a task, and no others', async (t) => {
    const harness = await startHarness(t, 1);
    const orphan = encodeValue({ v: 1, task: keys.task('db', 'gone') });
    await harness.store.txn(
      {
        compare: [],
        success: [
          { op: 'put', key: keys.slot(7), value: orphan },
          { op: 'put', key: keys.tenantSlot('db', 3), value: orphan },
        ],
      },
      NEVER,
    );
    harness.executor.onDescribe = () => createDeferred<void>().promise;
    await submit(harness, harness.gateways[0], 'cpu');
    await harness.clock.advance(25_000);
    assert.deepEqual([await count(harness, 'slot'), await count(harness, 'tslot')], [2, 2]);
    await harness.clock.advance(15_000);
    assert.deepEqual([await count(harness, 'slot'), await count(harness, 'tslot')], [1, 1]);
    assert.equal(harness.gateways[0]?.count('swept slot'), 2);
  });

  it('leaves the slots of a task that it can not read', async (t) => {
    const harness = await startHarness(t, 1);
    const task = keys.task('db', 'future');
    await harness.store.txn(
      {
        compare: [],
        success: [
          { op: 'put', key: task, value: '{"v":2}' },
          { op: 'put', key: keys.slot(7), value: encodeValue({ v: 1, task }) },
        ],
      },
      NEVER,
    );
    await harness.clock.advance(60_000);
    assert.deepEqual([await count(harness, 'slot'), await count(harness, 'task')], [1, 1]);
    assert.match(harness.warnings.join(), /unreadable value/);
    const refused = await submit(harness, harness.gateways[0], 'future');
    assert.deepEqual(refused.kind === 'refused' && refused.reason, 'unavailable');
  });

  it('ends tasks that are too old', async (t) => {
    const harness = await startHarness(t, 1, {
      queue: { concurrency: 1, taskMaxAgeMs: 60_000, ddlTimeoutMs: 1_000_000 },
    });
    const gate = createDeferred<DdlResult>();
    harness.executor.answer = () => gate.promise;
    const stuck = await submit(harness, harness.gateways[0], 'stuck');
    const waiting = await submit(harness, harness.gateways[0], 'waiting');
    await harness.clock.advance(100_000);
    const outcome = await outcomeOf(waiting);
    assert.ok(outcome?.kind === 'error' && outcome.class === 'transient' && outcome.code === 'TASK_EXPIRED');
    assert.equal(harness.gateways[0]?.queue.stats().openTasks, 1);
    assert.equal(stuck.kind, 'submitted');
    gate.resolve({ kind: 'invalid', code: 'E', message: 'at last' });
  });

  it('compacts history that nobody needs, only when told that the store is ours', async (t) => {
    for (const [compactIntervalMs, bounded] of [
      [60_000, true],
      [0, false],
    ] as const) {
      const harness = new DdlHarness({ queue: { compactIntervalMs } });
      const gateway = harness.add('a');
      t.after(() => harness.close());
      await harness.ready();
      for (let index = 0; index < 100; index++) {
        await submit(harness, gateway, `t${index}`);
        await harness.clock.advance(10_000);
      }
      const { dbSizeBytes } = await harness.store.status(NEVER);
      assert.equal(dbSizeBytes < 50_000, bounded, String(dbSizeBytes));
    }
  });
});

describe('a value of another version', () => {
  it('is refused with a message that says what to do', () => {
    assert.throws(() => decodeValue('/k', '{"v":2}'), /version 2.*reads 1: upgrade/);
    assert.throws(() => decodeValue('/k', 'null'), /version undefined/);
    assert.throws(() => decodeValue('/k', 'x'), /not JSON/);
    const value = { v: 1, task: 'x' } as const;
    assert.deepEqual(decodeValue('/k', encodeValue(value)), value);
  });
});
