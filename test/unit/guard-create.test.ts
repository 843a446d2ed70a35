import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import type { Admission, Verdict } from '../../src/model/admission.ts';
import { fingerprint } from '../../src/model/ddl-queue.ts';
import { Table } from '../../src/model/series.ts';
import { tableKey } from '../../src/model/table.ts';
import { createDeferred } from '../../src/util/deferred.ts';
import {
  closeRig,
  contextOf,
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

function refusal(admission: Admission): { kind: string; reason: string } | undefined {
  const verdict: Verdict | undefined = admission.refused;
  return verdict === undefined ? undefined : { kind: verdict.kind, reason: verdict.reason };
}

async function admitAll(promises: readonly Promise<Admission>[], ms = 5_000): Promise<Admission[]> {
  await rig.clock.advance(ms);
  return await Promise.all(promises);
}

describe('guard: creating', () => {
  it('makes one submit for 50 requests that want one new table', async () => {
    rig = createGuardRig();
    const groups = Array.from({ length: 50 }, () => groupOf('m'));
    const answers = await admitAll(groups.map((group) => rig.guard.admit(group, contextOf())));
    assert.equal(rig.queue.submits, 1);
    for (const answer of answers) assert.deepEqual([answer.refused, answer.parts.size], [undefined, 0]);
    for (const group of groups) assert.equal(rig.guard.isReady(group), true);
  });

  it('unites the columns that several requests want into one task', async () => {
    rig = createGuardRig();
    const groups = ['a', 'b', 'c'].map((name) => groupOf('m', [[name]], { [`f_${name}`]: 'float64' }));
    const answers = await admitAll(groups.map((group) => rig.guard.admit(group, contextOf())));
    assert.ok(answers.every((answer) => answer.refused === undefined && answer.parts.size === 0));
    assert.equal(rig.queue.submits, 1);
    const names = rig.queue.submitted[0]?.columns.map((column) => column.name).sort();
    assert.deepEqual(names, ['a', 'b', 'c', 'f_a', 'f_b', 'f_c']);
  });

  it('asks for what is still missing after a task that somebody else had begun', async () => {
    rig = createGuardRig();
    rig.queue.run = () => undefined;
    const other = { tenant: 'db', database: 'db', table: 'm', source: 'influx' as const, askedBy: 'x' };
    await rig.queue.submit({ ...other, columns: [field('other')] }, new AbortController().signal);
    const answer = rig.guard.admit(groupOf('m'), contextOf());
    await rig.clock.advance(100);
    rig.queue.run = (request) => rig.database.make(request);
    rig.queue.finish(other, rig.database.make({ ...other, columns: [field('other')] }));
    const [admitted] = await admitAll([answer]);
    assert.equal(admitted?.refused, undefined);
    assert.deepEqual(rig.queue.submitted[1]?.columns, [tag('host'), field('v')]);
  });

  it('finds a table that exists without asking the queue', async () => {
    rig = createGuardRig();
    rig.database.tables.set(tableKey({ database: 'db', table: 'm' }), [tag('host'), field('v')]);
    const group = groupOf('m');
    assert.equal(rig.guard.isReady(group), false);
    const [answer] = await admitAll([rig.guard.admit(group, contextOf())]);
    assert.equal(answer?.refused, undefined);
    assert.equal(rig.guard.isReady(group), true);
    assert.equal(rig.queue.submits, 0);
  });

  it('adds a column to a table that exists and lets the other rows pass meanwhile', async () => {
    rig = createGuardRig({ waitMs: 50 });
    const table = new Table('db', 'm');
    await admitAll([rig.guard.admit(groupOf(table), contextOf())]);
    rig.queue.run = () => undefined;
    const wider = groupOf(table, [['host'], ['host', 'rack']], { v: 'float64' });
    const [answer] = await admitAll([rig.guard.admit(wider, contextOf())]);
    assert.equal(answer?.refused, undefined);
    assert.deepEqual([...(answer?.parts.keys() ?? [])], [wider.tagSets[1]]);
    assert.deepEqual(rig.queue.submitted[1]?.columns, [tag('rack')]);
  });

  it('makes a database first, and once, when the table is in a new one', async () => {
    rig = createGuardRig();
    const groups = ['a', 'b'].map((name) => groupOf(new Table('fresh', name)));
    const answers = await admitAll(groups.map((group) => rig.guard.admit(group, contextOf())));
    assert.ok(answers.every((answer) => answer.refused === undefined));
    assert.deepEqual(
      rig.queue.submitted.map((request) => request.table),
      [undefined, 'a', 'b'],
    );
  });

  it('defers a request that brings more new tables than one may', async () => {
    rig = createGuardRig({ maxNewTablesPerRequest: 2 });
    const context = contextOf();
    const answers: Admission[] = [];
    for (const name of ['a', 'b', 'c', 'd']) {
      answers.push(...(await admitAll([rig.guard.admit(groupOf(name), context)])));
    }
    const capped = { kind: 'deferred', reason: 'request_cap' };
    assert.deepEqual(answers.map(refusal), [undefined, undefined, capped, capped]);
    assert.equal(rig.queue.submits, 2);
  });

  it('counts a new table once, though its database is new as well', async () => {
    rig = createGuardRig({ maxNewTablesPerRequest: 1 });
    const context = contextOf();
    const [answer] = await admitAll([rig.guard.admit(groupOf(new Table('fresh', 'm')), context)]);
    assert.deepEqual([answer?.refused, context.newTables], [undefined, 1]);
  });

  it('gives back the place in the throttle and in the budget when a task has ended, however it ended', async () => {
    rig = createGuardRig({
      throttle: { ...GUARD_OPTIONS.throttle, maxOpen: 1 },
      budget: { ...GUARD_OPTIONS.budget, maxTablesPerDatabase: 1 },
    });
    const make = rig.queue.run;
    rig.queue.run = (request) => failure('permanent', 60_000, request.columns);
    const [bad] = await admitAll([rig.guard.admit(groupOf('bad'), contextOf())]);
    assert.deepEqual(refusal(bad as Admission), { kind: 'rejected', reason: 'ddl_failed' });
    rig.queue.run = make;
    const [good] = await admitAll([rig.guard.admit(groupOf('good'), contextOf())]);
    assert.equal(good?.refused, undefined);
  });

  it('answers within the wait time while a task goes on, and later from the registry', async () => {
    rig = createGuardRig({ waitMs: 300 });
    rig.queue.run = () => undefined;
    const group = groupOf('m');
    const answer = rig.guard.admit(group, contextOf());
    await rig.clock.advance(299);
    assert.equal(rig.guard.stats().waiting, 1);
    await rig.clock.advance(1);
    assert.deepEqual(refusal(await answer), { kind: 'deferred', reason: 'ddl_pending' });
    // Whoever comes after the wait time of the first is not held up by the same task again.
    const late = await rig.guard.admit(groupOf('m'), contextOf());
    assert.deepEqual(refusal(late), { kind: 'deferred', reason: 'ddl_pending' });
    const [request] = rig.queue.submitted;
    assert.ok(request !== undefined);
    rig.queue.finish(request, rig.database.make(request));
    await rig.clock.settle();
    assert.equal((await rig.guard.admit(group, contextOf())).refused, undefined);
    assert.equal(rig.queue.submits, 1);
  });

  it('answers at once, and works in the background, when the wait time is 0', async () => {
    rig = createGuardRig({ waitMs: 0 });
    const reasons: unknown[] = [];
    for (let i = 0; i < 6; i++) {
      reasons.push(refusal(await rig.guard.admit(groupOf('m'), contextOf()))?.reason);
      await rig.clock.advance(20);
    }
    assert.equal(reasons[0], 'ddl_pending');
    assert.equal(reasons.at(-1), undefined);
    assert.equal(rig.queue.submits, 1);
  });

  it('rejects only the caller whose signal aborts', async () => {
    rig = createGuardRig();
    rig.queue.run = () => undefined;
    const aborting = new AbortController();
    const left = rig.guard.admit(groupOf('m'), contextOf(aborting.signal));
    const stays = rig.guard.admit(groupOf('m'), contextOf());
    await rig.clock.advance(50);
    aborting.abort(new Error('client gone'));
    await assert.rejects(left, /client gone/);
    const [request] = rig.queue.submitted;
    assert.ok(request !== undefined);
    rig.queue.finish(request, rig.database.make(request));
    assert.equal((await stays).refused, undefined);
    assert.equal(rig.guard.stats().waiting, 0);
  });

  it('defers who would be one too many to wait', async () => {
    rig = createGuardRig({ maxWaiting: 2 });
    rig.queue.run = () => undefined;
    const calls = ['a', 'b', 'c'].map((name) => rig.guard.admit(groupOf(name), contextOf()));
    assert.deepEqual(refusal((await calls[2]) as Admission), { kind: 'deferred', reason: 'overload' });
    await admitAll(calls);
  });

  it('settles everybody who waits when it closes', async () => {
    rig = createGuardRig();
    rig.queue.run = () => undefined;
    const creating = rig.guard.admit(groupOf('a'), contextOf());
    await rig.clock.advance(50);
    rig.database.hold = new Promise(() => {});
    const looking = rig.guard.admit(groupOf('b'), contextOf());
    await rig.clock.settle();
    await rig.guard.close();
    const reasons = [refusal(await creating)?.reason, refusal(await looking)?.reason];
    assert.deepEqual(reasons, ['control_plane', 'database_down']);
    const after = refusal(await rig.guard.admit(groupOf('c'), contextOf()));
    assert.deepEqual(after, { kind: 'deferred', reason: 'database_down' });
  });

  it('counts what is being made against the budget, and what was made for good', async () => {
    rig = createGuardRig({ budget: { ...GUARD_OPTIONS.budget, maxTablesPerDatabase: 3 } });
    const names = Array.from({ length: 10 }, (_, i) => `t${i}`);
    const answers = await admitAll(names.map((name) => rig.guard.admit(groupOf(name), contextOf())));
    const made = answers.filter((answer) => answer.refused === undefined);
    assert.equal(made.length, 3);
    assert.equal(rig.queue.submits, 3);
    assert.equal(rig.counts.get('deferred throttled'), 7, 'creates under way may still fail');
    const [late] = await admitAll([rig.guard.admit(groupOf('late'), contextOf())]);
    assert.deepEqual(refusal(late as Admission), { kind: 'rejected', reason: 'table_budget' });
  });

  it('reads the schema back after a task, and again when that was overtaken', async () => {
    rig = createGuardRig({ waitMs: 10_000 });
    rig.queue.run = () => undefined;
    const answer = rig.guard.admit(groupOf('m'), contextOf());
    await rig.clock.advance(50);
    const hold = createDeferred<void>();
    rig.database.hold = hold.promise;
    const [request] = rig.queue.submitted;
    assert.ok(request !== undefined);
    rig.queue.finish(request, { kind: 'ok' });
    await rig.clock.settle();
    rig.database.make(request);
    rig.guard.invalidate({ database: 'db', name: 'm' });
    hold.resolve();
    const [admitted] = await admitAll([answer]);
    assert.equal(admitted?.refused, undefined);
    assert.equal(rig.queue.submits, 1);
  });

  it('does not make a table again at once that is gone right after it was made', async () => {
    rig = createGuardRig();
    rig.queue.run = () => ({ kind: 'ok' });
    const reasons: unknown[] = [];
    for (let i = 0; i < 20; i++) {
      reasons.push(
        refusal((await admitAll([rig.guard.admit(groupOf('m'), contextOf())], 20))[0] as Admission)?.reason,
      );
    }
    assert.deepEqual(new Set(reasons), new Set(['ddl_backoff']));
    assert.equal(rig.queue.submits, 1);
  });

  it('tells a failure of several united wants from a failure of each', async () => {
    rig = createGuardRig({ waitMs: 10_000 });
    rig.queue.run = (request) => {
      const bad = request.columns.some((column) => column.name === 'bad');
      return bad ? failure('permanent', 1_000, request.columns) : rig.database.make(request);
    };
    const good = groupOf('m', [[]], { good: 'float64' });
    const bad = groupOf('m', [[]], { bad: 'float64' });
    const both = [rig.guard.admit(good, contextOf()), rig.guard.admit(bad, contextOf())];
    const [first] = await admitAll(both);
    assert.equal(rig.queue.submits, 2);
    assert.equal(first?.refused?.kind, 'deferred');
    // The back-off is the table's; after it, the good want is not spoilt by the bad one again.
    await rig.clock.advance(1_000);
    rig.queue.clear({ tenant: 'db', database: 'db', table: 'm' });
    const again = await admitAll([rig.guard.admit(good, contextOf()), rig.guard.admit(bad, contextOf())]);
    assert.equal(again[0]?.refused, undefined);
    assert.equal(again[1]?.parts.get(bad.fields[0] as never)?.kind, 'rejected');
    assert.equal(fingerprint(rig.queue.submitted.at(-1)?.columns ?? []), fingerprint([field('bad')]));
  });
});
