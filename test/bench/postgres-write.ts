/**
 * The writer of the PostgreSQL sink against COPY of the same rows: straight into the same tables, which knows no
 * upsert, and into a temporary table with an INSERT per table after it. All in one transaction per flush, COPY
 * pipelined as the writer's statements are. A server of its own, with fsync. Prints a line of JSON per case.
 *
 *   npm run build && node dist/test/bench/postgres-write.js
 */
import { Client } from 'pg';
import type { PointBatch } from '../../src/model/point-batch.ts';
import { seriesKey } from '../../src/sink/postgres/layout.ts';
import { openPostgres } from '../../src/sink/postgres/open.ts';
import { createSystemClock } from '../../src/util/clock.ts';
import { createTestSource, type TestSource } from '../helpers/points.ts';
import { SUPERUSER, startPostgres } from '../helpers/postgres.ts';
import { postgresOptions, SILENT } from '../helpers/postgres-rig.ts';
import { copyRow, cpuOf, pipelined, withoutTable } from './postgres-copy.ts';

const CASES = [
  [20, 100],
  [20, 1_000],
  [2_000, 100],
  [2_000, 1_000],
] as const;
const SECONDS = 4;
const HOSTS = 10;
const { signal } = new AbortController();
const COLUMNS = [
  { name: 'host', kind: 'tag', type: 'string' },
  { name: 'value', kind: 'field', type: 'float64' },
] as const;
const NAMES = 'time, series_id, time_ns, host, value';

interface Flush {
  readonly batch: PointBatch;
  readonly byTable: ReadonlyMap<number, readonly Buffer[]>;
}

/** Makes flushes whose rows never come twice; tables take turns. */
function flushes(source: TestSource, tables: number, rows: number): () => Flush {
  const keys = Array.from({ length: HOSTS }, (_, h) => seriesKey(source.series('t', { host: `host${h}` })));
  let count = 0;
  return () => {
    const byTable = new Map<number, Buffer[]>();
    const points = Array.from({ length: rows }, () => {
      const n = count++;
      const [table, host, micros] = [n % tables, Math.floor(n / tables) % HOSTS, 1.7e15 + n];
      const ofTable = byTable.get(table) ?? [];
      byTable.set(table, ofTable);
      ofTable.push(copyRow(table, micros, keys[host] as Buffer, `host${host}`, n / 7));
      const fields = [['value', ['float64', n / 7]]] as const;
      return { table: `t${table}`, tags: { host: `host${host}` }, timeNs: BigInt(micros) * 1_000n, fields };
    });
    return { batch: source.batch(points), byTable };
  };
}

const cleanups: (() => Promise<void>)[] = [];
const cleanup = { after: (fn: () => Promise<void>) => void cleanups.unshift(fn) };
const postgres = await startPostgres(cleanup, { fsync: 'on', max_wal_size: '4GB' });
for (const [tables, rows] of CASES) {
  const database = await postgres.createDatabase();
  const deps = { logger: SILENT, clock: createSystemClock(), random: () => 0.5 };
  const sink = await openPostgres(postgresOptions(postgres, database), deps);
  for (const schema of ['sink', 'copy', 'temp']) {
    await sink.ddl.createDatabase(schema, signal);
    for (let t = 0; t < tables; t++) {
      const id = { database: schema, table: `t${t}` };
      await sink.ddl.createTable({ id, source: 'influx', columns: COLUMNS }, signal);
    }
  }
  const client = new Client({ host: '127.0.0.1', port: postgres.port, user: SUPERUSER, database });
  await client.connect();
  await client.query(
    `CREATE TEMP TABLE stage (n int, time timestamptz, series_id uuid, time_ns smallint, host text, value float8)
     ON COMMIT DELETE ROWS`,
  );
  const upsert = `ON CONFLICT (time, series_id, time_ns) DO UPDATE SET value = coalesce(excluded.value, t.value)`;
  const ways: Record<string, (flush: Flush) => Promise<void>> = {
    sink: ({ batch }) => sink.writer.write([batch], signal),
    copy: ({ byTable }) =>
      pipelined(
        client,
        Array.from(byTable, ([table, copy]) => ({
          sql: `COPY copy.t${table} (${NAMES}) FROM STDIN BINARY`,
          copy: copy.map(withoutTable),
        })),
      ),
    temp: ({ byTable }) =>
      pipelined(client, [
        { sql: 'COPY stage FROM STDIN BINARY', copy: [...byTable.values()].flat() },
        ...Array.from(byTable.keys(), (table) => ({
          sql: `INSERT INTO temp.t${table} AS t (${NAMES}) SELECT ${NAMES} FROM stage WHERE n = ${table} ${upsert}`,
        })),
      ]),
  };
  for (const [way, write] of Object.entries(ways)) {
    const next = flushes(createTestSource('sink'), tables, rows);
    for (let done = 0; done < 2 * tables || done < 5 * rows; done += rows) await write(next());
    const ready = Array.from({ length: 4_000_000 / rows / 20 }, next);
    const [[pid]] = (await postgres.sql(
      database,
      `SELECT pid FROM pg_stat_activity WHERE datname = '${database}' AND pid <> pg_backend_pid() AND backend_type = 'client backend'
       ORDER BY state_change DESC LIMIT 1`,
    )) as [[number]];
    const before = cpuOf(pid);
    const own = process.cpuUsage();
    const startMs = performance.now();
    let count = 0;
    for (const flush of ready) {
      await write(flush);
      count++;
      if (performance.now() - startMs > SECONDS * 1_000) break;
    }
    const seconds = (performance.now() - startMs) / 1_000;
    const { user, system } = process.cpuUsage(own);
    const points = count * rows;
    const result = {
      tables,
      rows,
      way,
      flushes: count,
      pointsPerSec: Math.round(points / seconds),
      serverUsPerPoint: Number((((cpuOf(pid) - before) / points) * 1e6).toFixed(1)),
      clientUsPerPoint: Number(((user + system) / points).toFixed(1)),
    };
    process.stdout.write(`${JSON.stringify(result)}\n`);
  }
  await client.end();
  await sink.close();
}
for (const close of cleanups) await close();
