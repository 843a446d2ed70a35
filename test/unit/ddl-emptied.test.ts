/** What a gateway makes of a store whose revisions mean something else than before. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeValue } from '../../src/ddl/codec.ts';
import { Election } from '../../src/ddl/election.ts';
import { createFaultStore } from '../../src/ddl/fault-store.ts';
import { createDdlKeys } from '../../src/ddl/keys.ts';
import { createMemoryStore } from '../../src/ddl/memory-store.ts';
import { createReflector } from '../../src/ddl/reflector.ts';
import type { Store } from '../../src/ddl/store.ts';
import { DdlView } from '../../src/ddl/view.ts';
import { countingMetrics, NEVER, SILENT } from '../helpers/ddl-harness.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { seededRandom } from '../helpers/seeded-random.ts';

describe('an etcd that was emptied and has reached the same revisions with other values', () => {
  const keys = createDdlKeys('/p');

  it('is told as a change by the reflector', async () => {
    const clock = new FakeClock();
    const [first, second] = [createMemoryStore({ clock }), createMemoryStore({ clock })];
    const put = (store: Store, value: string) =>
      store.txn({ compare: [], success: [{ op: 'put', key: keys.lead, value }] }, NEVER);
    await put(first, 'first');
    await put(second, 'second');
    let current = createFaultStore({ store: first, clock });
    const link: Pick<Store, 'range' | 'watch'> = {
      range: (...args) => current.range(...args),
      watch: (...args) => current.watch(...args),
    };
    const values: unknown[] = [];
    const reflector = createReflector(
      keys.prefix,
      {
        changed: (changes) => void values.push(...changes.map(({ after }) => after?.value)),
        liveChanged: () => undefined,
      },
      {
        store: link as Store,
        clock,
        logger: SILENT,
        metrics: countingMetrics(new Map()),
        random: seededRandom(1),
      },
    );
    reflector.start();
    await clock.settle();
    const old = current;
    current = createFaultStore({ store: second, clock });
    old.breakWatches('reset');
    await clock.advance(1_000);
    assert.deepEqual(values, ['first', 'second']);
    await reflector.close();
    await Promise.all([first.close(), second.close()]);
  });

  it('ends the term of the leader that was, although another leads with the same fence', async () => {
    const clock = new FakeClock();
    const store = createMemoryStore({ clock });
    const view = new DdlView(keys, clock, SILENT);
    const position = { rev: 1, live: true };
    const happened: string[] = [];
    const election = new Election(
      {
        store,
        keys,
        view,
        clock,
        position: () => position,
        logger: SILENT,
        random: seededRandom(1),
        leaseTtlMs: 10_000,
        gatewayId: 'a',
        nextNonce: () => 'a-1',
      },
      {
        began: (fence) => void happened.push(`began ${fence}`),
        renewed: () => undefined,
        ended: () => void happened.push('ended'),
      },
    );
    election.start();
    await clock.settle();
    const [lead] = (await store.range({ key: keys.lead }, NEVER)).kvs;
    assert.ok(lead !== undefined);
    position.rev = lead.create;
    view.lead = lead;
    election.viewChanged();
    await clock.settle();
    assert.deepEqual(happened, ['began 2']);
    view.lead = { ...lead, value: encodeValue({ v: 1, nonce: 'b-1', gateway: 'b' }) };
    election.viewChanged();
    await clock.settle();
    assert.deepEqual(happened, ['began 2', 'ended']);
    await election.close();
    await store.close();
  });
});
