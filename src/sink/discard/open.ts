/**
 * A sink that stores nothing, for load tests of everything before the database. It has schemas, so the guard works
 * as it does with a database, and its writer copies the rows into columns and checks them before it drops them.
 */
import { randomUUID } from 'node:crypto';
import type { Sink } from '../../model/sink.ts';
import { createDiscardCatalog } from './catalog.ts';
import { createDiscardWriter } from './writer.ts';

/** Bounds of the sink. */
export interface DiscardOptions {
  /** Tables in its catalog; more are refused. */
  readonly maxTables: number;
}

/** A sink that stores nothing. */
export interface DiscardSink extends Sink {
  stats(): { readonly tables: number; readonly rows: number };
}

/** Creates the sink. */
export function openDiscard(options: DiscardOptions): DiscardSink {
  const catalog = createDiscardCatalog(options.maxTables);
  let rows = 0;
  return {
    privateId: randomUUID(),
    names: { checkDatabase: () => undefined, checkTable: () => undefined, checkColumn: () => undefined },
    ddl: catalog,
    writer: createDiscardWriter(catalog, (written) => {
      rows += written;
    }),
    stats: () => ({ tables: catalog.tableCount, rows }),
    close: () => Promise.resolve(),
  };
}
