/** The tables of the fake GreptimeDB: makes and widens them, takes rows as line protocol, gives rows back. */

import type { ValueType } from '../../src/model/column.ts';
import { PointBatch } from '../../src/model/point-batch.ts';
import { createLineParser } from '../../src/protocol/line-protocol.ts';
import { SeriesDictionary } from '../../src/protocol/series-dictionary.ts';
import type { ReadValue } from '../contract/sink-suite.ts';
import { type ExactRow, exactRows } from './exact-rows.ts';
import { type FakeColumn, type FakeStatement, fakeKey } from './fake-greptimedb-sql.ts';
import { WIDEST_LIMITS } from './parsers.ts';

/** A refusal with GreptimeDB's status code. */
export class FakeRefusal extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

interface FakeTable {
  readonly columns: FakeColumn[];
  readonly lastNonNull: boolean;
  /** By tags and time. */
  readonly rows: Map<string, Map<string, ReadValue>>;
}

const NAME = /^[a-zA-Z_:-][a-zA-Z0-9_:.@#-]*$/;
const DATA_TYPES: Readonly<Record<ValueType, string>> = {
  float64: 'Float64',
  int64: 'Int64',
  uint64: 'UInt64',
  bool: 'Boolean',
  string: 'String',
};
const TIME = 'greptime_timestamp';
/** Nanoseconds of a unit, by the type of a time index. */
const NANOS = new Map([
  ['TimestampSecond', 1_000_000_000n],
  ['TimestampMillisecond', 1_000_000n],
  ['TimestampMicrosecond', 1_000n],
  ['TimestampNanosecond', 1n],
]);

/** See the module comment. */
export class FakeStore {
  readonly databases = new Map<string, Map<string, FakeTable>>([
    ['public', new Map()],
    ['information_schema', new Map()],
    ['greptime_private', new Map()],
  ]);
  readonly #parser = createLineParser(new SeriesDictionary({ maxSeries: 10_000, maxBytes: 100_000_000 }, 5), {
    limits: WIDEST_LIMITS,
  });

  /** Rows of a query's answer; undefined: a statement without rows. */
  run(statement: FakeStatement): unknown[][] | undefined {
    if (statement.kind === 'database') return this.#createDatabase(statement.database);
    if (statement.kind === 'create') return this.#create(statement);
    if (statement.kind === 'alter') return this.#alter(statement);
    if (statement.kind === 'describe') return this.#describe(statement.wanted);
    if (statement.kind === 'schemata') return [...this.databases.keys()].map((name) => [name]);
    if (statement.kind === 'tables')
      return [...this.databases].flatMap(([name, { size }]) => (size > 0 ? [[name, size]] : []));
    return [[1]];
  }

  #createDatabase(database: string): undefined {
    if (!NAME.test(database)) throw new FakeRefusal(1_004, 'Invalid database name');
    if (!this.databases.has(database)) this.databases.set(database, new Map());
    return undefined;
  }

  /** Takes all of a body or, when one table is missing or not as it must be, nothing. */
  write(database: string, precision: string, body: Buffer): void {
    const tables = this.databases.get(database);
    if (tables === undefined) throw new FakeRefusal(4_004, `Database not found: ${database}`);
    const batch = new PointBatch();
    batch.reset(body, database);
    const { errors } = this.#parser.parse(batch, precision as 'ns', 0);
    if (errors.length > 0) throw new FakeRefusal(1_004, `Failed to parse: ${JSON.stringify(errors[0])}`);
    const rows = exactRows(batch, undefined, 'text');
    for (const row of rows) check(tables, row);
    for (const row of rows) store(tables.get(row.table) as FakeTable, row);
  }

  /** A table's rows in the order of their times. */
  read(database: string, table: string, columns: readonly string[]): ReadValue[][] {
    const rows = [...(this.databases.get(database)?.get(table)?.rows.values() ?? [])];
    rows.sort((a, b) => ((a.get(TIME) as bigint) < (b.get(TIME) as bigint) ? -1 : 1));
    return rows.map((row) => [row.get(TIME) as bigint, ...columns.map((name) => row.get(name) ?? null)]);
  }

  #create({ database, table, columns, lastNonNull }: FakeStatement & { kind: 'create' }): undefined {
    const tables = this.databases.get(database);
    if (tables === undefined) throw new FakeRefusal(4_004, `Database not found: ${database}`);
    if (!NAME.test(table)) throw new FakeRefusal(1_004, `Invalid table name: ${table}`);
    if (new Set(columns.map(({ name }) => name)).size < columns.length)
      throw new FakeRefusal(1_004, 'Duplicated column');
    if (!tables.has(table)) tables.set(table, { columns: [...columns], lastNonNull, rows: new Map() });
    return undefined;
  }

  #alter({ database, table, columns }: FakeStatement & { kind: 'alter' }): undefined {
    const found = this.databases.get(database)?.get(table);
    if (found === undefined) throw new FakeRefusal(4_001, `Table not found: ${table}`);
    for (const column of columns) {
      if (!found.columns.some(({ name }) => name === column.name)) found.columns.push(column);
    }
    return undefined;
  }

  #describe(wanted: ReadonlySet<string>): unknown[][] {
    return [...this.databases].flatMap(([database, tables]) =>
      [...tables].flatMap(([table, { columns }]) =>
        wanted.has(fakeKey(database, table))
          ? columns.map(({ name, dataType, semantic }) => [database, table, name, dataType, semantic])
          : [],
      ),
    );
  }
}

/** What GreptimeDB checks before it writes anything (src/operator/src/insert.rs, src/mito2/src/request.rs). */
function check(tables: ReadonlyMap<string, FakeTable>, { table, tags, cells }: ExactRow): void {
  const found = tables.get(table);
  if (found === undefined) {
    const reason = `Table \`${table}\` does not exist, and \`auto_create_table\` hint is disabled`;
    throw new FakeRefusal(1_004, `Invalid InsertRequest, reason: ${reason}`);
  }
  const wanted = [
    ...tags.map(([name]) => [name, 'TAG', 'String'] as const),
    ...cells.map(([name, type]) => [name, 'FIELD', DATA_TYPES[type]] as const),
  ];
  for (const [name, semantic, dataType] of wanted) {
    const column = found.columns.find((one) => one.name === name);
    if (column === undefined) throw new FakeRefusal(1_004, `unknown columns: ["${name}"]`);
    if (column.semantic !== semantic || column.dataType !== dataType)
      throw new FakeRefusal(1_004, `column ${name} expect type ${column.dataType}, given: ${dataType}`);
  }
}

function store({ columns, lastNonNull, rows }: FakeTable, { tags, time, cells }: ExactRow): void {
  const nanos = NANOS.get(columns.find(({ name }) => name === TIME)?.dataType ?? '') ?? 1n;
  const kept = (time / nanos) * nanos;
  const key = JSON.stringify([tags, String(kept)]);
  const row =
    (lastNonNull ? rows.get(key) : undefined) ?? new Map<string, ReadValue>([[TIME, kept], ...tags]);
  for (const [name, type, value] of cells) row.set(name, valueOf(type, value));
  rows.set(key, row);
}

function valueOf(type: ValueType, value: bigint | string): ReadValue {
  if (typeof value === 'string') return value;
  if (type === 'int64') return BigInt.asIntN(64, value);
  if (type === 'uint64') return BigInt.asUintN(64, value);
  const float = new Float64Array(BigInt64Array.of(BigInt.asIntN(64, value)).buffer)[0] as number;
  return type === 'bool' ? float === 1 : float;
}
