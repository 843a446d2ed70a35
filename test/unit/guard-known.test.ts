import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import type { Admission } from '../../src/model/admission.ts';
import { Table } from '../../src/model/series.ts';
import { tableKey } from '../../src/model/table.ts';
import { createDeferred } from '../../src/util/deferred.ts';
import {
  admitIn,
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

const key = tableKey({ database: 'db', table: 'm' });
const columns = [tag('host'), field('v')];

function admit(group = groupOf('m'), ms?: number): Promise<Admission> {
  return admitIn(rig, group, ms);
}

describe('guard: what is known', () => {
  it('is ready only when one entry has admitted the table and every part', async () => {
    rig = createGuardRig();
    const table = new Table('db', 'm');
    const group = groupOf(table);
    await admit(group);
    assert.equal(rig.guard.isReady(group), true);
    assert.equal(rig.guard.isReady(groupOf(table)), false, 'parts that nobody asked about');
    assert.equal(rig.guard.isReady({ ...groupOf(table), tagSets: group.tagSets }), false);
    assert.equal(rig.guard.isReady({ ...group, table: new Table('db', 'm') }), false);
  });

  it('is not ready after an invalidation, and finds out that the table is gone', async () => {
    rig = createGuardRig();
    const group = groupOf('m');
    await admit(group);
    rig.database.tables.clear();
    rig.guard.invalidate({ database: 'db', name: 'm' });
    assert.equal(rig.guard.isReady(group), false);
    assert.equal((await admit(group)).refused, undefined);
    assert.equal(rig.queue.submits, 2);
    assert.equal(rig.guard.isReady(group), true);
  });

  it('throws away what a question found that was asked before the invalidation', async () => {
    rig = createGuardRig();
    rig.database.tables.set(key, [...columns, field('old')]);
    const hold = createDeferred<void>();
    rig.database.hold = hold.promise;
    const answer = rig.guard.admit(groupOf('m'), contextOf());
    await rig.clock.settle();
    rig.database.tables.set(key, columns);
    rig.guard.invalidate({ database: 'db', name: 'm' });
    hold.resolve();
    assert.equal((await answer).refused, undefined);
    const old = groupOf('m', [[]], { old: 'float64' });
    await admit(old);
    assert.deepEqual(rig.queue.submitted[0]?.columns, [field('old')], 'the old answer was not believed');
  });

  it('stays ready while a table grows, and learns the columns in the background', async () => {
    rig = createGuardRig();
    const group = groupOf('m');
    await admit(group);
    const target = { tenant: 'db', database: 'db', table: 'm' };
    rig.database.tables.set(key, [...columns, field('w')]);
    const { describes } = rig.database;
    rig.queue.emit({ kind: 'outcome', target, outcome: { kind: 'ok' } });
    assert.equal(rig.guard.isReady(group), true);
    await rig.clock.settle();
    assert.equal(rig.database.describes, describes + 1);
    await admit(groupOf('m', [['host']], { v: 'float64', w: 'float64' }));
    assert.equal(rig.database.describes, describes + 1);
    assert.equal(rig.queue.submits, 1);
  });

  it('looks a table in use up again after its soft TTL, behind the traffic', async () => {
    rig = createGuardRig({ registry: { ...GUARD_OPTIONS.registry, softTtlMs: 60_000 } });
    const group = groupOf('m');
    await admit(group);
    const { describes } = rig.database;
    await rig.clock.advance(59_000);
    assert.equal(rig.guard.isReady(group), true);
    await rig.clock.settle();
    assert.equal(rig.database.describes, describes, 'too young');
    await rig.clock.advance(2_000);
    rig.database.tables.delete(key);
    for (let i = 0; i < 100; i++) assert.equal(rig.guard.isReady(group), true);
    await rig.clock.settle();
    assert.equal(rig.database.describes, describes + 1);
    assert.equal(rig.guard.isReady(group), false, 'it was dropped');
  });

  it('keeps what it knows when a refresh fails', async () => {
    rig = createGuardRig({ registry: { ...GUARD_OPTIONS.registry, softTtlMs: 60_000 } });
    const group = groupOf('m');
    await admit(group);
    rig.database.down = true;
    await rig.clock.advance(61_000);
    assert.equal(rig.guard.isReady(group), true);
    await rig.clock.settle();
    assert.equal(rig.guard.isReady(group), true);
  });

  it('is no longer ready for a table that had to make room, and keeps one in use', async () => {
    rig = createGuardRig({ registry: { ...GUARD_OPTIONS.registry, maxTables: 3 } });
    const group = groupOf('m');
    const first = groupOf('first');
    await admit(group);
    await admit(first);
    for (const name of ['a', 'b', 'c']) {
      await rig.clock.advance(1_000);
      assert.equal(rig.guard.isReady(group), true);
      await admit(groupOf(name));
    }
    assert.equal(rig.guard.isReady(first), false);
    assert.equal(rig.guard.stats().tables, 3);
  });

  it('admits rows of a table too large to be remembered, or defers them, but never loops', async () => {
    rig = createGuardRig({ registry: { ...GUARD_OPTIONS.registry, maxBytes: 100 } });
    rig.database.tables.set(key, columns);
    const answer = await admit();
    assert.equal(answer.refused?.kind, 'deferred');
    assert.ok(rig.database.describes < 10);
  });

  it('stays bounded in entries and bytes under 1,000,000 refused names', async () => {
    const bounds = { maxEntries: 1_000, maxBytes: 500_000 };
    rig = createGuardRig({
      policy: { ...GUARD_OPTIONS.policy, denyTables: ['bad.*'] },
      decisions: bounds,
      negative: bounds,
    });
    const context = contextOf();
    const long = 'x'.repeat(2_000);
    for (let i = 0; i < 1_000_000; i++) {
      const answer = await rig.guard.admit(groupOf(`bad${i}${i % 100 === 0 ? long : ''}`, [[]]), context);
      if (answer.refused?.kind !== 'rejected') assert.fail('not refused');
    }
    for (let i = 0; i < 20_000; i++) {
      rig.queue.emit({
        kind: 'outcome',
        target: { tenant: 'db', database: 'db', table: `t${i}${i % 2 === 0 ? long : ''}` },
        outcome: {
          kind: 'error',
          class: 'permanent',
          code: 'E',
          message: long,
          attempts: 1,
          ttlMs: 60_000,
          wants: long,
        },
      });
    }
    const stats = rig.guard.stats();
    assert.ok(stats.decisions <= bounds.maxEntries, `${stats.decisions} decisions`);
    assert.ok(stats.negatives <= bounds.maxEntries, `${stats.negatives} negatives`);
    assert.ok(
      stats.negativeBytes <= bounds.maxBytes && stats.negativeBytes > 0,
      `${stats.negativeBytes} bytes`,
    );
    assert.deepEqual([stats.tables, stats.absent, stats.waiting, rig.database.describes], [0, 0, 0, 0]);
  });

  it('stays bounded under 50,000 names that do not exist and may not be made', async () => {
    rig = createGuardRig({ policy: { ...GUARD_OPTIONS.policy, autoCreate: 'off' } });
    for (let round = 0; round < 50; round++) {
      const calls = Array.from({ length: 1_000 }, (_, i) =>
        rig.guard.admit(groupOf(`t${round}_${i}`, [[]]), contextOf()),
      );
      await rig.clock.settle();
      for (const call of calls) assert.equal((await call).refused?.kind, 'rejected');
    }
    assert.ok(rig.guard.stats().absent <= 20_000);
    assert.equal(rig.database.described, 50_000);
    assert.ok(rig.database.describes < 300, `${rig.database.describes} queries`);
  });
});
