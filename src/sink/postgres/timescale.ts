/**
 * Makes new tables hypertables where the TimescaleDB extension is in the database. Plain tables otherwise, and those
 * that are there already stay as they are.
 */
import type pg from 'pg';
import type { TableId } from '../../model/table.ts';
import { literal, qualified } from './names.ts';

/** The template of new hypertables. */
export interface HypertableOptions {
  /** Time that one chunk covers. */
  readonly chunkMs: number;
  /** Chunks that are older are dropped; 0: never. */
  readonly retentionMs: number;
}

/** What is to follow the CREATE TABLE, in the same transaction: empty without the extension. */
export async function createHypertable(
  client: pg.ClientBase,
  id: TableId,
  options: HypertableOptions,
): Promise<string> {
  const { rows } = await client.query<[schema: string]>({
    name: 'timescale',
    text: `SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
      WHERE e.extname = 'timescaledb'`,
    rowMode: 'array',
  });
  const schema = rows[0]?.[0];
  return schema === undefined ? '' : hypertableSql(schema, id, options);
}

/** The statements, each with the `;` before it; `schema` is where the extension's functions are. */
export function hypertableSql(
  schema: string,
  id: TableId,
  { chunkMs, retentionMs }: HypertableOptions,
): string {
  const call = `"${schema.replaceAll('"', '""')}"`;
  const table = literal(qualified(id));
  // The key begins with the time, so there is no need for the index that the extension would make.
  const create = `; SELECT ${call}.create_hypertable(${table}::regclass, 'time', chunk_time_interval => interval '${chunkMs} milliseconds', create_default_indexes => false)`;
  if (retentionMs === 0) return create;
  return `${create}; SELECT ${call}.add_retention_policy(${table}::regclass, interval '${retentionMs} milliseconds')`;
}
