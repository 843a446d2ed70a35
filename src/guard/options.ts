/**
 * What the guard is built from: its bounds, what it depends on, what it counts. Config.ts owns the defaults; the
 * figures named here are those it uses.
 */
import type { DeferReason, RejectReason } from '../model/admission.ts';
import type { Clock } from '../model/clock.ts';
import type { DdlQueue, DdlSubmission } from '../model/ddl-queue.ts';
import type { Logger } from '../model/logger.ts';
import type { DdlExecutor, NameRules } from '../model/sink.ts';
import type { Random } from '../util/backoff.ts';
import type { Pace } from './pace.ts';

/** Which tables may be made, by configuration. Patterns have RE2 syntax and must match the whole name. */
export interface PolicyOptions {
  /**
   * `on`: tables and columns are made when asked for. `off`: only what exists is written. `observe`: as `on`, and
   * what the rules and budgets would have refused is counted instead of refused.
   */
  readonly autoCreate: 'on' | 'off' | 'observe';
  /** Names that may be created; an empty list allows every name. Tables that exist are written in any case. */
  readonly allowTables: readonly string[];
  readonly allowDatabases: readonly string[];
  /** Names that are refused, whether such a table exists or not; wins over the lists of allowed names. */
  readonly denyTables: readonly string[];
  readonly denyDatabases: readonly string[];
  /** Column names no client may use, e.g. the time column's; compared exactly. */
  readonly reservedColumns: readonly string[];
}

/** How much may be made; 0 means nothing new. */
export interface BudgetOptions {
  /** Databases in the database server, those made by others included. Default 64. */
  readonly maxDatabases: number;
  /** Default 10,000. */
  readonly maxTablesPerDatabase: number;
  /** Columns of one table, the time column left out. Default 1,000. */
  readonly maxColumnsPerTable: number;
  /** How often the tables are counted anew in the database, 1,000 or more. Default 60,000. */
  readonly recountMs: number;
}

/** How fast the queue is asked; over any of these the rows are deferred. */
export interface ThrottleOptions {
  /** Submits per second over all tenants, more than 0, and how many may come at once. Default 50, 100. */
  readonly perSec: number;
  readonly burst: number;
  /** The same for one tenant. Default 10, 50. */
  readonly tenantPerSec: number;
  readonly tenantBurst: number;
  /** Submits of this process without an outcome yet, over all and of one tenant. Default 256, 64. */
  readonly maxOpen: number;
  readonly maxOpenPerTenant: number;
}

/** How the database is asked what exists. */
export interface DescriberOptions {
  /** Names in one query, 1 or more. Default 256. */
  readonly maxNames: number;
  /** Names waiting for their turn; more are refused. Default 4,096. */
  readonly maxPending: number;
  /** A query that takes longer counts as failed. Default 5,000. */
  readonly timeoutMs: number;
  /** After a failed query the database is left alone this long, doubling up to the second. Default 500, 10,000. */
  readonly minDownMs: number;
  readonly maxDownMs: number;
}

/** Bounds of the known tables. */
export interface RegistryOptions {
  /** Default 100,000 tables, 128 MiB. */
  readonly maxTables: number;
  readonly maxBytes: number;
  /** Age at which a table in use is looked up again behind the traffic. Default 300,000. */
  readonly softTtlMs: number;
  /**
   * How long "does not exist" is believed, and how old an entry may be for a refusal to rest on it; more than 0.
   * Default 5,000.
   */
  readonly trustMs: number;
}

/** Bounds of a cache of refusals. */
export interface CacheBounds {
  readonly maxEntries: number;
  readonly maxBytes: number;
}

/** All options of the guard. */
export interface GuardOptions {
  readonly policy: PolicyOptions;
  readonly budget: BudgetOptions;
  readonly throttle: ThrottleOptions;
  readonly describer: DescriberOptions;
  readonly registry: RegistryOptions;
  /** Tables with a negative result. Default 100,000 and 64 MiB. */
  readonly negative: CacheBounds;
  /** Names that the policy has judged. Default 20,000 and 16 MiB. */
  readonly decisions: CacheBounds;
  /** Longest time `admit` takes unless its caller says otherwise; 0 answers at once. Default 1,000. */
  readonly waitMs: number;
  /** How long wants of other requests for one table are gathered before the submit. Default 10. */
  readonly uniteMs: number;
  /** How long an outcome is awaited before the task is asked for again (and joined). Default 30,000. */
  readonly taskWaitMs: number;
  /** Requests that may wait in `admit` at a time; others are deferred at once. Default 1,000. */
  readonly maxWaiting: number;
  /** New tables one request may ask for. Default 100. */
  readonly maxNewTablesPerRequest: number;
}

/** What the guard counts; reasons are closed sets. */
export interface GuardMetrics {
  /** A group, or a part of it, was refused for good. */
  rejected(reason: RejectReason): void;
  /** A group, or a part of it, was held back. */
  deferred(reason: DeferReason): void;
  /** Observe mode let pass what would have been refused. */
  wouldRefuse(reason: RejectReason): void;
  /** An answer of the queue to a submit. */
  submission(kind: DdlSubmission['kind']): void;
  /** Whether the slow path found the table in a cache. */
  lookup(cache: 'registry' | 'negative', hit: boolean): void;
  /** One query for the schemas of so many names. */
  described(names: number, ok: boolean): void;
}

/** Sizes for gauges. */
export interface GuardStats {
  readonly tables: number;
  readonly tableBytes: number;
  readonly absent: number;
  readonly negatives: number;
  readonly negativeBytes: number;
  readonly decisions: number;
  /** Databases at the last count, and tables of the one that has most. */
  readonly databases: number;
  readonly mostTables: number;
  /** Submits without an outcome, names waiting to be described, requests waiting in `admit`. */
  readonly creating: number;
  readonly describing: number;
  readonly waiting: number;
}

/** What the guard works with. */
export interface GuardDeps {
  readonly queue: DdlQueue;
  readonly ddl: Pick<DdlExecutor, 'describe' | 'inventory'>;
  readonly names: NameRules;
  readonly clock: Clock;
  readonly metrics: GuardMetrics;
  readonly logger: Logger;
  /** False while the control plane is over its mark: nothing new is asked for. */
  readonly controlPlaneOk: () => boolean;
  /** True while an operator has stopped all creates. */
  readonly paused: () => boolean;
  /** In [0, 1); spreads retries. */
  readonly random: Random;
  /** Paces the queries for what exists; the guard stops it when it closes. */
  readonly pace: Pace;
}
