import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chancePlan } from '../../src/ddl/fault-store.ts';
import { NEVER, startHarness, wanted } from '../helpers/ddl-harness.ts';
import { seededRandom } from '../helpers/seeded-random.ts';

describe('many gateways under chance', () => {
  for (let seed = 1; seed <= 20; seed++) {
    it(`keep every invariant, and all tasks end (seed ${seed})`, async (t) => {
      const options = {
        maxOpenTasks: 6,
        maxOpenTasksPerTenant: 4,
        ddlTimeoutMs: 2_000,
        ambiguousHoldMs: 5_000,
      };
      const harness = await startHarness(t, 3, { seed, queue: options });
      const random = seededRandom(seed);
      const rates = { fail: 0.05, drop: 0.05, late: 0.03, delay: 0.2, maxDelayMs: 3_000 };
      for (const { store } of harness.gateways) store.plan = chancePlan(random, rates);
      harness.executor.answer = (_, apply) => {
        const dice = random();
        if (dice < 0.6) return undefined;
        if (dice < 0.7) apply();
        if (dice < 0.8) return { kind: 'ambiguous', code: 'LOST', message: 'lost' };
        return { kind: dice < 0.9 ? 'transient' : 'invalid', code: 'X', message: 'no' };
      };
      for (let step = 0; step < 150; step++) {
        const gateway = harness.gateways[Math.floor(random() * 3)];
        const table = `t${Math.floor(random() * 12)}`;
        void gateway?.queue.submit(wanted(table, { tenant: `tenant${table.length}` }), NEVER);
        if (random() < 0.05) gateway?.store.breakWatches(random() < 0.5 ? 'lost' : 'compacted');
        await harness.clock.advance(random() * 1_000);
      }
      for (const { store } of harness.gateways) store.plan = undefined;
      await harness.clock.advance(120_000);
      harness.invariants.assertQuiescent();
      assert.ok(harness.invariants.queued.size > 10);
      assert.deepEqual(new Set(harness.gateways.map(({ queue }) => queue.stats().live)), new Set([true]));
    });
  }
});
