/** New metrics through the gateway, with the throttle off beside plain CREATE TABLE statements, and at its default. */
import { Agent } from 'node:http';
import { join } from 'node:path';
import { createTable } from '../../src/sink/postgres/layout.ts';
import type { Postgres } from '../helpers/postgres.ts';
import type { Cleanups } from '../storm/run.ts';
import { send, startGateway, stop } from './gateway.ts';
import { postgresEnvironment } from './postgres-points.ts';

const CLIENTS = 8;
/** New metrics of one request: the default of guard.maxNewTablesPerRequest. */
const PER_REQUEST = 100;
const COLUMNS = [{ name: 'value', kind: 'field', type: 'float64' }] as const;
const LIMIT_MS = 120_000;

const UNTHROTTLED = {
  SLUICE_GUARD_CREATES_PER_SEC: '0',
  SLUICE_GUARD_CREATES_PER_SEC_PER_TENANT: '0',
  SLUICE_DDL_RATE_PER_SEC: '0',
  SLUICE_DDL_MAX_OPEN_TASKS: '1000',
  SLUICE_DDL_MAX_OPEN_TASKS_PER_TENANT: '1000',
  SLUICE_GUARD_WAIT_MS: '30000',
};

/** The same tables straight and through the gateway, each in a database of its own. */
export async function measureOnboarding(
  postgres: Postgres,
  folder: string,
  metrics: number,
  cleanup: Cleanups,
): Promise<object> {
  const plain = await postgres.createDatabase();
  const client = await postgres.session(cleanup, plain);
  await client.query('CREATE SCHEMA public');
  const beganMs = performance.now();
  for (let n = 0; n < metrics; n++) {
    await client.query(createTable({ database: 'public', table: `m${n}` }, COLUMNS));
  }
  const plainPerSec = Math.round((metrics * 1_000) / (performance.now() - beganMs));
  const { database, gateway } = await start(postgres, folder, UNTHROTTLED);
  const tablesPerSec = await onboard(gateway.url, metrics, () => countTables(postgres, database));
  await stop(gateway);
  return {
    metrics,
    plainPerSec,
    ...tablesPerSec,
    ratio: Number((tablesPerSec.perSec / plainPerSec).toFixed(2)),
  };
}

/** New metrics without a pause for so long; the rate stated in docs/configuration.md must hold. */
export async function measureThrottled(postgres: Postgres, folder: string, seconds: number): Promise<object> {
  const { database, gateway } = await start(postgres, folder, {});
  const agent = new Agent({ keepAlive: true });
  const untilMs = performance.now() + seconds * 1_000;
  let asked = 0;
  while (performance.now() < untilMs && asked < 10_000) {
    await send(`${gateway.url}/write?db=public`, agent, bodyOf(asked, PER_REQUEST));
    asked += PER_REQUEST;
  }
  const tables = await countTables(postgres, database);
  agent.destroy();
  await stop(gateway);
  const stated = { burst: 200, perSecPerTenant: 20 };
  const mostStated = stated.burst + stated.perSecPerTenant * seconds;
  return { asked, seconds, tables, ...stated, mostStated };
}

async function start(postgres: Postgres, folder: string, env: Readonly<Record<string, string>>) {
  const database = await postgres.createDatabase();
  await postgres.sql(database, 'CREATE SCHEMA public');
  const all = { ...postgresEnvironment(postgres, database), ...env, SLUICE_LOG_LEVEL: 'info' };
  return { database, gateway: await startGateway(join(folder, database), all) };
}

/** Tables per second until the last one is there; and how the requests were answered. */
async function onboard(url: string, metrics: number, count: () => Promise<number>) {
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
  const statuses: Record<number, number> = {};
  const beganMs = performance.now();
  let next = 0;
  const post = async (): Promise<void> => {
    for (let first = next; first < metrics; first = next) {
      next += PER_REQUEST;
      const status = await send(`${url}/write?db=public`, agent, bodyOf(first, PER_REQUEST));
      statuses[status] = (statuses[status] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, post));
  const answered = await count();
  while ((await count()) < metrics) {
    if (performance.now() - beganMs > LIMIT_MS) throw new Error('not all tables were made');
  }
  const perSec = Math.round((metrics * 1_000) / (performance.now() - beganMs));
  agent.destroy();
  return { perSec, statuses, madeWhenAnswered: answered };
}

function bodyOf(first: number, metrics: number): Buffer {
  const lines = Array.from({ length: metrics }, (_, n) => `m${first + n} value=1 1700000000000000000`);
  return Buffer.from(lines.join('\n'));
}

async function countTables(postgres: Postgres, database: string): Promise<number> {
  const [[tables]] = (await postgres.sql(
    database,
    `SELECT count(*)::int FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'`,
  )) as [[number]];
  return tables;
}
