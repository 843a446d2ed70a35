/**
 * The simulated database: what becomes of a statement is decided by the table's name and by chance, takes its time,
 * and goes on whatever becomes of the gateway that sent it. The first part of a table's name says how it behaves.
 */
import type { ColumnSpec } from '../../src/model/column.ts';
import type { DdlExecutor, DdlResult } from '../../src/model/sink.ts';
import { type TableId, type TableSchema, tableKey } from '../../src/model/table.ts';
import type { Random } from '../../src/util/backoff.ts';
import type { FakeClock } from '../helpers/fake-clock.ts';
import type { Life } from './life.ts';
import { type StatementRules, type StatementText, targetOf } from './statement-rules.ts';
import type { Step } from './steps.ts';

/** How tables behave, by the first part of their names. */
export const TABLE_KINDS = ['good', 'bad', 'flaky', 'never', 'lost', 'slow'] as const;

/** What the database needs of the process that calls it. */
export interface CallerProcess {
  readonly id: string;
  readonly life: Life;
  readonly clock: { sleep(ms: number, signal?: AbortSignal): Promise<void> };
  readonly at: (step: Step) => Promise<void>;
}

/** What is to become of a statement; `applyMs` undefined: it has no effect. */
interface Fate {
  readonly result: DdlResult;
  readonly answerMs: number;
  readonly applyMs: number | undefined;
  /** False: it does not react when it is given up. */
  readonly obeys: boolean;
}

/** See the module comment. */
export class SimDatabase {
  readonly tables = new Map<string, ColumnSpec[]>();
  readonly databases = new Set<string>();
  /** Tables that somebody dropped, at any time. */
  readonly everDropped = new Set<string>();
  /** What was asked about or changed. */
  readonly touched = new Set<string>();
  /** Every statement, and every look at the schema, fails like this. */
  mood: 'up' | 'down' | 'denying' = 'up';
  /** True: only what cannot work fails. */
  calm = false;
  rules: StatementRules | undefined;
  readonly #healed = new Set<string>();
  readonly #clock: FakeClock;
  readonly #random: Random;
  readonly #trace: (what: string) => void;

  constructor(deps: { clock: FakeClock; random: Random; trace: (what: string) => void }) {
    this.#clock = deps.clock;
    this.#random = deps.random;
    this.#trace = deps.trace;
  }

  exists(target: string): boolean {
    return this.tables.has(target) || this.databases.has(target);
  }

  /** From now on every table of this name can be made. */
  heal(table: string): void {
    this.#healed.add(table);
  }

  /** Somebody drops a table by hand. */
  drop(target: string): void {
    this.tables.delete(target);
    this.everDropped.add(target);
    this.rules?.dropped(target);
  }

  /** The database as a gateway has it. */
  connect(caller: CallerProcess): DdlExecutor {
    return {
      describe: (ids, signal) => this.#describe(caller, ids, signal),
      inventory: async (signal) => {
        await this.#travel(caller, signal);
        return [...this.databases].map((database) => ({ database, tables: 0 }));
      },
      createDatabase: (database, signal) =>
        this.#run(caller, { kind: 'database', database, table: undefined }, signal, () =>
          this.databases.add(database),
        ),
      createTable: ({ id, columns }, signal) =>
        this.#run(caller, { kind: 'create', ...id }, signal, () => {
          if (!this.tables.has(tableKey(id))) this.tables.set(tableKey(id), [...columns]);
        }),
      addColumns: (id, columns, signal) =>
        this.#run(caller, { kind: 'widen', ...id }, signal, () => this.#widen(id, columns)),
    };
  }

  #widen(id: TableId, columns: readonly ColumnSpec[]): void {
    const there = this.tables.get(tableKey(id));
    for (const column of columns) {
      if (there?.some(({ name }) => name === column.name) === false) there.push(column);
    }
  }

  async #describe(
    caller: CallerProcess,
    ids: readonly TableId[],
    signal: AbortSignal,
  ): Promise<(TableSchema | undefined)[]> {
    for (const id of ids) this.touched.add(tableKey(id));
    await this.#travel(caller, signal);
    const schemas = ids.map((id) => {
      const columns = this.tables.get(tableKey(id));
      return columns === undefined ? undefined : { columns: [...columns] };
    });
    await this.#travel(caller, signal);
    return schemas;
  }

  /** The way to the database, or back. @throws when it is down, or now and then */
  async #travel(caller: CallerProcess, signal: AbortSignal): Promise<void> {
    const dice = this.#random();
    if (dice < 0.3) await caller.clock.sleep(this.#random() * 50, signal);
    if (!this.calm && dice > 0.99) await caller.clock.sleep(60_000, signal);
    if (this.mood === 'down' || (!this.calm && dice > 0.97)) throw new Error('the database does not answer');
  }

  async #run(
    caller: CallerProcess,
    text: StatementText,
    signal: AbortSignal,
    apply: () => void,
  ): Promise<DdlResult> {
    this.touched.add(targetOf(text));
    const sent = this.rules?.began(caller.id, text);
    await caller.at('ddl.before');
    const fate = this.#fate(text);
    this.#trace(`${caller.id} ${text.kind} ${text.database}.${text.table}: ${fate.result.kind}`);
    if (fate.applyMs !== undefined) this.#clock.schedule(fate.applyMs, apply);
    await caller.at('ddl.in');
    const result = await this.#answer(caller, fate, signal);
    // A late answer ends it, too; until then the rules count it as running.
    if (sent !== undefined) this.rules?.ended(sent, result.kind);
    await caller.at('ddl.after');
    return result;
  }

  /** The answer, or that it was given up. It comes by the database's time: no timer of the gateway's is about. */
  #answer({ life }: CallerProcess, fate: Fate, signal: AbortSignal): Promise<DdlResult> {
    return new Promise((resolve) => {
      const give = (result: DdlResult): void => {
        cancel();
        signal.removeEventListener('abort', giveUp);
        resolve(result);
      };
      const giveUp = (): void => {
        if (fate.obeys) give({ kind: 'ambiguous', code: 'ABORTED', message: 'given up' });
      };
      const cancel = this.#clock.schedule(fate.answerMs, () => life.deliver(() => give(fate.result)));
      signal.addEventListener('abort', giveUp);
      if (signal.aborted) giveUp();
    });
  }

  #fate({ table, database }: StatementText): Fate {
    const name = table ?? database;
    const answerMs = 1 + this.#random() ** 3 * 1_500;
    const applyMs = answerMs * this.#random();
    const obeys = this.#random() < 0.7;
    const failing = (kind: 'invalid' | 'denied' | 'transient'): Fate => ({
      result: { kind, code: `E_${kind}`, message: `no: ${name}` },
      answerMs,
      applyMs: undefined,
      obeys,
    });
    if (this.mood === 'down') return failing('transient');
    if (this.mood === 'denying') return failing('denied');
    const works: Fate = { result: { kind: 'done' }, answerMs, applyMs, obeys };
    if (this.#healed.has(name)) return works;
    const kind = name.slice(0, name.indexOf('-'));
    if (kind === 'bad') return failing('invalid');
    if (kind === 'never') return failing('transient');
    if (this.calm) return works;
    if (kind === 'flaky' && this.#random() < 0.6) return failing('transient');
    if (kind === 'slow') return { ...works, answerMs: answerMs + this.#random() * 6_000 };
    return kind === 'lost' || this.#random() < 0.03 ? this.#lost(works) : works;
  }

  /** No clear answer; it works at once, later, or not at all. */
  #lost(works: Fate): Fate {
    const dice = this.#random();
    const applyMs = dice < 0.4 ? works.applyMs : dice < 0.7 ? this.#random() * 8_000 : undefined;
    return { ...works, applyMs, result: { kind: 'ambiguous', code: 'LOST', message: 'connection lost' } };
  }
}
