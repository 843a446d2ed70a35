/**
 * Numbers for the series of a flush that have none yet. Known ones are found by one query over a 64-bit hash
 * (series that only share the hash are told apart by their tags), new ones are inserted in the flush's transaction.
 * The tags of a series are stored as a list, each at the position of its tag column.
 */
import { hash as digest } from 'node:crypto';
import { DuckDBDataChunk, INTEGER, LIST, listValue, UBIGINT, VARCHAR } from '@duckdb/node-api';
import duckdb from '@duckdb/node-bindings';
import type { Series, TagSet } from '../../model/series.ts';
import type { CatalogTable } from './catalog.ts';
import { CATALOG, STORE } from './layout.ts';
import type { Transaction } from './session.ts';

/** A series to be numbered, and its table and tag columns in the catalog. */
export interface UnknownSeries {
  readonly series: Series;
  readonly table: CatalogTable;
}

/** Numbers series. */
export interface SeriesIds {
  /** The numbers of all given, new ones included; these hold only if the transaction commits. */
  resolve(unknown: readonly UnknownSeries[], transaction: Transaction): Promise<ReadonlyMap<Series, number>>;
  /** Numbers given so far; those of transactions that failed are not used again. */
  readonly count: number;
}

/** One series as stored, whatever objects stand for it. */
interface Identity {
  readonly key: string;
  readonly tableId: number;
  readonly hash: bigint;
  readonly tags: readonly (string | null)[];
}

/** Creates the numbering; `lastId` is the highest number in the file, 0 when there is none. */
export function createSeriesIds(lastId: number): SeriesIds {
  let count = lastId;
  return {
    get count() {
      return count;
    },
    async resolve(unknown, transaction) {
      const identities = new Map<string, Identity>();
      const keys = new Map<Series, string>();
      const positions = new Map<TagSet, readonly number[]>();
      for (const { series, table } of unknown) {
        const identity = identify(series, table, positions);
        identities.set(identity.key, identity);
        keys.set(series, identity.key);
      }
      const ids = await findIds([...identities.values()], transaction);
      const created: [number, Identity][] = [];
      for (const identity of identities.values()) {
        if (ids.has(identity.key)) continue;
        ids.set(identity.key, ++count);
        created.push([count, identity]);
      }
      if (created.length > 0) await insert(created, transaction);
      return new Map(Array.from(keys, ([series, key]) => [series, ids.get(key) as number]));
    },
  };
}

function identify(series: Series, table: CatalogTable, positions: Map<TagSet, readonly number[]>): Identity {
  let at = positions.get(series.tagSet);
  if (at === undefined) {
    at = series.tagSet.keys.map((key) => table.columns.get(key)?.tagPosition ?? 0);
    positions.set(series.tagSet, at);
  }
  const tags = Array.from({ length: Math.max(0, ...at) }, () => null as string | null);
  for (const [i, position] of at.entries()) tags[position - 1] = series.values[i] as string;
  const key = keyOf(table.id, tags);
  return { key, tableId: table.id, hash: digest('sha256', key, 'buffer').readBigUInt64LE(), tags };
}

function keyOf(tableId: number, tags: readonly (string | null)[]): string {
  return `${tableId}${JSON.stringify(tags)}`;
}

async function findIds(wanted: readonly Identity[], transaction: Transaction): Promise<Map<string, number>> {
  const ids = new Map<string, number>();
  const reader = await transaction.optimized((connection) =>
    connection.runAndReadAll(
      `SELECT id, table_id, tags FROM "${CATALOG}".${STORE}.series WHERE hash IN (SELECT unnest($1))`,
      [listValue(wanted.map((identity) => identity.hash))],
      [LIST(UBIGINT)],
    ),
  );
  for (const [id, tableId, tags] of reader.getRowsJS()) {
    ids.set(keyOf(tableId as number, tags as (string | null)[]), id as number);
  }
  return ids;
}

async function insert(created: readonly [number, Identity][], transaction: Transaction): Promise<void> {
  const appender = await transaction.appender('series');
  const chunkRows = duckdb.vector_size();
  for (let start = 0; start < created.length; start += chunkRows) {
    const rows = created.slice(start, start + chunkRows);
    const chunk = DuckDBDataChunk.create([INTEGER, INTEGER, UBIGINT, LIST(VARCHAR)], rows.length);
    chunk.setRows(rows.map(([id, { tableId, hash, tags }]) => [id, tableId, hash, listValue(tags)]));
    appender.appendDataChunk(chunk);
  }
}
