/**
 * Decides whether a text is one statement that only reads, and whose size when DuckDB has expanded it stays in
 * proportion. DuckDB's own parser answers, by way of its serialised syntax tree, which exists for queries alone
 * (SELECT, WITH, FROM, VALUES, SHOW, DESCRIBE, SUMMARIZE). In the tree every function must be on a list
 * (sql-functions.ts), and what multiplies when it is nested is counted: DuckDB expands it before it runs anything,
 * and then neither obeys an interrupt nor counts the memory. Behind this stand a read-only transaction and a
 * configuration without file access (database.ts).
 */
import { type DuckDBConnection, StatementType, VARCHAR } from '@duckdb/node-api';
import { GatewayError } from '../../errors.ts';
import { DENIED_VIEWS, FUNCTIONS, TABLE_FUNCTIONS } from './sql-functions.ts';

/** Longer statements are refused; two names of 64 KiB, the longest of line protocol, fit. */
const MAX_SQL_BYTES = 144 * 1024;

/** What one statement may have of each; together they keep its expansion to thousands, not 2^n. */
const LIMITS = { SELECTs: 32, tables: 16, stars: 8, aliasUses: 16 };
const NAMES: Counts<string> = {
  SELECTs: 'SELECTs',
  tables: 'tables',
  stars: '*',
  aliasUses: 'uses of aliases',
};

type Counts<T> = Record<keyof typeof LIMITS, T>;

/** A node of the syntax tree, as far as it is looked at. */
type Node = Readonly<Record<string, unknown>>;

/** @throws {GatewayError} sql_invalid, with the reason, unless the text is one statement that only reads. */
export async function checkReadOnly(connection: DuckDBConnection, sql: string): Promise<void> {
  if (Buffer.byteLength(sql) > MAX_SQL_BYTES)
    throw invalid(`the statement is longer than ${MAX_SQL_BYTES} bytes`);
  if (sql.includes('\u0000')) throw invalid('the statement holds a NUL character');
  const reader = await connection.runAndReadAll('SELECT json_serialize_sql($1::VARCHAR)', [sql], [VARCHAR]);
  const tree = JSON.parse(reader.getRowsJS()[0]?.[0] as string) as Node;
  if (tree['error_type'] === 'not implemented') throw invalid('only statements that read are allowed');
  if (tree['error'] !== false) throw invalid(String(tree['error_message'] ?? tree['error_type']));
  const statements = tree['statements'] as readonly unknown[];
  if (statements.length !== 1) throw invalid('exactly one statement is allowed');
  const counts = { SELECTs: 0, tables: 0, stars: 0, aliasUses: 0 };
  walk(statements, (node) => {
    checkNode(node, counts);
    // The function itself was looked at: in FROM another list holds.
    return node['type'] === 'TABLE_FUNCTION' ? (node['function'] as Node)['children'] : node;
  });
}

/** Says once more, from the prepared statement, that it is a query. @throws {GatewayError} sql_invalid */
export function checkStatementType(type: StatementType): void {
  if (type !== StatementType.SELECT) throw invalid('only statements that read are allowed');
}

/** A refusal of the statement itself. */
export function invalid(message: string, cause?: unknown): GatewayError {
  return new GatewayError('sql_invalid', message, { cause });
}

/** Shows every node once and goes into what `visit` answers; no recursion, for trees are thousands of levels deep. */
function walk(root: unknown, visit: (node: Node) => unknown): void {
  const pending: unknown[] = [root];
  while (pending.length > 0) {
    const next = pending.pop();
    if (typeof next !== 'object' || next === null) continue;
    const into = Array.isArray(next) ? next : (visit(next as Node) as object);
    for (const child of Object.values(into)) pending.push(child);
  }
}

function checkNode(node: Node, counts: Counts<number>): void {
  switch (node['type']) {
    case 'SELECT_NODE':
      add(1, 'SELECTs', counts);
      add(aliasUses(node['select_list'] as readonly Node[]), 'aliasUses', counts);
      break;
    case 'BASE_TABLE':
      add(1, 'tables', counts);
      checkTable(node);
      break;
    case 'TABLE_FUNCTION':
      add(1, 'tables', counts);
      checkFunction(node['function'] as Node, TABLE_FUNCTIONS);
      break;
    case 'STAR':
      add(1, 'stars', counts);
  }
  if ('function_name' in node) checkFunction(node, FUNCTIONS);
  if (node['id'] === 'ARRAY') throw invalid('arrays of a fixed size are not allowed');
}

function add(n: number, what: keyof typeof LIMITS, counts: Counts<number>): void {
  counts[what] += n;
  if (counts[what] > LIMITS[what])
    throw invalid(`more than ${LIMITS[what]} ${NAMES[what]} in one statement are not allowed`);
}

function checkFunction({ function_name: name }: Node, allowed: ReadonlySet<string>): void {
  if (!allowed.has(String(name).toLowerCase())) throw invalid(`function ${String(name)}() is not allowed`);
}

/** A metric may have such a name, too; it is found with the schema before it. */
function checkTable({ table_name: name, schema_name: schema }: Node): void {
  const isOwn = ['', 'main', 'pg_catalog'].includes(String(schema).toLowerCase());
  if (isOwn && DENIED_VIEWS.has(String(name).toLowerCase())) throw invalid(`${String(name)} is not allowed`);
}

/** How often items of a SELECT list use the aliases of items before them, which copies those items into them. */
function aliasUses(items: readonly Node[]): number {
  const aliases = new Set<string>();
  let uses = 0;
  for (const item of items) {
    if (aliases.size > 0)
      walk(item, (node) => {
        if (node['class'] === 'COLUMN_REF') {
          const [first] = node['column_names'] as readonly string[];
          if (aliases.has(String(first).toLowerCase())) uses++;
        }
        return node;
      });
    if (item['alias'] !== '') aliases.add(String(item['alias']).toLowerCase());
  }
  return uses;
}
