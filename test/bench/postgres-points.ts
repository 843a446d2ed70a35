/**
 * Points through the gateway beside COPY of the same rows: `copy`, a COPY per request and table, all of a request in
 * one transaction; `bulk`, one COPY per table with all rows of the round, which no writer that answers soon can do.
 */
import { Agent } from 'node:http';
import { join } from 'node:path';
import type { Client } from 'pg';
import { createTable, seriesKey } from '../../src/sink/postgres/layout.ts';
import { metric } from '../helpers/gateway.ts';
import { createTestSource } from '../helpers/points.ts';
import { type Postgres, SUPERUSER } from '../helpers/postgres.ts';
import { eventually } from '../helpers/wait.ts';
import type { Cleanups } from '../storm/run.ts';
import { type Running, send, startGateway, stop } from './gateway.ts';
import { copyRow, cpuOf, cpuOfChildren, pipelined, withoutTable } from './postgres-copy.ts';

const ROUNDS = 3;
const CLIENTS = 8;
const HOSTS = 10;
const LIMIT_MS = 60_000;
const COLUMNS = [
  { name: 'host', kind: 'tag', type: 'string' },
  { name: 'value', kind: 'field', type: 'float64' },
] as const;
const NAMES = 'time, series_id, time_ns, host, value';

/** So many points in all, in requests of `points`, spread evenly over `tables`. */
export interface PointsCase {
  readonly tables: number;
  readonly points: number;
  readonly total: number;
}

type RowsByTable = Map<number, Buffer[]>;

interface Request {
  readonly body: Buffer;
  readonly rows: RowsByTable;
}

interface Figures {
  readonly pointsPerSec: number;
  readonly serverUsPerPoint: number;
  readonly gatewayUsPerPoint: number;
}

/** The environment of a gateway on this database. */
export function postgresEnvironment({ port }: Postgres, database: string): Record<string, string> {
  return {
    SLUICE_SINK_KIND: 'postgres',
    SLUICE_POSTGRES_HOST: '127.0.0.1',
    SLUICE_POSTGRES_PORT: String(port),
    SLUICE_POSTGRES_USER: SUPERUSER,
    SLUICE_POSTGRES_DATABASE: database,
    SLUICE_LOG_LEVEL: 'warn',
  };
}

/** Rounds of the three ways in turn; figures are of the median round by ratio to `copy`. */
export async function measurePoints(
  postgres: Postgres,
  folder: string,
  one: PointsCase,
  cleanup: Cleanups,
): Promise<object> {
  const database = await postgres.createDatabase();
  const client = await postgres.session(cleanup, database);
  for (const schema of ['public', 'copy', 'bulk']) await makeTables(client, schema, one.tables);
  const env = { ...postgresEnvironment(postgres, database), SLUICE_LOG_LEVEL: 'info' };
  const gateway = await startGateway(join(folder, database), env);
  const rounds: { gateway: Figures; copy: Figures; bulk: Figures }[] = [];
  // The first round only warms up.
  for (let round = 0; round <= ROUNDS; round++) {
    const requests = makeRequests(one, round * one.total);
    const measure = (work: () => Promise<void>): Promise<Figures> =>
      measured(work, one.total, { server: postgres.pid, gateway });
    const figures = {
      gateway: await measure(() => postAll(gateway.url, requests)),
      copy: await measure(async () => {
        for (const { rows } of requests) await copyInto(client, 'copy', rows);
      }),
      bulk: await measure(() => copyInto(client, 'bulk', united(requests))),
    };
    if (round > 0) rounds.push(figures);
  }
  await stop(gateway);
  rounds.sort((a, b) => ratio(a.gateway, a.copy) - ratio(b.gateway, b.copy));
  const middle = rounds[Math.floor(ROUNDS / 2)] as (typeof rounds)[number];
  return {
    ...one,
    clients: CLIENTS,
    ...middle,
    ratios: rounds.map((round) => ratio(round.gateway, round.copy)),
    ratioToCopy: ratio(middle.gateway, middle.copy),
    ratioToBulk: ratio(middle.gateway, middle.bulk),
  };
}

async function makeTables(client: Client, schema: string, tables: number): Promise<void> {
  await client.query(`CREATE SCHEMA "${schema}"`);
  for (let t = 0; t < tables; t++) {
    await client.query(createTable({ database: schema, table: `t${t}` }, COLUMNS));
  }
}

/** Points from number `first` on; no two have the same series and time. */
function makeRequests({ tables, points, total }: PointsCase, first: number): readonly Request[] {
  const source = createTestSource('public');
  const keys = Array.from({ length: HOSTS }, (_, h) => seriesKey(source.series('t', { host: `host${h}` })));
  return Array.from({ length: total / points }, (_, request) => {
    const rows: RowsByTable = new Map();
    const lines: string[] = [];
    for (let n = first + request * points; n < first + (request + 1) * points; n++) {
      const [table, host, micros] = [n % tables, Math.floor(n / tables) % HOSTS, 1.7e15 + n];
      lines.push(`t${table},host=host${host} value=${n / 7} ${micros}000`);
      const row = copyRow(table, micros, keys[host] as Buffer, `host${host}`, n / 7);
      rowsOf(rows, table).push(withoutTable(row));
    }
    return { body: Buffer.from(lines.join('\n')), rows };
  });
}

function rowsOf(rows: RowsByTable, table: number): Buffer[] {
  const known = rows.get(table) ?? [];
  rows.set(table, known);
  return known;
}

function united(requests: readonly Request[]): RowsByTable {
  const all: RowsByTable = new Map();
  for (const { rows } of requests) {
    for (const [table, some] of rows) rowsOf(all, table).push(...some);
  }
  return all;
}

function copyInto(client: Client, schema: string, rows: RowsByTable): Promise<void> {
  const steps = Array.from(rows, ([table, copy]) => ({
    sql: `COPY ${schema}.t${table} (${NAMES}) FROM STDIN BINARY`,
    copy,
  }));
  return pipelined(client, steps);
}

async function postAll(url: string, requests: readonly Request[]): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
  let next = 0;
  const post = async (): Promise<void> => {
    for (let request = requests[next++]; request !== undefined; request = requests[next++]) {
      const status = await send(`${url}/write?db=public`, agent, request.body);
      if (status !== 204) throw new Error(`answered ${status}`);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, post));
  agent.destroy();
  // Rows that had to wait were acknowledged from disk: they count when they are in the database.
  await eventually('nothing is parked', async () => (await metric(url, 'sluice_spool_rows')) === 0, LIMIT_MS);
}

async function measured(
  work: () => Promise<void>,
  points: number,
  { server, gateway }: { readonly server: number; readonly gateway: Running },
): Promise<Figures> {
  const own = gateway.child.pid as number;
  const before = { server: cpuOfChildren(server), gateway: cpuOf(own) };
  const beganMs = performance.now();
  await work();
  const seconds = (performance.now() - beganMs) / 1_000;
  const perPoint = (cpuSeconds: number): number => Number(((cpuSeconds / points) * 1e6).toFixed(1));
  return {
    pointsPerSec: Math.round(points / seconds),
    serverUsPerPoint: perPoint(cpuOfChildren(server) - before.server),
    gatewayUsPerPoint: perPoint(cpuOf(own) - before.gateway),
  };
}

function ratio(a: Figures, b: Figures): number {
  return Number((a.pointsPerSec / b.pointsPerSec).toFixed(2));
}
