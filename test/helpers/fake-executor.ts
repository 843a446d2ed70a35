/**
 * A database that has only schemas: creates and widens what it is told, and writes down every call. A test gives it
 * other answers per statement; `apply` then decides whether the statement worked all the same.
 */
import type { ColumnSpec } from '../../src/model/column.ts';
import type { DatabaseInventory, DdlExecutor, DdlResult, TableSpec } from '../../src/model/sink.ts';
import { type TableId, type TableSchema, tableKey } from '../../src/model/table.ts';

/** A statement that was sent, in order. */
export interface SentStatement {
  readonly kind: 'database' | 'create' | 'widen';
  readonly database: string;
  readonly table: string | undefined;
  readonly columns: readonly ColumnSpec[];
}

/** Answers in place of the database; `apply` does what was asked for. Undefined: it works. */
export type Answer = (
  statement: SentStatement,
  apply: () => void,
  signal: AbortSignal,
) => DdlResult | Promise<DdlResult> | undefined;

/** See the module comment. */
export class FakeExecutor implements DdlExecutor {
  answer: Answer | undefined = undefined;
  /** In place of what `describe` reads; undefined: the truth. */
  onDescribe: ((id: TableId, signal: AbortSignal) => Promise<void>) | undefined = undefined;
  readonly sent: SentStatement[] = [];
  readonly databases = new Set<string>();
  readonly tables = new Map<string, ColumnSpec[]>();
  /** Keys (database, or database and table) that were described or changed. */
  readonly touched = new Set<string>();
  running = 0;
  mostRunning = 0;

  async describe(ids: readonly TableId[], signal: AbortSignal): Promise<(TableSchema | undefined)[]> {
    for (const id of ids) {
      this.touched.add(tableKey(id));
      await this.onDescribe?.(id, signal);
    }
    return ids.map((id) => {
      const columns = this.tables.get(tableKey(id));
      return columns === undefined ? undefined : { columns: [...columns] };
    });
  }

  async inventory(): Promise<DatabaseInventory[]> {
    return [...this.databases].map((database) => ({ database, tables: 0 }));
  }

  createDatabase(database: string, signal: AbortSignal): Promise<DdlResult> {
    const statement = { kind: 'database' as const, database, table: undefined, columns: [] };
    this.touched.add(database);
    return this.#run(statement, () => this.databases.add(database), signal);
  }

  createTable({ id, columns }: TableSpec, signal: AbortSignal): Promise<DdlResult> {
    const make = (): void => {
      if (!this.tables.has(tableKey(id))) this.tables.set(tableKey(id), [...columns]);
    };
    return this.#run({ kind: 'create', ...id, columns }, make, signal);
  }

  addColumns(id: TableId, columns: readonly ColumnSpec[], signal: AbortSignal): Promise<DdlResult> {
    const widen = (): void => void this.tables.get(tableKey(id))?.push(...columns);
    return this.#run({ kind: 'widen', ...id, columns }, widen, signal);
  }

  /** How many statements were sent for a table. */
  sentFor(table: string): number {
    return this.sent.filter((statement) => statement.table === table).length;
  }

  async #run(statement: SentStatement, apply: () => void, signal: AbortSignal): Promise<DdlResult> {
    this.sent.push(statement);
    this.running++;
    this.mostRunning = Math.max(this.mostRunning, this.running);
    try {
      const answer = this.answer?.(statement, apply, signal);
      if (answer !== undefined) return await answer;
      apply();
      return { kind: 'done' };
    } finally {
      this.running--;
    }
  }
}
