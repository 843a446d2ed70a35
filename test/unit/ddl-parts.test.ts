import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { FailureMemory } from '../../src/ddl/failure-memory.ts';
import { FairQueue } from '../../src/ddl/fair-queue.ts';
import { createDdlKeys, decodeName, encodeName } from '../../src/ddl/keys.ts';
import { createTurnLimiter } from '../../src/ddl/limiter.ts';
import { createMemoryStore } from '../../src/ddl/memory-store.ts';
import { OutcomeLeases } from '../../src/ddl/outcome-leases.ts';
import { createPulse } from '../../src/ddl/pulse.ts';
import { createDdlQueue } from '../../src/ddl/queue.ts';
import { type Change, createReflector } from '../../src/ddl/reflector.ts';
import type { KeyValue, Store } from '../../src/ddl/store.ts';
import { createSystemClock } from '../../src/util/clock.ts';
import { createDeferred } from '../../src/util/deferred.ts';
import { countingMetrics, NEVER, outcomeOf, SILENT, wanted } from '../helpers/ddl-harness.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { FakeExecutor } from '../helpers/fake-executor.ts';
import { seededRandom } from '../helpers/seeded-random.ts';

const anyName = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc
    .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 60 })
    .map((units) => String.fromCharCode(...units)),
);

describe('names in keys', () => {
  it('are ASCII without slash, short, and come back as they were unless hashed', () => {
    fc.assert(
      fc.property(anyName, (name) => {
        const encoded = encodeName(name);
        assert.match(encoded, /^[A-Za-z0-9._%~u-]*$/);
        assert.ok(encoded.length <= 200);
        if (!encoded.startsWith('~')) assert.equal(decodeName(encoded), name);
      }),
    );
  });

  it('differ where the names differ, hashed or not, and lone surrogates too', () => {
    fc.assert(
      fc.property(anyName, anyName, (a, b) => {
        assert.equal(encodeName(a) === encodeName(b), a === b);
      }),
    );
    const long = 'x'.repeat(300);
    const names = [
      '',
      '~',
      '%',
      '%u',
      'a/b',
      'a%2Fb',
      '\ud800',
      '\ud801',
      '\udc00',
      `${long}\ud800`,
      `${long}\ud801`,
    ];
    assert.equal(new Set(names.map(encodeName)).size, names.length);
  });

  it('keep databases apart from tables, and tell their kind', () => {
    const keys = createDdlKeys('/p');
    const made = [
      [keys.task('db', undefined), 'task'],
      [keys.task('db', ''), 'task'],
      [keys.task('db', 'all'), 'task'],
      [keys.out('db', 'x'), 'out'],
      [keys.breaker('all'), 'brk'],
      [keys.breakerAll, 'brk'],
      [keys.slot(3), 'slot'],
      [keys.tenantSlot('slot', 3), 'tslot'],
      [keys.lead, 'lead'],
      ['/p/v2/task/db', 'unknown'],
      ['/p/v1/leader', 'unknown'],
    ] as const;
    assert.equal(new Set(made.map(([key]) => key)).size, made.length);
    for (const [key, kind] of made) assert.equal(keys.kind(key), kind, key);
    assert.deepEqual([keys.slotIndex(keys.slot(12)), keys.slotIndex(keys.tenantSlot('a/7', 5))], [12, 5]);
  });
});

describe('the fair queue', () => {
  it('lets tenants take turns and skips those who may not', () => {
    const queue = new FairQueue<string>();
    for (const item of ['a1', 'a2', 'b1', 'a3', 'c1']) queue.push(item.slice(0, 1), item);
    const take = (blocked = ''): string | undefined => queue.take((tenant) => tenant !== blocked);
    assert.deepEqual(
      [take(), take('b'), take(), take(), take('a'), queue.size],
      ['a1', 'c1', 'b1', 'a2', undefined, 1],
    );
    assert.deepEqual([queue.remove('a', 'a3'), queue.remove('a', 'a3'), queue.size], [true, false, 0]);
  });
});

describe('the failure memory', () => {
  const limits = {
    transientMinMs: 1_000,
    transientMaxMs: 30_000,
    permanentMinMs: 30_000,
    permanentMaxMs: 300_000,
  };
  const failure = { class: 'permanent', code: 'C', message: 'm', attempts: 1, wants: 'w' } as const;

  it('begins anew after a long time, and after success', () => {
    const clock = new FakeClock();
    const memory = new FailureMemory(limits, { clock, random: () => 0.5 });
    const heldMs = (): number => memory.fail('t', failure).untilMs - clock.now();
    assert.deepEqual([heldMs(), heldMs(), heldMs()], [30_000, 60_000, 120_000]);
    memory.forget('t');
    assert.equal(heldMs(), 30_000);
    heldMs();
    void clock.advance(60_000 + 600_000);
    assert.equal(memory.blocking('t', 'w')?.inRow, 2);
  });

  it('takes over what leaders published, but not less than it knows', () => {
    const clock = new FakeClock();
    const memory = new FailureMemory(limits, { clock, random: () => 0.5 });
    memory.observe('t', [{ ...failure, inRow: 3, untilMs: clock.now() + 5_000 }]);
    assert.equal(memory.blocking('t', 'w')?.inRow, 3);
    const held = memory.fail('t', failure);
    assert.deepEqual([held.inRow, held.untilMs - clock.now()], [4, 240_000]);
    memory.observe('t', [{ ...failure, inRow: 4, untilMs: clock.now() + 2_000 }]);
    assert.equal(memory.blocking('t', 'w')?.untilMs, held.untilMs);
  });

  it('forgets targets rather than grow', () => {
    const memory = new FailureMemory(limits, { clock: new FakeClock(), random: () => 0.5 });
    for (let index = 0; index < 5_000; index++) memory.fail(`t${index}`, failure);
    const kept = Array.from({ length: 5_000 }, (_, index) => memory.holding(`t${index}`).length);
    assert.equal(
      kept.reduce((sum, count) => sum + count, 0),
      4_096,
    );
  });
});

describe('the leases of outcomes', () => {
  it('are shared by what ends at about the same time, for 2 s or 500 keys', async () => {
    const clock = new FakeClock();
    const store = createMemoryStore({ clock });
    const leases = new OutcomeLeases(store, clock);
    const many = await Promise.all(Array.from({ length: 501 }, () => leases.leaseFor(30_000, NEVER)));
    assert.equal(new Set(many).size, 2);
    const [last] = many.slice(-1);
    assert.equal(await leases.leaseFor(17_000, NEVER), last);
    assert.notEqual(await leases.leaseFor(1_000, NEVER), last);
    await clock.advance(2_000);
    assert.notEqual(await leases.leaseFor(30_000, NEVER), last);
    await store.close();
  });

  it('are granted anew after a failure', async () => {
    const clock = new FakeClock();
    let grants = 0;
    const store = {
      grant: () =>
        grants++ === 0 ? Promise.reject(new Error('away')) : Promise.resolve({ id: '7', ttlMs: 1 }),
    } as unknown as Store;
    const leases = new OutcomeLeases(store, clock);
    await assert.rejects(leases.leaseFor(1_000, NEVER), /away/);
    assert.equal(await leases.leaseFor(1_000, NEVER), '7');
  });
});

describe('the reflector', () => {
  it('reads many pages of one revision, and then follows', async () => {
    const clock = new FakeClock();
    const store = createMemoryStore({ clock });
    const put = (key: string, value: string) =>
      store.txn({ compare: [], success: [{ op: 'put', key, value }] }, NEVER);
    for (let index = 0; index < 950; index++) await put(`/p/${index}`, 'old');
    let pages = 0;
    // Something changes between two pages: the copy must not be of two revisions.
    const changing: Store = Object.assign(Object.create(store) as Store, {
      range: async (...args: Parameters<Store['range']>) => {
        const page = await store.range(...args);
        if (++pages === 2) await put('/p/999', 'new');
        return page;
      },
      watch: store.watch.bind(store),
    });
    const copy = new Map<string, KeyValue>();
    const revs: number[] = [];
    const reflector = createReflector(
      '/p/',
      {
        changed: (changes: readonly Change[], rev) => {
          revs.push(rev);
          for (const { key, after } of changes) if (after !== undefined) copy.set(key, after);
        },
        liveChanged: () => undefined,
      },
      {
        store: changing,
        clock,
        logger: SILENT,
        metrics: countingMetrics(new Map()),
        random: seededRandom(1),
      },
    );
    reflector.start();
    await clock.settle();
    assert.deepEqual([pages, copy.size, reflector.live, revs], [5, 951, true, [951, 952]]);
    await reflector.close();
    await store.close();
    assert.equal(clock.sleeping, 0);
  });
});

describe('a pulse', () => {
  it('wakes at a beat, at one that came before, or after its time', async () => {
    const clock = new FakeClock();
    const pulse = createPulse();
    pulse.beat();
    await pulse.wait(NEVER);
    const waiting = pulse.waitFor(1_000, clock, NEVER);
    await clock.advance(1_000);
    await waiting;
    const beaten = pulse.waitFor(1_000, clock, NEVER);
    pulse.beat();
    await beaten;
    assert.equal(clock.sleeping, 0);
    const aborted = new AbortController();
    const rejected = assert.rejects(pulse.waitFor(1_000, clock, aborted.signal), /over/);
    aborted.abort(new Error('over'));
    await rejected;
    assert.equal(clock.sleeping, 0);
  });
});

describe('the limiter of DDL turns', () => {
  for (const ratePerSec of [100, 0])
    it(`runs no more at a time than it may, and drops the rest when it stops (${ratePerSec}/s)`, async () => {
      const limiter = createTurnLimiter({ concurrency: 2, ratePerSec });
      const gate = createDeferred<void>();
      const twoRun = createDeferred<void>();
      let running = 0;
      const turns = Array.from({ length: 4 }, () =>
        limiter.run(async () => {
          if (++running === 2) twoRun.resolve();
          await gate.promise;
        }),
      );
      const settled = Promise.allSettled(turns);
      await twoRun.promise;
      const stopped = limiter.stop();
      gate.resolve();
      await stopped;
      const results = (await settled).map(({ status }) => status);
      assert.deepEqual(
        [results.toSorted(), running],
        [['fulfilled', 'fulfilled', 'rejected', 'rejected'], 2],
      );
    });
});

describe('the DDL queue in real time', () => {
  it('makes tables, and lets the process end', async () => {
    const clock = createSystemClock();
    const store = createMemoryStore({ clock });
    const executor = new FakeExecutor();
    const queue = createDdlQueue(
      {},
      { store, executor, clock, logger: SILENT, metrics: countingMetrics(new Map()) },
    );
    const tables = Array.from({ length: 10 }, (_, index) => `t${index}`);
    const made = createDeferred<void>();
    queue.subscribe(() => {
      if (executor.tables.size === tables.length) made.resolve();
    });
    const nextTurn = () => new Promise((resolve) => setImmediate(resolve));
    for (let turn = 0; turn < 100 && !queue.stats().live; turn++) await nextTurn();
    const submit = async (table: string): Promise<void> => {
      assert.deepEqual(await outcomeOf(await queue.submit(wanted(table), NEVER)), { kind: 'ok' });
    };
    await Promise.all(tables.map(submit));
    await made.promise;
    await queue.close();
    await store.close();
    assert.equal(executor.sent.length, tables.length);
  });
});
