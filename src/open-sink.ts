/** Opens the database that the configuration names: the one place that knows all of sink/. */
import { duckDbOptions, greptimeDbOptions, postgresOptions } from './app-options.ts';
import type { Config } from './config.ts';
import type { Metrics } from './metrics.ts';
import type { Logger } from './model/logger.ts';
import type { Sink } from './model/sink.ts';
import type { SqlReader } from './model/sql.ts';
import { openDiscard } from './sink/discard/open.ts';
import { openDuckDb } from './sink/duckdb/open.ts';
import { openGreptimeDb } from './sink/greptimedb/open.ts';
import { openPostgres } from './sink/postgres/open.ts';
import { systemRandom } from './util/backoff.ts';
import { createSystemClock } from './util/clock.ts';

/** The database behind the gateway, and its SQL where that is offered. */
export interface OpenedSink {
  readonly sink: Sink;
  readonly sql: SqlReader | undefined;
}

/** Opens a database and registers its gauges; tests give one that wraps the real one in faults. */
export type OpenSink = typeof openConfigured;

/** Tables that the discard sink keeps the schemas of. */
const MAX_DISCARD_TABLES = 1_000_000;

/** Opens it and registers its gauges. @throws {GatewayError} config_invalid when it can't be used as configured. */
export async function openConfigured(
  config: Config,
  { logger, metrics }: { logger: Logger; metrics: Metrics },
): Promise<OpenedSink> {
  if (config.sink.kind === 'discard')
    return { sink: openDiscard({ maxTables: MAX_DISCARD_TABLES }), sql: undefined };
  if (config.sink.kind === 'postgres') {
    return { sink: await openPostgresSink(config, { logger, metrics }), sql: undefined };
  }
  if (config.sink.kind === 'greptimedb') {
    return { sink: await openGreptimeDbSink(config, { logger, metrics }), sql: undefined };
  }
  const sink = await openDuckDb(duckDbOptions(config), { logger });
  metrics.gauge('sluice_duckdb_tables', 'Tables in the database.', () => sink.stats().tables);
  metrics.gauge('sluice_duckdb_series', 'Series in the database.', () => sink.stats().series);
  metrics.gauge(
    'sluice_duckdb_operations',
    'Writes and DDL waiting or running.',
    () => sink.stats().operations,
  );
  metrics.gauge('sluice_duckdb_queries', 'SQL queries running.', () => sink.stats().queries);
  return { sink, sql: config.sql.enabled ? sink.sql : undefined };
}

async function openPostgresSink(
  config: Config,
  { logger, metrics }: { logger: Logger; metrics: Metrics },
): Promise<Sink> {
  const deps = { logger, clock: createSystemClock(), random: systemRandom };
  const sink = await openPostgres(postgresOptions(config), deps);
  metrics.gauge(
    'sluice_postgres_connections',
    'Connections to the database.',
    () => sink.stats().connections,
  );
  metrics.gauge(
    'sluice_postgres_idle_connections',
    'Connections that nobody uses.',
    () => sink.stats().idleConnections,
  );
  metrics.gauge('sluice_postgres_waiting', 'Calls that wait for a connection.', () => sink.stats().waiting);
  metrics.gauge(
    'sluice_postgres_statements',
    'Statements that the writer has prepared.',
    () => sink.stats().statements,
  );
  metrics.gauge(
    'sluice_postgres_held_tables',
    'Tables that failed for a reason of their own, most of them left alone for a while.',
    () => sink.stats().heldTables,
  );
  return sink;
}

async function openGreptimeDbSink(
  config: Config,
  { logger, metrics }: { logger: Logger; metrics: Metrics },
): Promise<Sink> {
  const sink = await openGreptimeDb(greptimeDbOptions(config), { logger, clock: createSystemClock() });
  metrics.gauge(
    'sluice_greptimedb_connections',
    'Connections to the database.',
    () => sink.stats().connections,
  );
  metrics.gauge(
    'sluice_greptimedb_waiting',
    'Requests that wait for a connection.',
    () => sink.stats().waiting,
  );
  return sink;
}
