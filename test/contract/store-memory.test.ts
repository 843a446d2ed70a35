import { createFaultStore } from '../../src/ddl/fault-store.ts';
import { createMemoryStore } from '../../src/ddl/memory-store.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import type { StoreFactory } from '../helpers/store-fixture.ts';
import { storeSuite } from './store-suite.ts';

const openMemory: StoreFactory = async (t, options) => {
  const clock = new FakeClock();
  const store = createMemoryStore({ clock }, options);
  t.after(() => store.close());
  return {
    store,
    prefix: '/test/',
    pass: (ms) => clock.advance(ms),
    disarm: async () => store.disarm(),
  };
};

storeSuite('memory store', openMemory);

storeSuite('memory store behind a fault wrapper without faults', async (t, options) => {
  const fixture = await openMemory(t, options);
  return { ...fixture, store: createFaultStore({ store: fixture.store, clock: new FakeClock() }) };
});
