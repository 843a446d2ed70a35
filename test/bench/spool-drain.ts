/** A gateway of its own that drains a spool which was filled beforehand: its memory, and the traffic beside it. */
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { Agent } from 'node:http';
import { join } from 'node:path';
import { PointBatch, type TableGroup } from '../../src/model/point-batch.ts';
import { createLineParser } from '../../src/protocol/line-protocol.ts';
import { SeriesDictionary } from '../../src/protocol/series-dictionary.ts';
import { openSpoolDisk } from '../../src/spool/disk.ts';
import { createRecordEncoder } from '../../src/spool/record.ts';
import { createSystemClock } from '../../src/util/clock.ts';
import { SILENT } from '../helpers/ddl-harness.ts';
import { metric } from '../helpers/gateway.ts';
import { DEFAULT_LIMITS } from '../helpers/parsers.ts';
import { eventually } from '../helpers/wait.ts';
import { benchBodies } from './bodies.ts';
import { type Running, send, startGateway, stop } from './gateway.ts';

const MIB = 2 ** 20;
const TABLES = 20;
const POINTS = 1_000;
const CONNECTIONS = 4;
const WARM_UP_MS = 2_000;
const PHASE_MS = 8_000;
const LIMIT_MS = 600_000;
/** Leading digits of the first turn's times; room for 80,000 turns below 2^63 ns. */
const FIRST_TIME = 10_000;
/** DuckDB keeps what it can in memory, up to its limit, which is not what is measured. */
const SMALL = { SLUICE_DUCKDB_MEMORY_BYTES: String(256 * MIB) };
const nothing = (): void => undefined;

/** Drains as fast as it can; the peak of the resident memory, beside that of the same gateway at rest. */
export async function measureDrain(folder: string, bytes: number): Promise<object> {
  const idle = await startGateway(join(folder, 'idle'), SMALL);
  const idleMib = rssMib(idle);
  await stop(idle);
  const filled = join(folder, 'filled');
  const { rows, bytes: spooled } = await fill(filled, bytes);
  const began = performance.now();
  const gateway = await startGateway(filled, { SLUICE_SPOOL_DRAIN_BYTES_PER_SEC: '0', ...SMALL });
  const startMs = Math.round(performance.now() - began);
  let peakMib = 0;
  await eventually(
    'the spool is empty',
    async () => {
      peakMib = Math.max(peakMib, rssMib(gateway));
      return (await metric(gateway.url, 'sluice_spool_rows')) === 0;
    },
    LIMIT_MS,
  );
  const seconds = (performance.now() - began) / 1_000;
  await stop(gateway);
  const mib = Math.round(spooled / MIB);
  return {
    mib,
    rows,
    startMs,
    seconds: Math.round(seconds),
    rowsPerSec: Math.round(rows / seconds),
    idleMib,
    peakMib,
  };
}

/** Requests of a table that is ready, beside a drain with its default pace and then alone. */
export async function measureHealthyBeside(folder: string): Promise<object> {
  await fill(folder, 400 * MIB);
  const gateway = await startGateway(folder, {});
  await traffic(gateway.url, WARM_UP_MS);
  const beside = await traffic(gateway.url, PHASE_MS);
  const rowsLeft = await metric(gateway.url, 'sluice_spool_rows');
  await eventually(
    'the spool is empty',
    async () => (await metric(gateway.url, 'sluice_spool_lanes')) === 0,
    LIMIT_MS,
  );
  const alone = await traffic(gateway.url, PHASE_MS);
  await stop(gateway);
  const ratio = Number((beside.pointsPerSec / alone.pointsPerSec).toFixed(2));
  return { alone, beside, ratio, stillDraining: rowsLeft > 0 };
}

/** Parked rows of `TABLES` tables. */
async function fill(folder: string, maxBytes: number): Promise<{ rows: number; bytes: number }> {
  await mkdir(folder, { recursive: true });
  const metrics = {
    committed: nothing,
    refused: nothing,
    failed: nothing,
    unreadable: nothing,
    lost: nothing,
    repaired: nothing,
  };
  const path = join(folder, 'data/spool');
  const disk = await openSpoolDisk(
    { path, minFreeBytes: 0, maxPendingBytes: 2 ** 27 },
    { logger: SILENT, clock: createSystemClock(), metrics },
  );
  const dictionary = new SeriesDictionary({ maxSeries: 1_000_000, maxBytes: 2 ** 28 }, 1);
  const parser = createLineParser(dictionary, { limits: DEFAULT_LIMITS });
  const encoder = createRecordEncoder();
  const head = { source: 'influx' as const, askedBy: 'bench', atMs: Date.now() };
  const batch = new PointBatch();
  const bodies = benchBodies({ files: 64, batch: POINTS, metrics: TABLES, hosts: 200 }).line;
  let rows = 0;
  let bytes = 0;
  for (let turn = 0; bytes < maxBytes; turn++) {
    // Other times each turn, so that every row is a new one.
    const body = Buffer.from(
      (bodies[turn % bodies.length] as Buffer).toString().replaceAll(' 17900', ` ${FIRST_TIME + turn}`),
    );
    batch.reset(body, 'public');
    parser.parse(batch, 'ns', 0);
    const append = batch.groups.slice(0, batch.groupCount).flatMap((group) => {
      const lane = { tenant: 'public', database: 'public', table: group.table.name };
      return encoder
        .encode(batch, rowsOf(batch, group), head)
        .map((record) => ({ ...record, lane, atMs: head.atMs }));
    });
    await disk.commit({ append }).done;
    rows += batch.rows;
    for (const record of append) bytes += record.bytes.length;
  }
  await disk.close();
  return { rows, bytes };
}

function rowsOf(batch: PointBatch, group: TableGroup): number[] {
  const rows: number[] = [];
  for (let row = group.firstRow; row >= 0; row = batch.nextRow[row] as number) rows.push(row);
  return rows;
}

function rssMib({ child }: Running): number {
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
  return Math.round(Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) / 1_024);
}

/** Requests one after the other on each connection. */
async function traffic(
  url: string,
  ms: number,
): Promise<{ pointsPerSec: number; p50Ms: number; p99Ms: number }> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const body = Buffer.from(
    Array.from(
      { length: 100 },
      (_, i) => `healthy,host=web${i} value=${i} ${1_790_000_000 + i}000000000`,
    ).join('\n'),
  );
  const tookMs: number[] = [];
  const untilMs = performance.now() + ms;
  const connection = async (): Promise<void> => {
    while (performance.now() < untilMs) {
      const began = performance.now();
      const status = await send(`${url}/write?db=healthy`, agent, body);
      if (status === 204) tookMs.push(performance.now() - began);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, connection));
  agent.destroy();
  tookMs.sort((a, b) => a - b);
  const at = (share: number): number => Number((tookMs[Math.floor(tookMs.length * share)] ?? 0).toFixed(2));
  return { pointsPerSec: Math.round((tookMs.length * 100 * 1_000) / ms), p50Ms: at(0.5), p99Ms: at(0.99) };
}
