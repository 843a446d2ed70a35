/**
 * The GreptimeDB that GREPTIMEDB_URL names, for running the contract of sinks over it. Everything in it is erased before
 * each test, so it must be one of its own.
 */

import type { TableId } from '../../src/model/table.ts';
import type { ReadValue, StoringSink } from '../contract/sink-suite.ts';

/** Its address; undefined: there is none to test with. */
export const REAL_GREPTIMEDB_URL = process.env['GREPTIMEDB_URL'];

const SYSTEM = new Set(['information_schema', 'pg_catalog', 'greptime_private']);
const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;
const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** The rows of a statement, as text or numbers. */
async function sql(url: string, text: string): Promise<(string | number | boolean | null)[][]> {
  const answer = await fetch(`${url}/v1/sql`, { method: 'POST', body: new URLSearchParams({ sql: text }) });
  const said = await answer.text();
  if (!answer.ok) throw new Error(`${text}: ${said}`);
  const { output } = JSON.parse(said) as { output: { records?: { rows: string[][] } }[] };
  return output[0]?.records?.rows ?? [];
}

/** Drops all databases and tables of clients. */
export async function eraseGreptimeDb(url: string): Promise<void> {
  for (const [name] of await sql(url, 'SELECT schema_name FROM information_schema.schemata')) {
    const database = String(name);
    if (SYSTEM.has(database)) continue;
    if (database !== 'public') await sql(url, `DROP DATABASE ${quote(database)}`);
  }
  const tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'";
  for (const [table] of await sql(url, tables)) await sql(url, `DROP TABLE "public".${quote(String(table))}`);
}

/** Reads rows; integers by way of text, or JSON would round them. */
export function createReader(url: string): StoringSink['read'] {
  return async ({ database, table }: TableId, columns: readonly string[]) => {
    const where = `table_schema = ${literal(database)} AND table_name = ${literal(table)}`;
    const described = await sql(
      url,
      `SELECT column_name, greptime_data_type FROM information_schema.columns WHERE ${where}`,
    );
    const types = new Map(described.map(([name, type]) => [name, String(type)]));
    const isInteger = (name: string): boolean => ['Int64', 'UInt64'].includes(types.get(name) ?? '');
    const list = columns.map((name) => (isInteger(name) ? `CAST(${quote(name)} AS STRING)` : quote(name)));
    const time = 'CAST(CAST("greptime_timestamp" AS BIGINT) AS STRING)';
    const rows = await sql(
      url,
      `SELECT ${[time, ...list].join(', ')} FROM ${quote(database)}.${quote(table)} ORDER BY "greptime_timestamp"`,
    );
    return rows.map(([nanos, ...values]): ReadValue[] => [
      BigInt(String(nanos)),
      ...values.map((value, i) =>
        value !== null && isInteger(columns[i] ?? '') ? BigInt(String(value)) : value,
      ),
    ]);
  };
}
