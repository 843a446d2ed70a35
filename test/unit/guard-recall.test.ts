import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import type { Admission } from '../../src/model/admission.ts';
import type { ColumnSpec } from '../../src/model/column.ts';
import type { TableGroup } from '../../src/model/point-batch.ts';
import { Table } from '../../src/model/series.ts';
import { tableKey } from '../../src/model/table.ts';
import {
  admitIn,
  closeRig,
  createGuardRig,
  failure,
  field,
  GUARD_OPTIONS,
  type GuardRig,
  groupOf,
  tag,
} from '../helpers/guard-rig.ts';

let rig: GuardRig;
afterEach(() => closeRig(rig));

const target = { tenant: 'db', database: 'db', table: 'm' };

function admit(group: TableGroup): Promise<Admission> {
  return admitIn(rig, group);
}

function exists(columns: ColumnSpec[]): void {
  rig.database.tables.set(tableKey(target), columns);
}

/** Admits until the guard remembers the answer, at the beginning of a second. */
async function refuseOften(group: TableGroup): Promise<Admission> {
  await admit(group);
  await rig.clock.advance(1_000);
  await admit(group);
  return await admit(group);
}

/** Each gives a guard that refuses the group for good, and the group. */
const REFUSALS: Readonly<Record<string, () => TableGroup>> = {
  'a denied name'() {
    rig = createGuardRig({ policy: { ...GUARD_OPTIONS.policy, denyTables: ['m'] } });
    return groupOf('m');
  },
  'what the database refused'() {
    rig = createGuardRig();
    rig.queue.run = (request) => failure('permanent', 60_000, request.columns);
    return groupOf('m');
  },
  'a type conflict'() {
    rig = createGuardRig();
    exists([tag('host'), field('v'), field('w')]);
    return groupOf('m', [['host']], { v: 'int64', w: 'float64' });
  },
};

describe('guard: refusals that come again', () => {
  for (const [what, make] of Object.entries(REFUSALS)) {
    it(`repeats ${what} without a look, counts it, and looks again after a second`, async () => {
      const group = make();
      const first = await admit(group);
      assert.equal(rig.guard.recall(group), undefined, 'a name that comes once costs no memory');
      await refuseOften(group);
      const rejected = (): number =>
        [...rig.counts].reduce((sum, [key, n]) => sum + (key.startsWith('rejected') ? n : 0), 0);
      const before = rejected();
      assert.deepEqual(rig.guard.recall(group), first);
      assert.equal(rejected(), before + 1);
      await rig.clock.advance(1_000);
      assert.equal(rig.guard.recall(group), undefined);
    });
  }

  it('repeats it for the same tag sets and fields only', async () => {
    const group = REFUSALS['a type conflict']!();
    await refuseOften(group);
    const { table, tagSets, fields } = group;
    const others: Partial<TableGroup>[] = [
      { fields: fields.slice(1) },
      { fields: [...fields, groupOf(table, [], { x: 'bool' }).fields[0]!] },
      { tagSets: [] },
      { tagSets: groupOf(table).tagSets },
      { table: new Table('db', 'm') },
    ];
    for (const other of others) assert.equal(rig.guard.recall({ ...group, ...other }), undefined);
    assert.notEqual(rig.guard.recall({ ...group, tagSets: [...tagSets] }), undefined);
  });

  it('forgets it when the failure is cleared, replaced, or the table appears', async () => {
    for (const event of ['cleared', 'error', 'ok'] as const) {
      const group = REFUSALS['what the database refused']!();
      await refuseOften(group);
      assert.notEqual(rig.guard.recall(group), undefined);
      if (event === 'cleared') rig.queue.emit({ kind: 'cleared', target });
      else {
        const outcome = event === 'ok' ? ({ kind: 'ok' } as const) : failure('transient', 500);
        rig.queue.emit({ kind: 'outcome', target, outcome });
      }
      assert.equal(rig.guard.recall(group), undefined);
      if (event !== 'ok') await rig.guard.close();
    }
  });

  it('forgets it when the table is another than before', async () => {
    const group = REFUSALS['a type conflict']!();
    await refuseOften(group);
    rig.guard.invalidate({ database: 'db', name: 'm' });
    assert.equal(rig.guard.recall(group), undefined);
  });

  it('gives each deferral its own time to come back', async () => {
    rig = createGuardRig();
    rig.queue.run = (request) => failure('transient', 60_000, request.columns);
    const group = groupOf('m');
    assert.equal((await refuseOften(group)).refused?.kind, 'deferred');
    assert.equal(rig.guard.recall(group), undefined);
  });

  it('counts every time what observe mode lets pass', async () => {
    rig = createGuardRig(
      { policy: { ...GUARD_OPTIONS.policy, autoCreate: 'observe', denyTables: ['m'] } },
      { checkColumn: () => 'never' },
    );
    const group = groupOf('m');
    await refuseOften(group);
    assert.equal(rig.guard.recall(group), undefined);
    assert.equal(rig.counts.get('wouldRefuse denied_name'), 3);
  });
});

describe('guard: parts that nothing is made for', () => {
  it('does not call a new tag ready that came with nothing but conflicts, nor a new field with such tags', async () => {
    rig = createGuardRig();
    exists([tag('host'), field('v')]);
    const table = new Table('db', 'm');
    await admit(groupOf(table));
    const newTag = groupOf(table, [['host', 'zone']], { v: 'int64' });
    const newField = groupOf(table, [['v']], { w: 'float64' });
    for (const group of [newTag, newField]) assert.equal((await admit(group)).parts.size, 1);
    assert.equal(rig.queue.submits, 0);
    const good = groupOf(table);
    await admit(good);
    assert.equal(rig.guard.isReady(good), true);
    assert.equal(rig.guard.isReady({ ...good, tagSets: newTag.tagSets }), false);
    assert.equal(rig.guard.isReady({ ...good, fields: newField.fields }), false);
  });
});
