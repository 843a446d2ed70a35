/** Opens the watermarks: which values are compared with which marks, by the configuration. */
import { totalmem } from 'node:os';
import type { Base } from './app-base.ts';
import { ackOf } from './app-options.ts';
import type { Config } from './config.ts';
import type { DdlQueue } from './model/ddl-queue.ts';
import type { SpoolDisk } from './model/spool.ts';
import { createProcessUsage, heapLimitBytes, type ProcessUsage } from './protect/process-usage.ts';
import { createWatermarks, type Mark, type Watermarks } from './protect/watermarks.ts';

/** Where a mark clears, as a share of where it trips. */
const CLEAR_RATIO = 0.9;
const RSS_RATIO = 0.8;

/** What marks are set on besides the process. */
export interface Protected {
  readonly queue: DdlQueue;
  readonly disk: SpoolDisk | undefined;
}

/** Makes the watermarks, but for that of the bodies, which come later. `start` it when all are added. */
export function openWatermarks(
  { config, clock, logger, metrics, stack }: Base,
  parts: Protected,
): Watermarks {
  const usage = createProcessUsage();
  const { sampleMs, dwellMs } = config.protect;
  const watermarks = createWatermarks({ sampleMs, dwellMs }, { clock, logger, metrics: metrics.watermarks });
  stack.push('watermarks', async () => {
    await watermarks.close();
    usage.close();
  });
  watermarks.add([...processMarks(config, usage), ...coreMarks(config, parts)]);
  return watermarks;
}

/** The marks of what is behind the transports. */
function coreMarks(config: Config, { queue, disk }: Protected): Mark[] {
  const { openTasksPercent, storePercent } = config.protect;
  const tasks = (config.ddl.maxOpenTasks * openTasksPercent) / 100;
  return [
    ...upTo('open_tasks', 'control', tasks, () => queue.stats().openTasks),
    ...upTo('store_fill', 'control', storePercent / 100, () => queue.stats().storeFill),
    ...(disk === undefined ? [] : diskMarks(config, disk)),
  ];
}

/** The mark of request bodies; `read` tells their bytes. */
export function inflightMark({ limits, protect }: Config, read: () => number): Mark[] {
  return upTo('inflight_bytes', 'data', (limits.inflightBytes * protect.inflightPercent) / 100, read);
}

function processMarks({ protect }: Config, usage: ProcessUsage): Mark[] {
  const heap = (heapLimitBytes() * protect.heapPercent) / 100;
  const rss = protect.rssBytes === 0 ? memoryBytes() * RSS_RATIO : protect.rssBytes;
  return [
    ...upTo('heap_bytes', 'data', heap, () => usage.heapBytes()),
    ...upTo('rss_bytes', 'data', rss, () => usage.rssBytes()),
    ...upTo('event_loop_delay_ms', 'data', protect.eventLoopDelayMs, () => usage.eventLoopDelayMs()),
  ];
}

/** A disk that is full stops all writes where the log acknowledges; else parking alone ends, which it sees to itself. */
function diskMarks(config: Config, disk: SpoolDisk): Mark[] {
  const plane = ackOf(config) === 'log' ? 'data' : 'none';
  const { maxBytes, minFreeBytes } = config.spool;
  const bytes = (maxBytes * config.protect.spoolPercent) / 100;
  return [
    ...upTo('spool_bytes', plane, bytes, () => disk.stats().bytes),
    {
      name: 'disk_free_bytes',
      plane,
      tripAt: minFreeBytes * 1.1,
      clearAt: minFreeBytes * 1.2 + 1,
      read: () => disk.stats().freeBytes,
    },
  ];
}

/** A mark for too much, or none where its level is 0. */
function upTo(name: Mark['name'], plane: Mark['plane'], tripAt: number, read: Mark['read']): Mark[] {
  return tripAt === 0 ? [] : [{ name, plane, tripAt, clearAt: tripAt * CLEAR_RATIO, read }];
}

/** What this process may have: the container's limit where there is one. */
function memoryBytes(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}
