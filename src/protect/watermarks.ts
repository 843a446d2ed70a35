/**
 * Marks for what the gateway, its disk and the control plane can bear: sampled on a timer, read as a boolean. A mark
 * trips at once when its value reaches `tripAt`; it clears when the value is back at `clearAt` and the mark has been
 * tripped for the dwell time, so it can't flap. A value that is not known changes nothing. What a trip does is up to
 * who reads `controlPlaneOk` (new tables wait) and `dataPlaneOk` (writes get 503).
 */
import type { Clock } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';
import { createAbortController } from '../util/abort.ts';

/** What can be over its mark; a closed set, so it can be a metric label. */
export type MarkName =
  | 'heap_bytes'
  | 'rss_bytes'
  | 'event_loop_delay_ms'
  | 'inflight_bytes'
  | 'spool_bytes'
  | 'disk_free_bytes'
  | 'open_tasks'
  | 'store_fill';

/** One mark; `clearAt` above `tripAt` makes it one for too little. */
export interface Mark {
  readonly name: MarkName;
  /** What stops while it is tripped; `none`: it is only shown. */
  readonly plane: 'control' | 'data' | 'none';
  readonly tripAt: number;
  readonly clearAt: number;
  /** Called at each sample, must be quick and must not throw; undefined: not known just now. */
  read(): number | undefined;
}

/** A mark as of the last sample. */
export interface MarkState {
  readonly name: MarkName;
  readonly plane: Mark['plane'];
  readonly value: number | undefined;
  readonly tripAt: number;
  readonly clearAt: number;
  readonly tripped: boolean;
}

/** Bounds of the sampling. */
export interface WatermarkOptions {
  readonly sampleMs: number;
  /** How long a mark stays tripped at least. */
  readonly dwellMs: number;
}

/** What the watermarks work with. */
export interface WatermarkDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told of every mark at every sample, and of every trip. */
  readonly metrics: WatermarkMetrics;
}

/** What is shown of the marks. */
export interface WatermarkMetrics {
  sampled(state: MarkState): void;
  tripped(name: MarkName): void;
}

/** See the module comment. */
export interface Watermarks {
  /** False while a mark of the control plane is tripped. */
  readonly controlPlaneOk: boolean;
  /** False while a mark of the data plane is tripped. */
  readonly dataPlaneOk: boolean;
  add(marks: readonly Mark[]): void;
  states(): readonly MarkState[];
  start(): void;
  /** Idempotent. */
  close(): Promise<void>;
}

interface Watched {
  readonly mark: Mark;
  value: number | undefined;
  /** Undefined: not tripped. */
  trippedMs: number | undefined;
}

/** Makes it with no marks: both planes are well. */
export function createWatermarks(options: WatermarkOptions, deps: WatermarkDeps): Watermarks {
  const { clock, logger, metrics } = deps;
  const closing = createAbortController();
  const watched: Watched[] = [];
  const ok = { control: true, data: true, none: true };
  let running: Promise<void> | undefined;

  function sample(): void {
    for (const one of watched) judge(one);
    for (const plane of ['control', 'data'] as const)
      ok[plane] = watched.every(({ mark, trippedMs }) => mark.plane !== plane || trippedMs === undefined);
  }

  function judge(one: Watched): void {
    const { mark, trippedMs } = one;
    const { name, plane, tripAt, clearAt } = mark;
    const value = mark.read();
    one.value = value;
    if (value !== undefined && trippedMs === undefined && reaches(value, tripAt, mark)) {
      one.trippedMs = clock.now();
      metrics.tripped(name);
      logger.warn({ mark: name, value, tripAt, clearAt, plane }, 'a watermark is tripped');
    } else if (value !== undefined && trippedMs !== undefined && !reaches(value, clearAt, mark)) {
      if (clock.now() - trippedMs < options.dwellMs) return metrics.sampled(stateOf(one));
      one.trippedMs = undefined;
      logger.info({ mark: name, value, plane }, 'a watermark is clear again');
    }
    metrics.sampled(stateOf(one));
  }

  async function run(): Promise<void> {
    while (!closing.signal.aborted) {
      sample();
      await clock.sleep(options.sampleMs, closing.signal).catch(() => undefined);
    }
  }

  return {
    get controlPlaneOk() {
      return ok.control;
    },
    get dataPlaneOk() {
      return ok.data;
    },
    add(marks) {
      watched.push(...marks.map((mark) => ({ mark, value: undefined, trippedMs: undefined })));
    },
    states: () => watched.map(stateOf),
    start: () => {
      running ??= run();
    },
    async close() {
      closing.abort(new Error('the watermarks are closed'));
      await running;
    },
  };
}

/** On the bad side of the level, or at it. */
function reaches(value: number, level: number, { tripAt, clearAt }: Mark): boolean {
  return clearAt > tripAt ? value <= level : value >= level;
}

function stateOf({ mark, value, trippedMs }: Watched): MarkState {
  const { name, plane, tripAt, clearAt } = mark;
  return { name, plane, value, tripAt, clearAt, tripped: trippedMs !== undefined };
}
