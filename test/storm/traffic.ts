/**
 * The two streams of the storm, at fixed rates (a sender does not slow down because its receiver does): healthy
 * points to tables that exist, with one new table per second, and points whose tables can't be created.
 */
import { Agent, request } from 'node:http';

/** Requests of one stream that may wait for their answers; beyond it a request counts as failed unsent. */
const MAX_WAITING = 256;
const TIMEOUT_MS = 10_000;
const TICK_MS = 10;

/** What one stream met in a while. */
export interface Tally {
  sent: number;
  /** Points of requests that were answered 204. */
  points: number;
  failed: number;
  readonly latenciesMs: number[];
}

/** A stream that runs. */
export interface Stream {
  /** What happened since the last call. */
  take(): Tally;
  stop(): Promise<void>;
}

/** How a stream is sent. */
export interface StreamPlan {
  readonly urls: readonly string[];
  readonly requestsPerSec: number;
  readonly pointsPerRequest: number;
  /** Names of the points of request `n`. */
  readonly metrics: (n: number) => readonly string[];
}

/** Starts to send. */
export function startStream({ urls, requestsPerSec, pointsPerRequest, metrics }: StreamPlan): Stream {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  const startMs = performance.now();
  const waiting = new Set<Promise<void>>();
  let tally = emptyTally();
  let count = 0;

  const one = async (n: number): Promise<void> => {
    const sentMs = performance.now();
    const status = await post(
      `${urls[n % urls.length]}/api/put`,
      bodyOf(metrics(n), pointsPerRequest, n),
      agent,
    );
    tally.latenciesMs.push(performance.now() - sentMs);
    if (status === 204) tally.points += pointsPerRequest;
    else tally.failed++;
  };
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - startMs) / 1_000) * requestsPerSec);
    for (; count < due; count++) {
      tally.sent++;
      if (waiting.size >= MAX_WAITING) {
        tally.failed++;
        continue;
      }
      const sending = one(count).finally(() => waiting.delete(sending));
      waiting.add(sending);
    }
  }, TICK_MS);
  return {
    take: () => {
      const taken = tally;
      tally = emptyTally();
      return taken;
    },
    stop: async () => {
      clearInterval(timer);
      await Promise.all(waiting);
      agent.destroy();
    },
  };
}

/** Posts one point for each of the tables; the status, 0 when there was no answer. */
export function sendPoints(url: string, tables: readonly string[]): Promise<number> {
  return post(`${url}/api/put`, bodyOf(tables, tables.length, 0));
}

/** The share `q` of the values is at most this; 0 when there are none. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0;
}

function emptyTally(): Tally {
  return { sent: 0, points: 0, failed: 0, latenciesMs: [] };
}

function bodyOf(metrics: readonly string[], points: number, n: number): string {
  const list = Array.from({ length: points }, (_, i) => ({
    metric: metrics[i % metrics.length],
    timestamp: 1_700_000_000 + n,
    value: i,
    tags: { host: `h${i % 10}` },
  }));
  return JSON.stringify(list);
}

function post(url: string, body: string, agent?: Agent): Promise<number> {
  return new Promise((resolve) => {
    const headers = { 'content-length': Buffer.byteLength(body) };
    const sent = request(url, { method: 'POST', headers, timeout: TIMEOUT_MS, ...(agent && { agent }) });
    sent.on('response', (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode ?? 0));
      response.on('error', () => resolve(0));
    });
    sent.on('timeout', () => sent.destroy());
    sent.on('error', () => resolve(0));
    sent.end(body);
  });
}
