/**
 * Decides whether a text is one statement that only reads. DuckDB's own parser answers, by way of its serialised
 * syntax tree, which exists for queries alone (SELECT, WITH, FROM, VALUES, SHOW, DESCRIBE, SUMMARIZE). In the tree
 * every table function must be on a list, for some of DuckDB's change state or read files from inside a SELECT
 * (`checkpoint()`, `enable_profiling()`, `read_blob()`), and scalar functions with effects must not appear.
 * Behind this stand a read-only transaction and a configuration without file access (open.ts).
 */
import { type DuckDBConnection, StatementType, VARCHAR } from '@duckdb/node-api';
import { GatewayError } from '../../errors.ts';

/** Longer statements are refused: the tree may be a hundred times as long as the text. */
const MAX_SQL_BYTES = 128 * 1024;

const TABLE_FUNCTIONS = new Set([
  'duckdb_columns',
  'duckdb_databases',
  'duckdb_functions',
  'duckdb_schemas',
  'duckdb_tables',
  'duckdb_types',
  'duckdb_views',
  'generate_series',
  'json_each',
  'json_tree',
  'pragma_version',
  'range',
  'repeat',
  'summary',
  'unnest',
]);

const DENIED_FUNCTIONS = new Set(['currval', 'nextval', 'setseed', 'sleep_ms', 'write_log']);

/** What DuckDB's parser says of a text; the names are those of table functions and of all functions. */
const PARSE = `SELECT tree->>'$.error_type', tree->>'$.error_message', json_array_length(tree, '$.statements')::INTEGER,
    json_extract_string(tree, '$..function.function_name'), json_extract_string(tree, '$..function_name')
  FROM (SELECT json_serialize_sql($1::VARCHAR) AS tree)`;

type Parsed = [
  errorType: string | null,
  errorMessage: string | null,
  statements: number | null,
  tableFunctions: string[],
  functions: string[],
];

/** @throws {GatewayError} sql_invalid, with the reason, unless the text is one statement that only reads. */
export async function checkReadOnly(connection: DuckDBConnection, sql: string): Promise<void> {
  if (Buffer.byteLength(sql) > MAX_SQL_BYTES)
    throw invalid(`the statement is longer than ${MAX_SQL_BYTES} bytes`);
  if (sql.includes('\u0000')) throw invalid('the statement holds a NUL character');
  const reader = await connection.runAndReadAll(PARSE, [sql], [VARCHAR]);
  const [errorType, errorMessage, statements, tableFunctions, functions] = reader.getRowsJS()[0] as Parsed;
  if (errorType === 'not implemented') throw invalid('only statements that read are allowed');
  if (errorType !== null) throw invalid(errorMessage ?? errorType);
  if (statements !== 1) throw invalid('exactly one statement is allowed');
  const refused =
    tableFunctions.find((name) => !TABLE_FUNCTIONS.has(name.toLowerCase())) ??
    functions.find((name) => DENIED_FUNCTIONS.has(name.toLowerCase()));
  if (refused !== undefined) throw invalid(`function ${refused}() is not allowed`);
}

/** Says once more, from the prepared statement, that it is a query. @throws {GatewayError} sql_invalid */
export function checkStatementType(type: StatementType): void {
  if (type !== StatementType.SELECT) throw invalid('only statements that read are allowed');
}

/** A refusal of the statement itself. */
export function invalid(message: string, cause?: unknown): GatewayError {
  return new GatewayError('sql_invalid', message, { cause });
}
