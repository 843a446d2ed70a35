/** The options of the DDL queue, with units, ranges and defaults; the configuration table is made from it. */

/** All optional; what is undefined has its default. */
export interface DdlQueueOptions {
  /** First part of every key, without a slash at the end; gateways with the same prefix are one cluster. Default `/sluice`. */
  readonly prefix?: string | undefined;
  /** Names this gateway to people; default `gateway`. */
  readonly gatewayId?: string | undefined;
  /** Most open tasks in the cluster, 1 to 10_000; default 256. All gateways of a cluster should agree. */
  readonly maxOpenTasks?: number | undefined;
  /** Most open tasks of one tenant, 1 to 10_000; default 64. */
  readonly maxOpenTasksPerTenant?: number | undefined;
  /** Statements that run at the same time, 1 to 64; default 4. */
  readonly concurrency?: number | undefined;
  /** Tasks begun per second, 0.01 to 100, 0: no limit; default 50. */
  readonly ratePerSec?: number | undefined;
  /** After it a statement counts as ambiguous; default 30_000. */
  readonly ddlTimeoutMs?: number | undefined;
  /** How long an ambiguous statement counts as still running while nothing is seen of it; default 420_000. */
  readonly ambiguousHoldMs?: number | undefined;
  /** Attempts per task before a transient failure becomes a negative result, 1 or more; default 3. */
  readonly maxAttempts?: number | undefined;
  /** Wait before the second attempt, doubled for each after it; default 500. */
  readonly retryBaseMs?: number | undefined;
  /** Longest wait between attempts; default 10_000. */
  readonly retryMaxMs?: number | undefined;
  /** Lease of the leader, 2_000 or more; another takes over about this long after its death. Default 10_000. */
  readonly leaseTtlMs?: number | undefined;
  /** A task that this leader has had for longer, and that does not run, ends as transient; default 900_000. */
  readonly taskMaxAgeMs?: number | undefined;
  /** First and longest back-off after a transient failure; default 1_000 and 30_000. */
  readonly transientMinMs?: number | undefined;
  readonly transientMaxMs?: number | undefined;
  /** First and longest back-off after a permanent failure; default 30_000 and 300_000. */
  readonly permanentMinMs?: number | undefined;
  readonly permanentMaxMs?: number | undefined;
  /** How long a breaker stops creates before one probe; default 15_000. */
  readonly breakerTtlMs?: number | undefined;
  /** Tables of a tenant that end as transient with one code, none made in between, before its breaker opens; default 8. */
  readonly breakerAfterTables?: number | undefined;
  /** More negative results than this are published for 2 s only (the leader remembers them longer); default 4_096. */
  readonly maxOutcomes?: number | undefined;
  /** Period of the leader's cleaning; default 30_000. */
  readonly janitorIntervalMs?: number | undefined;
  /** Period of looking at the store's size and alarms; default 5_000. */
  readonly spaceCheckMs?: number | undefined;
  /** Share of the store's quota above which nothing is queued, 0 to 1; default 0.7. */
  readonly spaceHighRatio?: number | undefined;
  /** Compact the store's history this often, keeping 5 min; 0: never (it is somebody else's etcd). Default 0. */
  readonly compactIntervalMs?: number | undefined;
}

/** Options with the defaults filled in. */
export type DdlSettings = { readonly [K in keyof DdlQueueOptions]-?: NonNullable<DdlQueueOptions[K]> };

const DEFAULTS: DdlSettings = {
  prefix: '/sluice',
  gatewayId: 'gateway',
  maxOpenTasks: 256,
  maxOpenTasksPerTenant: 64,
  concurrency: 4,
  ratePerSec: 50,
  ddlTimeoutMs: 30_000,
  ambiguousHoldMs: 420_000,
  maxAttempts: 3,
  retryBaseMs: 500,
  retryMaxMs: 10_000,
  leaseTtlMs: 10_000,
  taskMaxAgeMs: 900_000,
  transientMinMs: 1_000,
  transientMaxMs: 30_000,
  permanentMinMs: 30_000,
  permanentMaxMs: 300_000,
  breakerTtlMs: 15_000,
  breakerAfterTables: 8,
  maxOutcomes: 4_096,
  janitorIntervalMs: 30_000,
  spaceCheckMs: 5_000,
  spaceHighRatio: 0.7,
  compactIntervalMs: 0,
};

/** Fills in the defaults. Ranges are the configuration's business. */
export function resolveDdlOptions(options: DdlQueueOptions): DdlSettings {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { ...DEFAULTS, ...(Object.fromEntries(given) as DdlQueueOptions as Partial<DdlSettings>) };
}
