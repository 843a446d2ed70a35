/**
 * What every store must do, as tests over a factory: the semantics of etcd that the DDL queue is built on. The same
 * tests, byte for byte, run over the memory store, the fault wrapper without faults, and the etcd store.
 */
import { describe } from 'node:test';
import type { StoreFactory } from '../helpers/store-fixture.ts';
import { keySuite, rangeSuite } from './store-suite-keys.ts';
import { limitSuite } from './store-suite-limits.ts';
import { leaseSuite, watchSuite } from './store-suite-time.ts';

/** Registers the suite. */
export function storeSuite(name: string, open: StoreFactory): void {
  describe(`${name}: keys and revisions`, () => keySuite(open));
  describe(`${name}: ranges and history`, () => rangeSuite(open));
  describe(`${name}: leases`, () => leaseSuite(open));
  describe(`${name}: watches`, () => watchSuite(open));
  describe(`${name}: limits and refusals`, () => limitSuite(open));
}
