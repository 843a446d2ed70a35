/**
 * The gateway in front of PostgreSQL: `npm run bench:postgres [points|tables]` (both). A server of its own with fsync and
 * without autovacuum, which would fall on whichever way comes next;
 * the gateway as a process. (1) 8 clients post over tables that exist, beside COPY of the same rows into tables of the
 * same layout; (2) 10,000 new metrics, beside the same CREATE TABLE statements by one connection, and the default
 * throttle. One line of JSON for each; ratios are medians over alternating rounds of this run.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres } from '../helpers/postgres.ts';
import { Cleanups } from '../storm/run.ts';
import { measurePoints } from './postgres-points.ts';
import { measureOnboarding, measureThrottled } from './postgres-tables.ts';

const CASES = [
  { tables: 20, points: 100, total: 100_000 },
  { tables: 20, points: 1_000, total: 200_000 },
  { tables: 2_000, points: 100, total: 40_000 },
  { tables: 2_000, points: 1_000, total: 40_000 },
] as const;
const METRICS = 10_000;
const THROTTLED_SECONDS = 12;

const [part] = process.argv.slice(2);
const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-postgres-'));
const cleanup = new Cleanups();
try {
  const postgres = await startPostgres(cleanup, { fsync: 'on', max_wal_size: '4GB', autovacuum: 'off' });
  if (part !== 'tables') {
    for (const one of CASES) print('points', await measurePoints(postgres, folder, one, cleanup));
  }
  if (part !== 'points') {
    print('onboarding', await measureOnboarding(postgres, folder, METRICS, cleanup));
    print('throttled', await measureThrottled(postgres, folder, THROTTLED_SECONDS));
  }
} finally {
  await cleanup.run();
  await rm(folder, { recursive: true, force: true });
}

function print(bench: string, figures: object): void {
  const machine = { node: process.version, cpu: cpus()[0]?.model, cores: cpus().length };
  process.stdout.write(`${JSON.stringify({ bench: `postgres ${bench}`, ...machine, ...figures })}\n`);
}
