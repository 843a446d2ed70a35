/**
 * One attempt at a task: reads the schema, creates or widens, reads again, until what was wanted is there or the
 * database says why not. What is there with another type is left alone, the rest is added all the same. A statement
 * without a clear answer is never sent again: the schema is read until it shows, and the statement counts as running
 * until then (or until the hold is over). No attempt rejects.
 */
import type { Clock } from '../model/clock.ts';
import type { ColumnSpec } from '../model/column.ts';
import type { Logger } from '../model/logger.ts';
import type { DdlExecutor, DdlResult } from '../model/sink.ts';
import type { TableId, TableSchema } from '../model/table.ts';
import { unlessAborted, withChildAbort } from '../util/abort.ts';
import { exponentialMs, jitterMs, type Random } from '../util/backoff.ts';
import type { TaskValue } from './codec.ts';
import type { DdlMetrics } from './metrics.ts';

/** Describe, create, describe, widen, describe. */
const MAX_STATEMENTS = 3;
const POLL_BASE_MS = 500;
const POLL_MAX_MS = 10_000;

/** How an attempt ended; `abandoned`: this gateway may not act any more, nothing is known. */
export type AttemptResult =
  | { readonly kind: 'done' | 'abandoned' }
  | {
      readonly kind: 'invalid' | 'denied' | 'transient';
      readonly code: string;
      readonly message: string;
      readonly everywhere?: true;
    };

/** What attempts work with. */
export interface DdlRunnerDeps {
  readonly executor: DdlExecutor;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Pick<DdlMetrics, 'sent'>;
  readonly ddlTimeoutMs: number;
  readonly ambiguousHoldMs: number;
}

/** An attempt's bounds. */
export interface AttemptControl {
  /** Asked right before a statement is sent. */
  readonly mayAct: () => boolean;
  /** Ends the waiting for an ambiguous statement; the attempt is then abandoned. */
  readonly stop: AbortSignal;
  /** Ends a statement that runs. */
  readonly kill: AbortSignal;
  /** A statement has no clear answer: the attempt may now take as long as the hold. */
  readonly onAmbiguous: () => void;
}

type Statement =
  | { readonly kind: 'database'; readonly database: string }
  | { readonly kind: 'create'; readonly id: TableId; readonly columns: readonly ColumnSpec[] }
  | { readonly kind: 'widen'; readonly id: TableId; readonly columns: readonly ColumnSpec[] };

/** What is left to do: a statement, or the end of the attempt. */
type Plan = { readonly kind: 'send'; readonly statement: Statement } | AttemptResult;

/** See the module comment. */
export class DdlRunner {
  readonly #deps: DdlRunnerDeps;

  constructor(deps: DdlRunnerDeps) {
    this.#deps = deps;
  }

  async attempt(task: TaskValue, control: AttemptControl): Promise<AttemptResult> {
    try {
      for (let sent = 0; sent <= MAX_STATEMENTS; sent++) {
        const plan = await this.#plan(task, control);
        if (plan.kind !== 'send') return plan;
        if (sent === MAX_STATEMENTS) break;
        if (!control.mayAct()) return { kind: 'abandoned' };
        const result = await this.#send(task, plan.statement, control);
        if (result.kind !== 'done') return result;
        if (plan.statement.kind === 'database') return result;
      }
      return { kind: 'transient', code: 'NOT_VISIBLE', message: 'done, but the schema does not show it' };
    } catch (error) {
      if (control.stop.aborted || control.kill.aborted) return { kind: 'abandoned' };
      return transient(error);
    }
  }

  async #plan(task: TaskValue, control: AttemptControl): Promise<Plan> {
    if (task.table === undefined) {
      return { kind: 'send', statement: { kind: 'database', database: task.database } };
    }
    const id = { database: task.database, table: task.table };
    const schema = await this.#describe(id, control);
    const wanted = byName(task.columns);
    if (schema === undefined) return { kind: 'send', statement: { kind: 'create', id, columns: wanted } };
    const there = new Map(schema.columns.map((column) => [column.name, column]));
    const missing = wanted.filter((column) => !there.has(column.name));
    if (missing.length > 0) return { kind: 'send', statement: { kind: 'widen', id, columns: missing } };
    const conflict = task.columns.find((column) => !same(column, there.get(column.name)));
    return conflict === undefined ? { kind: 'done' } : typeConflict(conflict, there.get(conflict.name));
  }

  /** Sends one statement; `done` when it is known to have worked. */
  async #send(task: TaskValue, statement: Statement, control: AttemptControl): Promise<AttemptResult> {
    this.#deps.metrics.sent(statement.kind);
    const running = this.#execute(task, statement, control);
    const result = await this.#within(running, control);
    if (isAnswer(result)) return result;
    control.onAmbiguous();
    this.#deps.logger.warn({ code: result.code }, 'a DDL statement has no clear answer; reading the schema');
    return this.#untilKnown(statement, running, control);
  }

  async #execute(task: TaskValue, statement: Statement, control: AttemptControl): Promise<DdlResult> {
    const { executor, clock, ddlTimeoutMs } = this.#deps;
    return withChildAbort(control.kill, async (child) => {
      const timer = new AbortController();
      void clock.sleep(ddlTimeoutMs, timer.signal).then(
        () => child.abort(new Error(`no answer within ${ddlTimeoutMs} ms`)),
        () => undefined,
      );
      try {
        return await this.#call(executor, task, statement, child.signal);
      } catch (error) {
        const kind = child.signal.aborted ? 'ambiguous' : 'transient';
        return { kind, code: 'UNEXPECTED', message: messageOf(error) };
      } finally {
        timer.abort();
      }
    });
  }

  #call(
    executor: DdlExecutor,
    task: TaskValue,
    statement: Statement,
    signal: AbortSignal,
  ): Promise<DdlResult> {
    if (statement.kind === 'database') return executor.createDatabase(statement.database, signal);
    const { id, columns } = statement;
    if (statement.kind === 'widen') return executor.addColumns(id, columns, signal);
    return executor.createTable({ id, source: task.source, columns }, signal);
  }

  /** The statement's answer, or `ambiguous` when it does not even react to its own timeout. */
  async #within(running: Promise<DdlResult>, control: AttemptControl): Promise<DdlResult> {
    const { clock, ddlTimeoutMs } = this.#deps;
    const graceMs = ddlTimeoutMs * 1.1;
    return withChildAbort(control.kill, async (child) => {
      const late = clock
        .sleep(graceMs, child.signal)
        .catch(() => undefined)
        .then((): DdlResult => ({ kind: 'ambiguous', code: 'TIMEOUT', message: 'no answer in time' }));
      try {
        return await Promise.race([running, late]);
      } finally {
        child.abort();
      }
    });
  }

  /** Reads the schema until the statement is seen to have worked, its late answer comes, or the hold is over. */
  async #untilKnown(
    statement: Statement,
    running: Promise<DdlResult>,
    control: AttemptControl,
  ): Promise<AttemptResult> {
    const { clock, random, ambiguousHoldMs } = this.#deps;
    const untilMs = clock.now() + ambiguousHoldMs;
    for (let polls = 1; ; polls++) {
      if (await this.#shows(statement, control)) return { kind: 'done' };
      const late = await settledNow(running);
      if (late !== undefined && isAnswer(late)) return late;
      if (clock.now() >= untilMs) {
        return {
          kind: 'transient',
          code: 'AMBIGUOUS',
          message: 'no answer, and the schema does not show it',
        };
      }
      const waitMs = jitterMs(exponentialMs(POLL_BASE_MS, POLL_MAX_MS, polls), 0.2, random);
      await clock.sleep(waitMs, control.stop);
    }
  }

  async #shows(statement: Statement, control: AttemptControl): Promise<boolean> {
    try {
      if (statement.kind === 'database') {
        const all = await this.#bounded(control, (signal) => this.#deps.executor.inventory(signal));
        return all.some(({ database }) => database === statement.database);
      }
      const schema = await this.#describe(statement.id, control);
      if (statement.kind === 'create') return schema !== undefined;
      const names = new Set(schema?.columns.map(({ name }) => name));
      return statement.columns.every(({ name }) => names.has(name));
    } catch (error) {
      if (control.stop.aborted || control.kill.aborted) throw error;
      return false;
    }
  }

  async #describe(id: TableId, control: AttemptControl): Promise<TableSchema | undefined> {
    const [schema] = await this.#bounded(control, (signal) => this.#deps.executor.describe([id], signal));
    return schema;
  }

  /** A call that only reads: given up after the timeout, whatever the executor does. */
  #bounded<T>(control: AttemptControl, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { clock, ddlTimeoutMs } = this.#deps;
    return withChildAbort(control.kill, async (child) => {
      const slept = clock.sleep(ddlTimeoutMs, child.signal).then(
        () => child.abort(new Error(`no answer within ${ddlTimeoutMs} ms`)),
        () => undefined,
      );
      try {
        return await unlessAborted(call(child.signal), child.signal);
      } finally {
        child.abort();
        await slept;
      }
    });
  }
}

function isAnswer(result: DdlResult): result is AttemptResult & DdlResult {
  return result.kind !== 'ambiguous';
}

/** One column per name, the first one wins: the others are conflicts that the schema will show. */
function byName(columns: readonly ColumnSpec[]): ColumnSpec[] {
  const names = new Map<string, ColumnSpec>();
  for (const column of columns) {
    if (!names.has(column.name)) names.set(column.name, column);
  }
  return [...names.values()];
}

function same(wanted: ColumnSpec, there: ColumnSpec | undefined): boolean {
  return wanted.kind === there?.kind && wanted.type === there.type;
}

function typeConflict(wanted: ColumnSpec, there: ColumnSpec | undefined): AttemptResult {
  return {
    kind: 'invalid',
    code: 'TYPE_CONFLICT',
    message: `column ${wanted.name} is a ${there?.kind} of type ${there?.type}, wanted as ${wanted.kind} of type ${wanted.type}`,
  };
}

function transient(error: unknown): AttemptResult {
  return { kind: 'transient', code: 'UNEXPECTED', message: messageOf(error) };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The result of a promise that has already settled. */
async function settledNow<T>(promise: Promise<T>): Promise<T | undefined> {
  return Promise.race([promise, Promise.resolve(undefined)]);
}
