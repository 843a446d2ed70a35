/**
 * Who asked most for what was refused: names of tables, clients and tenants, since the gateway started, in bounded
 * memory (see top-counter.ts). Ingest tells of refusals only, so nothing here costs anything while all is well.
 */
import { createHash } from 'node:crypto';
import type { RefusedCreates } from '../model/ingest.ts';
import { tableKey } from '../model/table.ts';
import { createTopCounter, type TopCount, type TopCounter } from '../util/top-counter.ts';

/** What refusals are counted by. */
export type OffenderKind = 'table' | 'client' | 'tenant';

/** See the module comment. */
export interface Offenders extends RefusedCreates {
  /** Most first; tables by their `tableKey`. */
  top(by: OffenderKind, limit: number): readonly TopCount[];
  /** Keys counted, and how often one made room for another, over all kinds. */
  stats(): { readonly size: number; readonly replaced: number };
}

/** Keys of each kind. */
const MAX_KEYS = 1_000;
/** Clients choose names, so a longer one is counted by its beginning and its SHA-256. */
const MAX_KEY = 256;

/** Makes it without counts. */
export function createOffenders(): Offenders {
  const counters: Readonly<Record<OffenderKind, TopCounter>> = {
    table: createTopCounter(MAX_KEYS),
    client: createTopCounter(MAX_KEYS),
    tenant: createTopCounter(MAX_KEYS),
  };
  return {
    note(tables, { askedBy, tenant }) {
      const client = bounded(askedBy);
      for (const { key, database, name } of tables) {
        counters.table.add(
          key.length <= MAX_KEY ? key : tableKey({ database: bounded(database), table: bounded(name) }),
        );
        counters.client.add(client);
        counters.tenant.add(bounded(tenant ?? database));
      }
    },
    top: (by, limit) => counters[by].top(limit),
    stats() {
      const all = Object.values(counters).map((counter) => counter.stats());
      const sum = (read: (stats: (typeof all)[number]) => number): number =>
        all.reduce((total, stats) => total + read(stats), 0);
      return { size: sum(({ size }) => size), replaced: sum(({ replaced }) => replaced) };
    },
  };
}

function bounded(key: string): string {
  if (key.length <= MAX_KEY) return key;
  return `${key.slice(0, MAX_KEY / 2)}…${createHash('sha256').update(key, 'utf16le').digest('hex')}`;
}
