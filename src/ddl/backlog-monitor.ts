/**
 * Watches how much DDL the database has under way, and sends it none while that is too much or not known. Only the
 * leader asks, as only it creates. What it would have sent then ends as `denied` for all tenants: the breaker tells
 * every gateway, and after it one task is tried again. Between the marks it stays as it was.
 */
import type { Clock } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';
import type { DdlExecutor, DdlResult } from '../model/sink.ts';
import { createAbortController, unlessAborted, withTimeLimit } from '../util/abort.ts';

/** Creating goes on when the backlog is at most this share of its mark. */
const LOW_RATIO = 0.8;
/** A database that needs longer for the answer is not well. */
const TIMEOUT_MS = 3_000;

/** Bounds of the watch. */
export interface BacklogOptions {
  /** More than this is too much. */
  readonly maxBacklog: number;
  /** Between two questions. */
  readonly intervalMs: number;
}

/** What the monitor works with. */
export interface BacklogDeps {
  readonly backlog: (signal: AbortSignal) => Promise<number>;
  /** True while this gateway leads. */
  readonly leads: () => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** See the module comment. */
export interface BacklogMonitor {
  /** False: nothing is to be created. */
  ok(): boolean;
  /** Wraps what sends the statements. */
  guarded(executor: DdlExecutor): DdlExecutor;
  /** The backlog last heard of; statements not sent because of it. */
  stats(): { readonly backlog: number; readonly refused: number };
  start(): void;
  /** Idempotent. */
  close(): Promise<void>;
}

/** Makes a monitor that takes all for well until it has asked. */
export function createBacklogMonitor(options: BacklogOptions, deps: BacklogDeps): BacklogMonitor {
  const { clock, logger } = deps;
  const closing = createAbortController();
  let trouble: string | undefined;
  let backlog = 0;
  let refused = 0;
  let running: Promise<void> | undefined;

  const set = (next: string | undefined): void => {
    if ((next === undefined) !== (trouble === undefined)) {
      logger.warn({ backlog, reason: next }, 'creates stop for the backlog of the database, or go on');
    }
    trouble = next;
  };
  const look = async (): Promise<void> => {
    const late = (): Error => new Error(`no answer within ${TIMEOUT_MS} ms`);
    try {
      backlog = await withTimeLimit(closing.signal, { limitMs: TIMEOUT_MS, clock, late }, (signal) =>
        unlessAborted(deps.backlog(signal), signal),
      );
      const mark = options.maxBacklog * (trouble === undefined ? 1 : LOW_RATIO);
      set(backlog > mark ? `the database has ${backlog} procedures running` : undefined);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (!closing.signal.aborted) set(`the database does not say what it has running: ${reason}`);
    }
  };
  const run = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      if (deps.leads()) await look();
      else set(undefined);
      await clock.sleep(options.intervalMs, closing.signal).catch(() => undefined);
    }
  };
  const unless = async (send: () => Promise<DdlResult>): Promise<DdlResult> => {
    if (trouble === undefined) return send();
    refused++;
    return { kind: 'denied', code: 'BACKLOG', message: trouble, everywhere: true };
  };
  return {
    ok: () => trouble === undefined,
    guarded: (executor) => ({
      describe: (ids, signal) => executor.describe(ids, signal),
      inventory: (signal) => executor.inventory(signal),
      createDatabase: (database, signal) => unless(() => executor.createDatabase(database, signal)),
      createTable: (spec, signal) => unless(() => executor.createTable(spec, signal)),
      addColumns: (id, columns, signal) => unless(() => executor.addColumns(id, columns, signal)),
    }),
    stats: () => ({ backlog, refused }),
    start: () => {
      running ??= run();
    },
    close: async () => {
      closing.abort();
      await running;
    },
  };
}
