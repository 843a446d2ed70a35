import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DdlRequest, DdlSubmission } from '../../src/model/ddl-queue.ts';
import { tableKey } from '../../src/model/table.ts';
import { createDeferred } from '../../src/util/deferred.ts';
import { column, type DdlHarness, NEVER, outcomeOf, startHarness, wanted } from '../helpers/ddl-harness.ts';

/** Submits to the gateways in turn and lets all of it settle. */
async function submitAll(harness: DdlHarness, requests: readonly DdlRequest[]): Promise<DdlSubmission[]> {
  const { gateways, clock } = harness;
  const submits = requests.map(async (request, index) => {
    const gateway = gateways[index % gateways.length] ?? assert.fail('no gateway');
    return await gateway.queue.submit(request, NEVER);
  });
  await clock.settle();
  return await Promise.all(submits);
}

function kinds(submissions: readonly DdlSubmission[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const submission of submissions) {
    const kind = submission.kind === 'refused' ? submission.reason : submission.kind;
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

describe('submitting to the DDL queue', () => {
  it('makes one task and one statement of 1000 concurrent submits for a table on three gateways', async (t) => {
    const harness = await startHarness(t, 3);
    const submissions = await submitAll(
      harness,
      Array.from({ length: 1_000 }, () => wanted('cpu')),
    );
    const outcomes = await Promise.all(submissions.map(outcomeOf));
    assert.equal(kinds(submissions)['submitted'], 1);
    assert.equal(harness.executor.sent.length, 1);
    assert.deepEqual(new Set(outcomes.map((outcome) => outcome?.kind)), new Set(['ok']));
    await harness.clock.advance(20_000);
    harness.invariants.assertQuiescent();
    assert.equal(harness.invariants.mostTasks, 1);
    assert.equal(harness.gateways[0]?.queue.stats().outcomes, 0);
  });

  it('joins the task that is open, from the view and without a call to the store', async (t) => {
    const harness = await startHarness(t, 2);
    const [a, b] = harness.gateways;
    const gate = createDeferred<void>();
    harness.executor.onDescribe = () => gate.promise;
    const first = await a?.queue.submit(wanted('cpu'), NEVER);
    await harness.clock.settle();
    let calls = 0;
    if (b !== undefined) {
      b.store.plan = () => {
        calls++;
        return undefined;
      };
    }
    const second = await b?.queue.submit(wanted('cpu', { columns: [column('other')] }), NEVER);
    assert.deepEqual([first?.kind, second?.kind, calls], ['submitted', 'joined', 0]);
    gate.resolve();
    assert.ok(first && second);
    assert.deepEqual(await Promise.all([outcomeOf(first), outcomeOf(second)]), [
      { kind: 'ok' },
      { kind: 'ok' },
    ]);
  });

  it('adds the columns that are still missing by another task, right after the first', async (t) => {
    const harness = await startHarness(t, 1);
    const queue = harness.gateways[0]?.queue;
    const one = await queue?.submit(wanted('cpu', { columns: [column('a')] }), NEVER);
    assert.ok(one);
    await outcomeOf(one);
    const two = await queue?.submit(wanted('cpu', { columns: [column('a'), column('b')] }), NEVER);
    assert.ok(two);
    assert.deepEqual(await outcomeOf(two), { kind: 'ok' });
    assert.deepEqual(
      harness.executor.sent.map(({ kind, columns }) => [kind, columns.map(({ name }) => name)]),
      [
        ['create', ['a']],
        ['widen', ['b']],
      ],
    );
    harness.invariants.assertHeld();
  });

  it('sends nothing for a table that is there already', async (t) => {
    const harness = await startHarness(t, 1);
    harness.executor.tables.set(tableKey({ database: 'db', table: 'cpu' }), [column('value')]);
    const [submission] = await submitAll(harness, [wanted('cpu')]);
    assert.ok(submission);
    assert.deepEqual(await outcomeOf(submission), { kind: 'ok' });
    assert.equal(harness.executor.sent.length, 0);
  });

  it('makes a database where no table is named', async (t) => {
    const harness = await startHarness(t, 1);
    const [submission] = await submitAll(harness, [wanted(undefined, { database: 'fresh' })]);
    assert.ok(submission);
    assert.deepEqual(await outcomeOf(submission), { kind: 'ok' });
    assert.deepEqual([...harness.executor.databases], ['fresh']);
  });

  it('takes hostile names as they are, and keeps them apart', async (t) => {
    const harness = await startHarness(t, 1);
    const names = [
      '__proto__',
      '',
      'a/b',
      'a%2Fb',
      '../x',
      '\u0000',
      'ä',
      'A',
      '"; DROP TABLE x',
      '🦥',
      '\ud800',
      '\ud801',
      'x'.repeat(5_000),
      `${'x'.repeat(5_000)}y`,
    ];
    const submissions = await submitAll(
      harness,
      names.map((name) => wanted(name)),
    );
    assert.deepEqual(kinds(submissions), { submitted: names.length });
    await Promise.all(submissions.map(outcomeOf));
    assert.deepEqual(new Set(harness.executor.sent.map(({ table }) => table)), new Set(names));
    harness.invariants.assertHeld();
  });

  it('sends as many columns as a task has room for, and the rest on the next submit', async (t) => {
    const harness = await startHarness(t, 1);
    const columns = Array.from({ length: 2_000 }, (_, index) => column(`column_${index}`));
    let submits = 0;
    while ((harness.executor.tables.get(tableKey({ database: 'db', table: 'wide' }))?.length ?? 0) < 2_000) {
      const [submission] = await submitAll(harness, [
        wanted('wide', {
          columns: columns.slice(
            harness.executor.tables.get(tableKey({ database: 'db', table: 'wide' }))?.length ?? 0,
          ),
        }),
      ]);
      assert.ok(submission);
      await outcomeOf(submission);
      assert.ok(++submits < 10);
    }
    assert.ok(submits > 1);
  });
});

describe('the bounds of the DDL queue', () => {
  it('never has more tasks than slots, at any revision, whichever gateways submit', async (t) => {
    const harness = await startHarness(t, 3, { queue: { maxOpenTasks: 8, maxOpenTasksPerTenant: 8 } });
    const gate = createDeferred<void>();
    harness.executor.onDescribe = () => gate.promise;
    const requests = Array.from({ length: 60 }, (_, index) =>
      wanted(`t${index}`, { tenant: `tenant${index % 7}` }),
    );
    const submissions = await submitAll(harness, requests);
    assert.equal(kinds(submissions)['submitted'], 8);
    assert.equal(kinds(submissions)['full'], 52);
    assert.equal(harness.invariants.mostTasks, 8);
    gate.resolve();
    await harness.clock.advance(20_000);
    harness.invariants.assertQuiescent();
    assert.deepEqual(kinds(await submitAll(harness, [wanted('later')])), { submitted: 1 });
  });

  it('refuses without a call to the store once its view shows no free slot', async (t) => {
    const harness = await startHarness(t, 1, { queue: { maxOpenTasks: 2 } });
    harness.executor.onDescribe = () => createDeferred<void>().promise;
    await submitAll(harness, [wanted('a'), wanted('b')]);
    const [gateway] = harness.gateways;
    assert.ok(gateway);
    gateway.store.plan = () => assert.fail('a call was made');
    assert.deepEqual(kinds(await submitAll(harness, [wanted('c')])), { full: 1 });
    assert.equal(gateway.count('refused full'), 1);
    gateway.store.plan = undefined;
  });

  it('holds one tenant to its share while others go on', async (t) => {
    const harness = await startHarness(t, 2, { queue: { maxOpenTasks: 16, maxOpenTasksPerTenant: 3 } });
    harness.executor.onDescribe = () => createDeferred<void>().promise;
    const flood = Array.from({ length: 10 }, (_, index) => wanted(`t${index}`, { tenant: 'flood' }));
    assert.deepEqual(kinds(await submitAll(harness, flood)), { submitted: 3, tenant_full: 7 });
    assert.deepEqual(kinds(await submitAll(harness, [wanted('x', { tenant: 'calm' })])), { submitted: 1 });
    harness.invariants.assertHeld();
  });

  it('runs no more statements at a time than it may', async (t) => {
    const harness = await startHarness(t, 2, { queue: { concurrency: 3 } });
    const gates: (() => void)[] = [];
    harness.executor.answer = async (_, apply) => {
      const gate = createDeferred<void>();
      gates.push(gate.resolve);
      await gate.promise;
      apply();
      return { kind: 'done' };
    };
    await submitAll(
      harness,
      Array.from({ length: 10 }, (_, index) => wanted(`t${index}`)),
    );
    assert.equal(harness.executor.running, 3);
    while (gates.length > 0) {
      gates.shift()?.();
      await harness.clock.settle();
    }
    assert.deepEqual([harness.executor.sent.length, harness.executor.mostRunning], [10, 3]);
  });

  it('lets the tenants take turns, each in the order its tasks came', async (t) => {
    const harness = await startHarness(t, 1, { queue: { concurrency: 1 } });
    const gate = createDeferred<void>();
    harness.executor.onDescribe = () => gate.promise;
    const submit = (table: string, tenant: string) => submitAll(harness, [wanted(table, { tenant })]);
    await submit('first', 'x');
    for (let index = 0; index < 20; index++) await submit(`flood${index}`, 'flood');
    for (const table of ['calm0', 'calm1']) await submit(table, 'calm');
    gate.resolve();
    await harness.clock.settle();
    const order = harness.executor.sent.map(({ table }) => table);
    assert.deepEqual(order.slice(0, 6), ['first', 'flood0', 'calm0', 'flood1', 'calm1', 'flood2']);
    assert.equal(order.length, 23);
  });

  it('refuses while its view of the store is not current', async (t) => {
    const harness = await startHarness(t, 1);
    const [gateway] = harness.gateways;
    assert.ok(gateway);
    gateway.store.plan = () => ({ kind: 'fail' });
    gateway.store.breakWatches('compacted');
    await harness.clock.settle();
    assert.deepEqual(kinds(await submitAll(harness, [wanted('a')])), { not_live: 1 });
    assert.equal(gateway.queue.stats().live, false);
    gateway.store.plan = undefined;
    await harness.clock.advance(10_000);
    assert.deepEqual(kinds(await submitAll(harness, [wanted('a')])), { submitted: 1 });
  });
});

describe('closing the DDL queue', () => {
  it('waits for the statement that runs, publishes its outcome, gives the leadership back, and leaves no timer', async (t) => {
    const harness = await startHarness(t, 1);
    const [gateway] = harness.gateways;
    assert.ok(gateway);
    const gate = createDeferred<void>();
    harness.executor.answer = async (_, apply) => {
      await gate.promise;
      apply();
      return { kind: 'done' };
    };
    const running = await gateway.queue.submit(wanted('cpu'), NEVER);
    await harness.clock.settle();
    const closed = gateway.queue.close();
    assert.equal(gateway.queue.close(), closed);
    await harness.clock.settle();
    assert.equal((await gateway.queue.submit(wanted('mem'), NEVER)).kind, 'refused');
    gate.resolve();
    await closed;
    assert.deepEqual(await outcomeOf(running), { kind: 'ok' });
    const left = await harness.store.range({ prefix: '/sluice/v1/lead' }, NEVER);
    assert.deepEqual([left.count, gateway.queue.stats().leader], [0, false]);
    harness.invariants.assertHeld();
    await harness.store.close();
    assert.equal(harness.clock.sleeping, 0);
  });

  it('cuts off a statement that takes longer than the closer is willing to wait, and leaves its task', async (t) => {
    const harness = await startHarness(t, 1);
    const [gateway] = harness.gateways;
    assert.ok(gateway);
    let cutOff = false;
    harness.executor.answer = (_, __, signal) =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => {
          cutOff = true;
          resolve({ kind: 'ambiguous', code: 'CUT', message: 'cut off' });
        });
      });
    const submission = await gateway.queue.submit(wanted('cpu'), NEVER);
    await harness.clock.settle();
    const limit = new AbortController();
    const closed = gateway.queue.close(limit.signal);
    await harness.clock.settle();
    limit.abort(new Error('no more time'));
    await closed;
    assert.equal(cutOff, true);
    assert.equal(await outcomeOf(submission), undefined);
    assert.equal((await harness.store.range({ prefix: '/sluice/v1/task/' }, NEVER)).count, 1);
    await harness.store.close();
    assert.equal(harness.clock.sleeping, 0);
  });

  it('does not wait for a statement that may never be answered', async (t) => {
    const harness = await startHarness(t, 1);
    const [gateway] = harness.gateways;
    assert.ok(gateway);
    harness.executor.answer = () => ({ kind: 'ambiguous', code: 'LOST', message: 'connection lost' });
    const submission = await gateway.queue.submit(wanted('cpu'), NEVER);
    await harness.clock.advance(5_000);
    await gateway.queue.close();
    assert.equal(await outcomeOf(submission), undefined);
    assert.equal((await harness.store.range({ prefix: '/sluice/v1/task/' }, NEVER)).count, 1);
    await harness.store.close();
    assert.equal(harness.clock.sleeping, 0);
  });

  it('ends a submit whose caller gives up without ending those who joined it', async (t) => {
    const harness = await startHarness(t, 1);
    const queue = harness.gateways[0]?.queue;
    assert.ok(queue);
    const caller = new AbortController();
    const abandoned = queue.submit(wanted('cpu'), caller.signal);
    const joined = queue.submit(wanted('cpu'), NEVER);
    caller.abort(new Error('gone'));
    await assert.rejects(abandoned, /gone/);
    assert.deepEqual(await outcomeOf(await joined), { kind: 'ok' });
  });
});
