/**
 * A database that many gateways share, in the test's own process, over HTTP: it has schemas and counts rows, in memory
 * only, and writes down every statement with its time and the gateway that sent it. Rules by name make statements
 * fail, slow, hang, or lose their answer. CREATE is idempotent. `remote-sink.ts` is the gateways' side of it.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import type { ColumnSpec } from '../../src/model/column.ts';
import type { DdlResult } from '../../src/model/sink.ts';
import { type TableId, tableKey } from '../../src/model/table.ts';

/** A statement as it came in. */
export interface Statement {
  /** Wall clock, as the values in etcd. */
  readonly atMs: number;
  readonly gateway: string;
  readonly kind: 'database' | 'create' | 'widen';
  readonly database: string;
  readonly table: string | undefined;
}

/**
 * What goes wrong with the statements for a name. `slow`: answered after `ms`. `hang`: never answered, not applied.
 * `drop`: applied, and the connection cut. The rest are answers.
 */
export interface Rule {
  readonly pattern: RegExp;
  readonly fault: 'invalid' | 'transient' | 'denied' | 'slow' | 'hang' | 'drop';
  readonly ms?: number;
}

/** What gateways send; the answer's type depends on `call`. */
export type Request =
  | { readonly call: 'describe'; readonly ids: readonly TableId[] }
  | { readonly call: 'inventory' }
  | { readonly call: 'database'; readonly database: string }
  | { readonly call: 'create' | 'widen'; readonly id: TableId; readonly columns: readonly ColumnSpec[] }
  | { readonly call: 'write'; readonly tables: readonly (readonly [TableId, number])[] };

type Ddl = Extract<Request, { readonly call: 'database' | 'create' | 'widen' }>;

const DONE: DdlResult = { kind: 'done' };

/** See the module comment. */
export class FakeDatabase {
  /** The first that matches counts. */
  rules: readonly Rule[] = [];
  readonly statements: Statement[] = [];
  readonly databases = new Set<string>(['public']);
  readonly tables = new Map<string, ColumnSpec[]>();
  /** Databases and `tableKey`s that were described or changed. */
  readonly touched = new Set<string>();
  /** Rows written per `tableKey`. */
  readonly rows = new Map<string, number>();
  rowCount = 0;
  readonly #server: Server = createServer((request, response) => void this.#serve(request, response));

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  listen(): Promise<void> {
    this.#server.keepAliveTimeout = 60_000;
    return new Promise((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  has(table: string, database = 'public'): boolean {
    return this.tables.has(tableKey({ database, table }));
  }

  rowsOf(table: string, database = 'public'): number {
    return this.rows.get(tableKey({ database, table })) ?? 0;
  }

  /** The CREATEs of tables whose name matches, in order. */
  creates(pattern: RegExp = /^/): readonly Statement[] {
    return this.statements.filter(({ kind, table }) => kind === 'create' && pattern.test(table ?? ''));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer);
    } catch {
      return; // The gateway was killed while it sent.
    }
    const body = JSON.parse(Buffer.concat(chunks).toString()) as Request;
    const gateway = (request.url ?? '/').slice(1);
    const answer = (value: unknown): void => void response.end(JSON.stringify(value));
    if (body.call === 'describe') answer(body.ids.map((id) => this.#describe(id)));
    else if (body.call === 'inventory') answer(this.#inventory());
    else if (body.call === 'write') answer(this.#write(body.tables));
    else this.#ddl(body, gateway, { answer, cut: () => request.socket.destroy() });
  }

  #describe(id: TableId): ColumnSpec[] | null {
    this.touched.add(tableKey(id));
    return this.tables.get(tableKey(id)) ?? null;
  }

  #inventory(): { database: string; tables: number }[] {
    const counts = new Map([...this.databases].map((name) => [name, 0]));
    for (const key of this.tables.keys()) {
      const database = key.slice(0, key.indexOf('\u0000'));
      counts.set(database, (counts.get(database) ?? 0) + 1);
    }
    return Array.from(counts, ([database, tables]) => ({ database, tables }));
  }

  /** The tables that are missing; if there are any, nothing is written. */
  #write(tables: readonly (readonly [TableId, number])[]): TableId[] {
    const missing = tables.map(([id]) => id).filter((id) => !this.tables.has(tableKey(id)));
    if (missing.length > 0) return missing;
    for (const [id, rows] of tables) {
      this.rows.set(tableKey(id), (this.rows.get(tableKey(id)) ?? 0) + rows);
      this.rowCount += rows;
    }
    return [];
  }

  #ddl(body: Ddl, gateway: string, to: { answer: (value: DdlResult) => void; cut: () => void }): void {
    const { database, table } = body.call === 'database' ? { ...body, table: undefined } : body.id;
    this.touched.add(table === undefined ? database : tableKey({ database, table }));
    this.statements.push({ atMs: Date.now(), gateway, kind: body.call, database, table });
    const rule = this.rules.find(({ pattern }) => pattern.test(table ?? database));
    const reply = (): void => to.answer(this.#apply(body));
    switch (rule?.fault) {
      case undefined:
        return reply();
      case 'slow':
        return void setTimeout(reply, rule?.ms ?? 1_000);
      case 'hang':
        return;
      case 'drop':
        this.#apply(body);
        return to.cut();
      case 'invalid':
      case 'transient':
      case 'denied':
        return to.answer({ kind: rule?.fault as 'invalid', code: 'E1', message: `${rule?.fault} by rule` });
    }
  }

  #apply(body: Ddl): DdlResult {
    if (body.call === 'database') {
      this.databases.add(body.database);
      return DONE;
    }
    const key = tableKey(body.id);
    const table = this.tables.get(key);
    if (!this.databases.has(body.id.database)) {
      return { kind: 'transient', code: 'NO_DATABASE', message: `no database ${body.id.database}` };
    }
    if (body.call === 'create') {
      if (table === undefined) this.tables.set(key, [...body.columns]);
      return DONE;
    }
    if (table === undefined)
      return { kind: 'transient', code: 'NO_TABLE', message: `no table ${body.id.table}` };
    const names = new Set(table.map(({ name }) => name));
    table.push(...body.columns.filter(({ name }) => !names.has(name)));
    return DONE;
  }
}

/** A database that is closed when the test ends. */
export async function startFakeDatabase(t: Pick<TestContext, 'after'>): Promise<FakeDatabase> {
  const database = new FakeDatabase();
  await database.listen();
  t.after(() => database.close());
  return database;
}
