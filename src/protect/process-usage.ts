/** What this process uses of its machine, for the watermarks. Its own timer is the one of Node's event loop monitor. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';

/** Node's own default is 10; the monitor's timer adds it to every delay. */
const RESOLUTION_MS = 20;

/** See the module comment. */
export interface ProcessUsage {
  /** Bytes of the heap that hold objects. */
  heapBytes(): number;
  rssBytes(): number;
  /** Mean delay of the event loop since the last call; undefined: no turn ended since. */
  eventLoopDelayMs(): number | undefined;
  /** Idempotent. */
  close(): void;
}

/** Begins to measure. */
export function createProcessUsage(): ProcessUsage {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  return {
    heapBytes: () => process.memoryUsage().heapUsed,
    rssBytes: () => process.memoryUsage.rss(),
    eventLoopDelayMs() {
      const meanMs = delay.mean / 1e6 - RESOLUTION_MS;
      delay.reset();
      return Number.isNaN(meanMs) ? undefined : Math.max(0, meanMs);
    },
    close: () => void delay.disable(),
  };
}

/** What V8 lets the heap grow to; `--max-old-space-size` sets it. */
export function heapLimitBytes(): number {
  return getHeapStatistics().heap_size_limit;
}
