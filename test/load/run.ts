/**
 * Very many connections at once, of all kinds, against a real gateway over DuckDB; afterwards everything acknowledged
 * must be stored, memory within its bound, and every descriptor back.
 */
import { readdirSync } from 'node:fs';
import type { Cleanup } from '../helpers/etcd.ts';
import { type Gateway, metric, post, query, startGateway } from '../helpers/gateway.ts';
import { eventually } from '../helpers/wait.ts';
import { runSender, type SenderKind, type SenderReport } from './senders.ts';

/** How to run. */
export interface LoadOptions {
  readonly folder: string;
  readonly connections: number;
  readonly kinds: readonly SenderKind[];
  /** Asked by each sender before each request: go on? */
  readonly more: () => boolean;
  readonly progress?: (line: string) => void;
}

/** What came of it. */
export interface LoadReport {
  readonly acknowledged: number;
  /** Answers other than 204, by status. */
  readonly others: ReadonlyMap<string, number>;
  readonly peakRssBytes: number;
  readonly faults: readonly string[];
}

/** Bound of the process with what `ENV` gives it. */
const MAX_RSS_BYTES = 1_500 * 1024 ** 2;
const SAMPLE_MS = 1_000;

const ENV = {
  SLUICE_DUCKDB_MEMORY_BYTES: '256MiB',
  SLUICE_LISTEN_MAX_CONNECTIONS: '4000',
  SLUICE_SQL_MAX_ROWS: '1000000',
  SLUICE_SQL_TIMEOUT_MS: '60000',
};

/** Runs the senders to their end and compares. */
export async function runLoad(cleanup: Cleanup, options: LoadOptions): Promise<LoadReport> {
  const gateway = await startGateway(cleanup, options.folder, ENV);
  // What the first request opens is not counted against the others.
  await post(`${gateway.url}/api/put`, '{"metric":"load","timestamp":1,"value":0,"tags":{"host":"none"}}');
  await query(gateway.url, 'SELECT 1');
  const before = descriptorsOf(gateway);
  const memory = watchMemory(gateway, options.progress);
  const senders = Array.from({ length: options.connections }, (_, i) =>
    runSender(options.kinds[i % options.kinds.length] as SenderKind, {
      port: gateway.port,
      host: `h${i}`,
      more: options.more,
    }),
  );
  const reports = await Promise.all(senders).finally(() => memory.stop());
  const faults = await compare(gateway, reports);
  if (memory.peakBytes() > MAX_RSS_BYTES) faults.push(`memory reached ${memory.peakBytes()} bytes`);
  await eventually('descriptors are back', () => descriptorsOf(gateway) <= before + 2).catch(() =>
    faults.push(`${descriptorsOf(gateway)} descriptors are open, ${before} were before`),
  );
  const others = new Map<string, number>();
  for (const report of reports) {
    for (const [status, count] of report.others) others.set(status, (others.get(status) ?? 0) + count);
  }
  const acknowledged = reports.reduce((sum, report) => sum + report.acknowledged, 0);
  return { acknowledged, others, peakRssBytes: memory.peakBytes(), faults };
}

/** Every number below what its sender had acknowledged has to be there. */
async function compare({ url }: Gateway, reports: readonly SenderReport[]): Promise<string[]> {
  await eventually(
    'nothing waits on disk',
    async () => (await metric(url, 'sluice_spool_rows')) === 0,
    120_000,
  );
  const wanted = reports.map(({ host, acknowledged }) => `('${host}', ${acknowledged})`).join(', ');
  const sql = `SELECT w.host, w.n, count(m.value) FROM (VALUES ${wanted}) AS w (host, n)
    LEFT JOIN load m ON m.host = w.host AND m.value < w.n GROUP BY ALL`;
  const rows = JSON.parse(await query(url, sql)) as [host: string, wanted: string, found: string][];
  return rows
    .filter(([, n, found]) => Number(n) !== Number(found))
    .map(([host, n, found]) => `${host}: ${found} of ${n} acknowledged points are stored`);
}

function watchMemory(
  { url }: Gateway,
  progress: ((line: string) => void) | undefined,
): { peakBytes(): number; stop(): void } {
  let peak = 0;
  const look = async (): Promise<void> => {
    const [rss, rows] = await Promise.all(
      ['process_resident_memory_bytes', 'sluice_log_lag_seconds'].map((name) => metric(url, name)),
    );
    peak = Math.max(peak, rss ?? 0);
    progress?.(`${Math.round((rss ?? 0) / 1024 ** 2)} MiB, database ${rows} s behind`);
  };
  const timer = setInterval(() => void look().catch(() => undefined), SAMPLE_MS);
  return { peakBytes: () => peak, stop: () => clearInterval(timer) };
}

function descriptorsOf({ child }: Gateway): number {
  return readdirSync(`/proc/${child.pid}/fd`).length;
}
