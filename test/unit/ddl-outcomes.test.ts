import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DdlOutcome, DdlSubmission } from '../../src/model/ddl-queue.ts';
import type { DdlResult } from '../../src/model/sink.ts';
import { tableKey } from '../../src/model/table.ts';
import { createDeferred } from '../../src/util/deferred.ts';
import {
  column,
  count,
  type DdlHarness,
  NEVER,
  outcomeOf,
  startHarness,
  submit as submitTo,
  wanted,
} from '../helpers/ddl-harness.ts';

type Failed = Extract<DdlOutcome, { kind: 'error' }>;

const INVALID: DdlResult = { kind: 'invalid', code: '1004', message: 'bad name' };
const TRANSIENT: DdlResult = { kind: 'transient', code: 'BUSY', message: 'try later' };
const DENIED: DdlResult = { kind: 'denied', code: '42501', message: 'permission denied' };

/** Submits to one of the gateways, the first unless told otherwise. */
function submit(harness: DdlHarness, table: string, changes = {}, gateway = 0): Promise<DdlSubmission> {
  return submitTo(harness, harness.gateways[gateway], table, changes);
}

/** Submits and moves the time on until the task has ended. */
async function failed(harness: DdlHarness, table: string, changes = {}): Promise<Failed> {
  const submission = await submit(harness, table, changes);
  await harness.clock.advance(5_000);
  const outcome = await outcomeOf(submission);
  assert.ok(outcome?.kind === 'error', JSON.stringify(outcome));
  return outcome;
}

function reasonOf(submission: DdlSubmission): string {
  return submission.kind === 'refused' ? submission.reason : submission.kind;
}

describe('negative results', () => {
  it('are known at once on every gateway, and cost no statement while they hold', async (t) => {
    const harness = await startHarness(t, 3);
    harness.executor.answer = () => INVALID;
    const outcome = await outcomeOf(await submit(harness, 'bad'));
    assert.deepEqual(
      outcome?.kind === 'error' && [outcome.class, outcome.code, outcome.message, outcome.attempts],
      ['permanent', '1004', 'bad name', 1],
    );
    for (let round = 0; round < 1_000; round++) {
      const submission = await harness.gateways[round % 3]?.queue.submit(wanted('bad'), NEVER);
      assert.equal(submission?.kind, 'known');
    }
    assert.equal(harness.executor.sent.length, 1);
    assert.equal(
      harness.gateways.every(({ events }) => events.length === 1 && events[0]?.kind === 'outcome'),
      true,
    );
    harness.invariants.assertHeld();
  });

  it('hold longer each time in a row, scattered, up to the limit of their class', async (t) => {
    const harness = await startHarness(t, 1);
    harness.executor.answer = ({ table }) => (table === 'permanent' ? INVALID : TRANSIENT);
    for (const [table, firstMs, maxMs] of [
      ['permanent', 30_000, 300_000],
      ['transient', 1_000, 30_000],
    ] as const) {
      for (let round = 0; round < 8; round++) {
        const { ttlMs } = await failed(harness, table);
        const idealMs = Math.min(maxMs, firstMs * 2 ** round);
        assert.ok(
          ttlMs >= idealMs * 0.8 && ttlMs <= Math.min(maxMs, idealMs * 1.2),
          `${table} ${round}: ${ttlMs}`,
        );
        await harness.clock.advance(ttlMs);
      }
    }
    harness.invariants.assertHeld();
  });

  it('go on growing under another leader', async (t) => {
    const harness = await startHarness(t, 2);
    harness.executor.answer = () => INVALID;
    const first = await failed(harness, 'bad');
    const leader = harness.leader();
    const closed = leader?.queue.close();
    await harness.clock.advance(Math.max(first.ttlMs, 40_000));
    await closed;
    const other = harness.gateways.indexOf(harness.leader() ?? assert.fail('no leader'));
    const again = await outcomeOf(await submit(harness, 'bad', {}, other));
    assert.ok(again?.kind === 'error' && again.ttlMs >= 48_000, JSON.stringify(again));
  });

  it('let one attempt through per back-off window, whatever tries', async (t) => {
    const harness = await startHarness(t, 3);
    harness.executor.answer = () => INVALID;
    const windows: number[] = [];
    for (let second = 0; second < 600; second++) {
      for (const { queue } of harness.gateways) void queue.submit(wanted('bad'), NEVER);
      await harness.clock.advance(1_000);
      windows.push(harness.executor.sent.length);
    }
    // 30, 60, 120, 240 s and more, each ±20 %: at most 6 attempts in 600 s.
    assert.ok((windows.at(-1) ?? 0) >= 3 && (windows.at(-1) ?? 0) <= 6, String(windows.at(-1)));
    harness.invariants.assertHeld();
  });

  it('are followed by success as soon as the table can be made', async (t) => {
    const harness = await startHarness(t, 2);
    harness.executor.answer = () => INVALID;
    const { ttlMs } = await failed(harness, 'heals');
    harness.executor.answer = undefined;
    await harness.clock.advance(ttlMs);
    assert.deepEqual(await outcomeOf(await submit(harness, 'heals', {}, 1)), { kind: 'ok' });
    const last = harness.gateways[0]?.events.at(-1);
    assert.ok(last?.kind === 'outcome' && last.outcome.kind === 'ok');
  });

  it('of one set of columns leave another set its own attempt, but only a few of them', async (t) => {
    const harness = await startHarness(t, 1);
    harness.executor.tables.set(tableKey({ database: 'db', table: 'cpu' }), [column('value', 'string')]);
    await failed(harness, 'cpu', { columns: [column('value', 'float64')] });
    const good = await submit(harness, 'cpu', { columns: [column('other')] });
    assert.deepEqual(await outcomeOf(good), { kind: 'ok' });
    harness.executor.answer = () => INVALID;
    const results: string[] = [];
    for (let variant = 0; variant < 20; variant++) {
      const submission = await submit(harness, 'poison', { columns: [column(`c${variant}`)] });
      const outcome = await outcomeOf(submission);
      results.push(`${submission.kind} ${outcome?.kind === 'error' ? outcome.class : 'ok'}`);
    }
    assert.deepEqual(new Set(results.slice(0, 8)), new Set(['submitted permanent']));
    assert.deepEqual(new Set(results.slice(8)), new Set(['known transient']));
    assert.equal(harness.executor.sentFor('poison'), 8);
    assert.equal(reasonOf(await submit(harness, 'poison', { columns: [column('c3')] })), 'known');
    harness.invariants.assertHeld();
  });

  it('are dropped on every gateway by table, by prefix or altogether, and begin anew then', async (t) => {
    const harness = await startHarness(t, 2);
    harness.executor.answer = () => INVALID;
    for (const table of ['cpu.user', 'cpu.idle', 'mem']) await failed(harness, table);
    const [a, b] = harness.gateways;
    assert.ok(a && b);
    assert.equal(await a.queue.forget({ kind: 'table', database: 'db', table: 'mem' }, NEVER), 1);
    assert.equal(await a.queue.forget({ kind: 'prefix', database: 'db', table: 'cpu.' }, NEVER), 2);
    assert.equal(await a.queue.forget({ kind: 'all' }, NEVER), 0);
    await harness.clock.settle();
    assert.equal(b.events.filter(({ kind }) => kind === 'cleared').length, 3);
    const again = await failed(harness, 'mem');
    assert.ok(again.ttlMs <= 36_000, String(again.ttlMs));
  });

  it('are published for a short time only when there are very many, and still cost no second statement', async (t) => {
    const harness = await startHarness(t, 1, { queue: { maxOutcomes: 0 } });
    harness.executor.answer = () => INVALID;
    const { ttlMs } = await failed(harness, 'bad');
    assert.equal(ttlMs, 2_000);
    await harness.clock.advance(10_000);
    assert.equal(harness.gateways[0]?.queue.stats().outcomes, 0);
    await failed(harness, 'bad');
    assert.equal(harness.executor.sent.length, 1);
  });

  it('that end while their leader still thinks they hold, having seen them late, are not taken for purged', async (t) => {
    const harness = await startHarness(t, 1, { queue: { maxOutcomes: 0 } });
    const { executor, clock } = harness;
    const { store } = harness.gateways[0] ?? assert.fail();
    const gate = createDeferred<DdlResult>();
    executor.answer = ({ table }) => (table === 'bad' ? gate.promise : INVALID);
    const other = await submit(harness, 'other');
    await clock.advance(1_500);
    const bad = await submit(harness, 'bad');
    store.holdWatches();
    gate.resolve(INVALID);
    await clock.advance(1_000);
    store.releaseWatches();
    // Both lie on the lease of the first, which ends 2.5 s after the second was written.
    await clock.advance(1_700);
    assert.equal(await count(harness, 'out'), 0);
    assert.deepEqual([(await outcomeOf(other))?.kind, (await outcomeOf(bad))?.kind], ['error', 'error']);
    await submit(harness, 'bad');
    await clock.advance(1_000);
    assert.equal(executor.sentFor('bad'), 1);
  });
});

describe('an attempt', () => {
  it('is repeated when the failure is temporary, with growing waits, then becomes a temporary result', async (t) => {
    const harness = await startHarness(t, 1);
    harness.executor.answer = () => TRANSIENT;
    const submission = await submit(harness, 'busy');
    assert.equal(harness.executor.sent.length, 1);
    await harness.clock.advance(650);
    assert.equal(harness.executor.sent.length, 2);
    await harness.clock.advance(1_250);
    const outcome = await outcomeOf(submission);
    assert.deepEqual(
      outcome?.kind === 'error' && [outcome.class, outcome.attempts, harness.executor.sent.length],
      ['transient', 3, 3],
    );
  });

  it('that succeeds at last is a success', async (t) => {
    const harness = await startHarness(t, 1);
    harness.executor.answer = () => (harness.executor.sent.length < 3 ? TRANSIENT : undefined);
    const submission = await submit(harness, 'busy');
    await harness.clock.advance(5_000);
    assert.deepEqual(await outcomeOf(submission), { kind: 'ok' });
  });

  it('adds what is missing and reports what is there with another type', async (t) => {
    const harness = await startHarness(t, 1);
    harness.executor.tables.set(tableKey({ database: 'db', table: 'cpu' }), [column('a', 'string')]);
    const outcome = await failed(harness, 'cpu', { columns: [column('a'), column('b')] });
    assert.deepEqual([outcome.class, outcome.code], ['permanent', 'TYPE_CONFLICT']);
    assert.deepEqual(
      harness.executor.sent.map(({ kind, columns }) => [kind, columns]),
      [['widen', [column('b')]]],
    );
  });

  it('widens a table that IF NOT EXISTS has hidden behind another schema', async (t) => {
    const harness = await startHarness(t, 1);
    harness.executor.answer = ({ kind }) => {
      if (kind !== 'create') return undefined;
      harness.executor.tables.set(tableKey({ database: 'db', table: 'cpu' }), [column('a')]);
      return { kind: 'done' };
    };
    const submission = await submit(harness, 'cpu', { columns: [column('a'), column('b')] });
    assert.deepEqual(await outcomeOf(submission), { kind: 'ok' });
    assert.deepEqual(
      harness.executor.sent.map(({ kind }) => kind),
      ['create', 'widen'],
    );
  });

  it('without a clear answer reads the schema, and never sends again', async (t) => {
    const harness = await startHarness(t, 1);
    harness.executor.answer = (_, apply) => {
      void harness.clock.sleep(60_000).then(apply);
      return { kind: 'ambiguous', code: 'LOST', message: 'connection lost' };
    };
    const submission = await submit(harness, 'cpu');
    await harness.clock.advance(59_000);
    assert.equal(harness.gateways[0]?.queue.stats().openTasks, 1);
    await harness.clock.advance(20_000);
    assert.deepEqual(await outcomeOf(submission), { kind: 'ok' });
    assert.equal(harness.executor.sent.length, 1);
  });

  it('at a database without a clear answer looks for it among the databases', async (t) => {
    const harness = await startHarness(t, 1);
    harness.executor.answer = (_, apply) => {
      void harness.clock.sleep(5_000).then(apply);
      return { kind: 'ambiguous', code: 'LOST', message: 'connection lost' };
    };
    const submission = await submitTo(harness, harness.gateways[0], undefined, { database: 'fresh' });
    await harness.clock.advance(20_000);
    assert.deepEqual(await outcomeOf(submission), { kind: 'ok' });
    assert.equal(harness.executor.sent.length, 1);
  });

  it('without an answer at all counts as running until its time is over, but leaves one place to others', async (t) => {
    const harness = await startHarness(t, 1, {
      queue: { concurrency: 2, ddlTimeoutMs: 1_000, ambiguousHoldMs: 60_000, maxAttempts: 1 },
    });
    const { executor, clock } = harness;
    const sent = (): string => executor.sent.map(({ table }) => table).join();
    const gate = createDeferred<void>();
    executor.answer = async ({ table }, apply) => {
      if (table?.startsWith('stuck') === true) return await new Promise(() => undefined);
      if (table === 'first') await gate.promise;
      apply();
      return { kind: 'done' };
    };
    const stuck = await submit(harness, 'stuck1');
    await clock.advance(2_000);
    for (const table of ['stuck2', 'first', 'second']) await submit(harness, table);
    assert.equal(sent(), 'stuck1,stuck2');
    await clock.advance(2_000);
    assert.equal(sent(), 'stuck1,stuck2,first');
    gate.resolve();
    await clock.settle();
    assert.equal(sent(), 'stuck1,stuck2,first,second');
    await clock.advance(80_000);
    const outcome = await outcomeOf(stuck);
    assert.deepEqual(outcome?.kind === 'error' && [outcome.class, outcome.code], ['transient', 'AMBIGUOUS']);
    assert.equal(executor.sentFor('stuck1'), 1);
    harness.invariants.assertQuiescent();
  });

  it('takes the late answer of a statement that did not react to its timeout', async (t) => {
    const harness = await startHarness(t, 1, { queue: { ddlTimeoutMs: 1_000 } });
    harness.executor.answer = async () => {
      await harness.clock.sleep(10_000);
      return INVALID;
    };
    const submission = await submit(harness, 'slow');
    await harness.clock.advance(30_000);
    const outcome = await outcomeOf(submission);
    assert.ok(outcome?.kind === 'error' && outcome.class === 'permanent');
    assert.equal(harness.executor.sent.length, 1);
  });

  it('that can not even read the schema is temporary', async (t) => {
    const harness = await startHarness(t, 1);
    harness.executor.onDescribe = () => Promise.reject(new Error('no connection'));
    const outcome = await failed(harness, 'cpu');
    assert.deepEqual(
      [outcome.class, outcome.message, harness.executor.sent.length],
      ['transient', 'no connection', 0],
    );
  });
});

describe('breakers', () => {
  it('stop a tenant after a denial: one statement, one key, no result per table', async (t) => {
    const harness = await startHarness(t, 2, { queue: { concurrency: 1 } });
    harness.executor.answer = ({ database }) => (database === 'locked' ? DENIED : undefined);
    for (let index = 0; index < 20; index++) {
      void harness.gateways[0]?.queue.submit(wanted(`t${index}`, { database: 'locked' }), NEVER);
    }
    await harness.clock.settle();
    assert.equal(harness.executor.sent.length, 1);
    assert.equal(reasonOf(await submit(harness, 'more', { database: 'locked' }, 1)), 'breaker');
    const stats = harness.gateways[1]?.queue.stats();
    assert.deepEqual([stats?.openTasks, stats?.outcomes], [0, 0]);
    const event = harness.gateways[1]?.events[0];
    assert.ok(event?.kind === 'breaker' && event.tenant === 'locked' && event.code === '42501');
    assert.ok(event.untilMs > harness.clock.now());
    assert.deepEqual(await outcomeOf(await submit(harness, 'free')), { kind: 'ok' });
    harness.invariants.assertHeld();
  });

  it('let one probe through when they end, and open again when it is denied', async (t) => {
    const harness = await startHarness(t, 1);
    harness.executor.answer = () => DENIED;
    for (let second = 0; second < 100; second++) {
      for (let index = 0; index < 10; index++)
        void harness.gateways[0]?.queue.submit(wanted(`t${index}`), NEVER);
      await harness.clock.advance(1_000);
    }
    // 15 s ± 20 % each, the first round of four at once.
    assert.ok(
      harness.executor.sent.length >= 8 && harness.executor.sent.length <= 13,
      String(harness.executor.sent.length),
    );
    harness.executor.answer = undefined;
    await harness.clock.advance(20_000);
    assert.deepEqual(await outcomeOf(await submit(harness, 't0')), { kind: 'ok' });
    harness.invariants.assertHeld();
  });

  it('of three tenants become one of all', async (t) => {
    const harness = await startHarness(t, 1);
    harness.executor.answer = () => DENIED;
    for (const database of ['a', 'b', 'c']) await submit(harness, 'x', { database });
    assert.equal(reasonOf(await submit(harness, 'x', { database: 'd' })), 'breaker');
    assert.equal(harness.executor.sent.length, 3);
    const last = harness.gateways[0]?.events.at(-1);
    assert.ok(last?.kind === 'breaker' && last.tenant === undefined);
    assert.equal(await harness.gateways[0]?.queue.forget({ kind: 'all' }, NEVER), 3);
    await harness.clock.settle();
    harness.executor.answer = undefined;
    assert.deepEqual(await outcomeOf(await submit(harness, 'x', { database: 'd' })), { kind: 'ok' });
  });

  it('stop a tenant whose tables all meet the same temporary failure, not one with a single bad table', async (t) => {
    const harness = await startHarness(t, 1, { queue: { breakerAfterTables: 3, maxAttempts: 1 } });
    harness.executor.answer = () => TRANSIENT;
    for (let round = 0; round < 5; round++) {
      const { ttlMs } = await failed(harness, 'single');
      await harness.clock.advance(ttlMs);
    }
    for (const table of ['one', 'two']) await submit(harness, table);
    assert.equal(reasonOf(await submit(harness, 'three')), 'breaker');
    harness.invariants.assertHeld();
  });
});
