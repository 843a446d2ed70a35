/** Turns the configuration into the options that the parts define for themselves. No behaviour, no defaults. */
import { hostname, totalmem } from 'node:os';
import type { Config } from './config.ts';
import { readEtcdFiles } from './ddl/etcd-files.ts';
import type { EtcdStoreOptions } from './ddl/etcd-options.ts';
import type { DdlQueueOptions } from './ddl/options.ts';
import type { GuardOptions } from './guard/options.ts';
import type { PointLimits } from './protocol/limits.ts';
import type { OpenTsdbParserOptions } from './protocol/opentsdb-json.ts';
import type { DuckDbOptions } from './sink/duckdb/open.ts';
import { defaultColumn } from './sink/greptimedb/names.ts';
import type { GreptimeDbOptions } from './sink/greptimedb/open.ts';
import type { PostgresOptions } from './sink/postgres/open.ts';
import type { DeadLetterOptions } from './spool/dead-letter.ts';
import type { SpoolDiskOptions } from './spool/disk.ts';
import type { LaneDrainerOptions } from './spool/lane-types.ts';
import type { ParkingOptions } from './spool/parking.ts';
import type { WriteLogOptions } from './spool/write-log-types.ts';

const MIB = 1024 ** 2;
/** How often the leader compacts an etcd that is ours. */
const COMPACT_MS = 60_000;
/** Less than what each part has to close, or the log would be cut off. */
const CLOSE_SPOOL_MS = 4_000;
/** Tables of which parked rows are written at a time. */
const REPLAY_CONCURRENCY = 4;

/** Limits of the parsers. */
export function pointLimits({ limits }: Config): PointLimits {
  return limits;
}

/** OpenTSDB's own rules, and the limits. */
export function openTsdbOptions(config: Config): OpenTsdbParserOptions {
  const { maxTags, requireTags, extraNameChars } = config.opentsdb;
  const valueColumn =
    config.sink.kind === 'greptimedb'
      ? defaultColumn(config.greptimedb.columnPrefix, 'value')
      : config.opentsdb.valueColumn;
  return { maxTags, requireTags, extraNameChars, valueColumn, limits: pointLimits(config) };
}

/** The embedded database. */
export function duckDbOptions({ duckdb, sql }: Config): DuckDbOptions {
  return {
    path: duckdb.path,
    timeColumn: duckdb.timeColumn,
    memoryLimitBytes: duckdb.memoryBytes === 0 ? Math.floor(totalmem() / 4) : duckdb.memoryBytes,
    threads: duckdb.threads,
    checkpointBytes: 64 * MIB,
    sql: { maxRunning: sql.maxConcurrent, maxWaiting: 2 * sql.maxConcurrent, maxAnswerBytes: 32 * MIB },
  };
}

/** PostgreSQL. */
export function postgresOptions({ postgres }: Config): PostgresOptions {
  const { chunkMs, retentionMs, ...connect } = postgres;
  return { ...connect, hypertables: { chunkMs, retentionMs } };
}

/** GreptimeDB. */
export function greptimeDbOptions({ greptimedb }: Config): GreptimeDbOptions {
  return greptimedb;
}

/** Which of log and database acknowledges a write. */
export function ackOf({ flush, spool, sink, duckdb }: Config): 'log' | 'database' {
  if (flush.ack !== 'auto') return flush.ack;
  return spool.enabled && sink.kind === 'duckdb' && duckdb.path !== ':memory:' ? 'log' : 'database';
}

/** The spool's disk. */
export function spoolDiskOptions({ flush, spool }: Config): SpoolDiskOptions {
  return { path: spool.path, minFreeBytes: spool.minFreeBytes, maxPendingBytes: flush.maxPendingBytes };
}

/** The write log. */
export function writeLogOptions({ flush, spool }: Config): WriteLogOptions {
  return {
    maxBytes: spool.maxBytes,
    // What the flush queue takes at a time has to fit.
    maxHeldBytes: flush.maxPendingBytes / 2,
    readBytes: 4 * MIB,
    lingerMs: flush.maxDelayMs / 4,
    closeMs: CLOSE_SPOOL_MS,
  };
}

/** What may be parked. */
export function parkingOptions({ spool }: Config): ParkingOptions {
  return {
    enabled: spool.park,
    maxBytes: spool.maxBytes,
    maxTenantBytes: spool.maxBytesPerTenant,
    maxTableBytes: spool.maxBytesPerTable,
    maxTables: spool.maxTables,
    maxAgeMs: spool.maxAgeMs,
    whenFull: spool.whenFull,
  };
}

/** The replay of parked rows. */
export function laneOptions({ spool }: Config): LaneDrainerOptions {
  return {
    replayConcurrency: REPLAY_CONCURRENCY,
    drainBytesPerSec: spool.drainBytesPerSec,
    windowBytes: MIB / 4,
    expireAfterMs: spool.whenFull === 'dead-letter' ? spool.maxAgeMs : 0,
    closeMs: CLOSE_SPOOL_MS,
  };
}

/** The dead letter. */
export function deadLetterOptions({ deadLetter }: Config): DeadLetterOptions {
  const { path, maxBytes, fileBytes, whenFull } = deadLetter;
  return { path, maxBytes, whenFull, fileBytes: Math.min(fileBytes, maxBytes) };
}

/** The store of the DDL queue in etcd. @throws {GatewayError} config_invalid when a file can't be used. */
export function etcdStoreOptions({ etcd }: Config): EtcdStoreOptions {
  return {
    endpoints: etcd.endpoints,
    prefix: etcd.prefix,
    username: etcd.username === '' ? undefined : etcd.username,
    password: etcd.password,
    tls: readEtcdFiles(etcd),
    requestTimeoutMs: etcd.requestTimeoutMs,
    quotaBytes: etcd.quotaBytes,
  };
}

/** The DDL queue; below the prefix, a database that gateways don't share has keys of its own. */
export function ddlOptions(
  { ddl, etcd, gateway, sink }: Config,
  privateId: string | undefined,
): DdlQueueOptions {
  return {
    prefix: privateId === undefined ? etcd.prefix : `${etcd.prefix}/${privateId}`,
    gatewayId: gateway.id === '' ? `${hostname()}-${process.pid}` : gateway.id,
    compactIntervalMs: ddl.store === 'etcd' && etcd.compact ? COMPACT_MS : 0,
    maxOpenTasks: ddl.maxOpenTasks,
    maxOpenTasksPerTenant: ddl.maxOpenTasksPerTenant,
    concurrency: ddl.concurrency || (sink.kind === 'greptimedb' ? 8 : 4),
    ratePerSec: ddl.ratePerSec,
    ddlTimeoutMs: ddl.timeoutMs,
    maxAttempts: ddl.maxAttempts,
    transientMinMs: ddl.transientMinMs,
    transientMaxMs: ddl.transientMaxMs,
    permanentMinMs: ddl.permanentMinMs,
    permanentMaxMs: ddl.permanentMaxMs,
    breakerTtlMs: ddl.breakerMs,
    leaseTtlMs: ddl.leaseMs,
  };
}

/** The guard. In the configuration a budget of 0 means no limit. */
export function guardOptions({ guard, policy, ddl }: Config): GuardOptions {
  const budget = (limit: number): number => (limit === 0 ? Number.MAX_SAFE_INTEGER : limit);
  return {
    policy: {
      autoCreate: policy.autoCreate,
      allowTables: policy.allow,
      allowDatabases: policy.allowDatabases,
      denyTables: policy.deny,
      denyDatabases: policy.denyDatabases,
      reservedColumns: [],
    },
    budget: {
      maxDatabases: budget(policy.maxDatabases),
      maxTablesPerDatabase: budget(policy.maxTablesPerDatabase),
      maxColumnsPerTable: budget(policy.maxColumnsPerTable),
      recountMs: 60_000,
    },
    throttle: {
      perSec: guard.createsPerSec,
      burst: guard.createBurst,
      tenantPerSec: guard.createsPerSecPerTenant,
      tenantBurst: guard.createBurst,
      maxOpen: ddl.maxOpenTasks,
      maxOpenPerTenant: ddl.maxOpenTasksPerTenant,
    },
    describer: { maxNames: 256, maxPending: 4_096, timeoutMs: 5_000, minDownMs: 500, maxDownMs: 10_000 },
    registry: {
      maxTables: guard.registryMaxTables,
      maxBytes: guard.registryMaxBytes,
      softTtlMs: guard.registryTtlMs,
      trustMs: 5_000,
    },
    negative: { maxEntries: guard.negativeMaxEntries, maxBytes: guard.negativeMaxBytes },
    decisions: { maxEntries: 20_000, maxBytes: 16 * MIB },
    waitMs: guard.waitMs,
    uniteMs: 10,
    taskWaitMs: 30_000,
    maxWaiting: 1_000,
    maxNewTablesPerRequest: guard.maxNewTablesPerRequest,
  };
}
