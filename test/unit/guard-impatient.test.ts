import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import type { Admission, AdmitContext } from '../../src/model/admission.ts';
import type { TableGroup } from '../../src/model/point-batch.ts';
import { Table } from '../../src/model/series.ts';
import { tableKey } from '../../src/model/table.ts';
import {
  closeRig,
  contextOf,
  createGuardRig,
  field,
  GUARD_OPTIONS,
  type GuardRig,
  groupOf,
  tag,
} from '../helpers/guard-rig.ts';

let rig: GuardRig;
afterEach(() => closeRig(rig));

/** The answer without any time passing. */
function ask(group: TableGroup, more: Partial<AdmitContext> = {}): Promise<Admission> {
  return rig.guard.admit(group, { ...contextOf(), waitMs: 0, ...more });
}

function reasonOf({ refused }: Admission): string | undefined {
  return refused?.reason;
}

describe('guard: a caller that does not wait', () => {
  it('is told at once that the table is not ready, which is then looked up and created without it', async () => {
    rig = createGuardRig();
    const group = groupOf('m');
    assert.equal(reasonOf(await ask(group)), 'ddl_pending');
    await rig.clock.advance(20);
    assert.equal(rig.queue.submits, 1);
    assert.equal((await ask(group)).refused, undefined);
    assert.equal(rig.guard.isReady(group), true);
  });

  it('has what exists looked up, so that its next call is answered', async () => {
    rig = createGuardRig();
    rig.database.tables.set(tableKey({ database: 'db', table: 'm' }), [tag('host'), field('v')]);
    assert.equal(reasonOf(await ask(groupOf('m'))), 'ddl_pending');
    await rig.clock.settle();
    assert.equal((await ask(groupOf('m'))).refused, undefined);
    assert.deepEqual([rig.database.described, rig.queue.submits], [1, 0]);
  });

  it('has the database created first, then the table', async () => {
    rig = createGuardRig();
    const group = groupOf(new Table('new', 'm'));
    await ask(group);
    await rig.clock.advance(100);
    assert.deepEqual(
      rig.queue.submitted.map(({ table }) => table),
      [undefined, 'm'],
    );
  });

  it('may change its group after the answer', async () => {
    rig = createGuardRig();
    const group = groupOf('m', [['host']], { v: 'float64' });
    await ask(group);
    group.tagSets.length = group.fields.length = 0;
    await rig.clock.advance(20);
    assert.deepEqual(rig.queue.submitted[0]?.columns, [tag('host'), field('v')]);
  });

  it('asks once however often it calls', async () => {
    rig = createGuardRig();
    rig.queue.run = () => undefined;
    for (let i = 0; i < 100; i++) {
      assert.equal(reasonOf(await ask(groupOf('m'))), 'ddl_pending');
      await rig.clock.advance(5);
    }
    assert.deepEqual([rig.database.described, rig.queue.submits], [1, 1]);
  });

  it('counts against the cap on new tables of its request', async () => {
    rig = createGuardRig({ maxNewTablesPerRequest: 2 });
    const context: AdmitContext = { ...contextOf(), waitMs: 0 };
    for (const name of ['a', 'b', 'c', 'd']) await rig.guard.admit(groupOf(name), context);
    await rig.clock.advance(100);
    assert.equal(rig.queue.submits, 2);
  });

  it('leaves no more checks behind than may wait', async () => {
    rig = createGuardRig({ maxWaiting: 3 });
    for (let i = 0; i < 10; i++) await ask(groupOf(`m${i}`));
    await rig.clock.advance(20);
    assert.equal(rig.queue.submits, 3);
  });

  it('does not take the places of those who wait', async () => {
    rig = createGuardRig({ maxWaiting: 1 });
    rig.queue.run = () => undefined;
    await ask(groupOf('m'));
    const answer = rig.guard.admit(groupOf('other'), contextOf());
    await rig.clock.advance(5_000);
    assert.equal(reasonOf(await answer), 'ddl_pending', 'not overload');
  });

  it('ends with the guard', async () => {
    rig = createGuardRig();
    rig.database.hold = new Promise(() => undefined);
    assert.equal(reasonOf(await ask(groupOf('m'))), 'ddl_pending');
    await rig.clock.settle();
    assert.ok(rig.clock.sleeping > 1);
  });
});

describe('guard: a caller with a time of its own', () => {
  it('waits that long instead of the time of the configuration', async () => {
    for (const [waitMs, configured] of [
      [300, 1_000],
      [3_000, 1_000],
      [300, 0],
    ] as const) {
      rig = createGuardRig({ ...GUARD_OPTIONS, waitMs: configured });
      rig.queue.run = () => undefined;
      let answered: Admission | undefined;
      const done = ask(groupOf('m'), { waitMs }).then((admission) => (answered = admission));
      await rig.clock.advance(waitMs - 1);
      assert.equal(answered, undefined, `after ${waitMs - 1} ms`);
      await rig.clock.advance(20);
      await done;
      assert.equal(reasonOf(answered as unknown as Admission), 'ddl_pending');
      if (waitMs !== 300 || configured !== 0) await closeRig(rig);
    }
  });
});
