/**
 * Who takes how much of the spool: bytes per tenant and the age of the oldest parked row, from a count of all lanes.
 * Lanes change behind parking's back (the log moves rows to them, the replay empties them), so the count is repeated
 * while somebody asks, at most once a second and more rarely when there are very many lanes; what is parked meanwhile
 * is added to it. There are never more tenants than lanes.
 */
import type { Clock } from '../model/clock.ts';
import { LOG_LANE, type SpoolDisk } from '../model/spool.ts';

const RECOUNT_MS = 1_000;
/** A count looks at so many lanes per millisecond that it is put off: 10,000 lanes a second cost next to nothing. */
const LANES_PER_MS = 10;

/** What a count found. */
export interface CensusStats {
  /** Tables with parked rows, their rows and the bytes of them. */
  readonly lanes: number;
  readonly rows: number;
  readonly bytes: number;
  /** Unix milliseconds of the oldest parked row; undefined when there is none. */
  readonly oldestAtMs: number | undefined;
  /** Bytes of the tenant that has most. */
  readonly mostTenantBytes: number;
}

/** See the module comment. */
export interface Census {
  /** Bytes of the tenant's lanes; what left them within the last second may be among them. */
  tenantBytes(tenant: string): number;
  /** Counts what was just given to the disk. */
  add(tenant: string, bytes: number): void;
  stats(): CensusStats;
}

/** Makes a census that counts when it is asked for the first time. */
export function createCensus(disk: Pick<SpoolDisk, 'lanes'>, clock: Pick<Clock, 'now'>): Census {
  let tenants = new Map<string, number>();
  let stats: CensusStats = { lanes: 0, rows: 0, bytes: 0, oldestAtMs: undefined, mostTenantBytes: 0 };
  let dueMs = Number.NEGATIVE_INFINITY;

  function count(): void {
    const now = clock.now();
    if (now < dueMs) return;
    const byTenant = new Map<string, number>();
    const found = { lanes: 0, rows: 0, bytes: 0, oldestAtMs: Number.POSITIVE_INFINITY, mostTenantBytes: 0 };
    for (const { id, name, rows, bytes, oldestAtMs } of disk.lanes()) {
      if (id === LOG_LANE || name === undefined) continue;
      found.lanes++;
      found.rows += rows;
      found.bytes += bytes;
      if (oldestAtMs !== undefined && oldestAtMs < found.oldestAtMs) found.oldestAtMs = oldestAtMs;
      const all = (byTenant.get(name.tenant) ?? 0) + bytes;
      byTenant.set(name.tenant, all);
      if (all > found.mostTenantBytes) found.mostTenantBytes = all;
    }
    tenants = byTenant;
    stats = { ...found, oldestAtMs: Number.isFinite(found.oldestAtMs) ? found.oldestAtMs : undefined };
    dueMs = now + Math.max(RECOUNT_MS, found.lanes / LANES_PER_MS);
  }

  return {
    tenantBytes(tenant) {
      count();
      return tenants.get(tenant) ?? 0;
    },
    add(tenant, bytes) {
      tenants.set(tenant, (tenants.get(tenant) ?? 0) + bytes);
    },
    stats() {
      count();
      return stats;
    },
  };
}
