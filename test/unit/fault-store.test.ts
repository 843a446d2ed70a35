import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chancePlan, createFaultStore, type Fault } from '../../src/ddl/fault-store.ts';
import { createMemoryStore } from '../../src/ddl/memory-store.ts';
import { StoreError } from '../../src/ddl/store.ts';
import { NEVER } from '../helpers/ddl-harness.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { recordWatch } from '../helpers/watch-recorder.ts';

function setUp() {
  const clock = new FakeClock();
  const inner = createMemoryStore({ clock });
  const store = createFaultStore({ store: inner, clock }, 5_000);
  const put = () => store.txn({ compare: [], success: [{ op: 'put', key: 'k', value: 'v' }] }, NEVER);
  const applied = async () => (await inner.range({ key: 'k' }, NEVER)).count === 1;
  return { clock, inner, store, put, applied };
}

const unavailable = (error: unknown): boolean => error instanceof StoreError && error.kind === 'unavailable';

describe('the fault wrapper', () => {
  const cases: readonly [Fault, { fails: boolean; atOnce: boolean; later: boolean }][] = [
    [{ kind: 'fail' }, { fails: true, atOnce: false, later: false }],
    [{ kind: 'drop' }, { fails: true, atOnce: true, later: true }],
    [
      { kind: 'late', ms: 1_000 },
      { fails: true, atOnce: false, later: true },
    ],
    [
      { kind: 'delay', ms: 1_000 },
      { fails: false, atOnce: false, later: true },
    ],
    [{ kind: 'black_hole' }, { fails: true, atOnce: false, later: false }],
  ];
  for (const [fault, { fails, atOnce, later }] of cases) {
    it(`${fault.kind}: ${fails ? 'fails' : 'succeeds'}, applied at once ${atOnce}, later ${later}`, async () => {
      const { clock, store, put, applied } = setUp();
      store.plan = () => fault;
      const result = fails ? assert.rejects(put(), unavailable) : put();
      await clock.settle();
      assert.equal(await applied(), atOnce);
      await clock.advance(6_000);
      await result;
      assert.equal(await applied(), later);
      await store.close();
      assert.equal(clock.sleeping, 0);
    });
  }

  it('breaks watches, and holds their events back without a word', async () => {
    const { clock, store, put } = setUp();
    const broken = recordWatch(store, 'k', 2);
    await clock.settle();
    store.breakWatches('lost');
    const held = recordWatch(store, 'k', 2);
    await clock.settle();
    store.holdWatches();
    await put();
    await clock.settle();
    assert.deepEqual([broken.ended, broken.batches.length, held.batches.length], [['lost'], 0, 0]);
    store.releaseWatches();
    assert.equal(held.batches.length, 1);
    await store.close();
    assert.deepEqual(held.ended, []);
  });

  it('says nothing any more once killed', async () => {
    const { clock, store, put } = setUp();
    const watch = recordWatch(store, 'k', 2);
    await clock.settle();
    store.kill();
    let settled = false;
    void put().finally(() => (settled = true));
    await clock.advance(60_000);
    assert.deepEqual([settled, watch.ended], [false, []]);
  });

  it('repeats the same faults for the same seed', () => {
    const rates = { fail: 0.1, drop: 0.1, late: 0.1, delay: 0.1, maxDelayMs: 10 };
    const draw = (seed: number): string => {
      const plan = chancePlan(seededRandom(seed), rates);
      return JSON.stringify(
        Array.from({ length: 200 }, () => plan({ method: 'range', label: undefined }) ?? null),
      );
    };
    assert.equal(draw(1), draw(1));
    assert.notEqual(draw(1), draw(2));
    for (const kind of ['fail', 'drop', 'late', 'delay']) assert.ok(draw(1).includes(kind), kind);
  });
});
