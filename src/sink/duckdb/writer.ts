/**
 * Writes a flush: numbers for what has none yet, then all cells, in one transaction that is durable when `write`
 * resolves (DuckDB syncs its log at commit). Nothing of a failed flush is stored. The numbers are kept on the
 * Series and Field objects, which therefore belong to one sink; they are set only once they are committed.
 */
import type { DuckDBAppender } from '@duckdb/node-api';
import type { ValueType } from '../../model/column.ts';
import type { PointBatch } from '../../model/point-batch.ts';
import type { Field, Series } from '../../model/series.ts';
import { WriteError, type Writer } from '../../model/sink.ts';
import type { TableId } from '../../model/table.ts';
import type { Catalog, CatalogTable } from './catalog.ts';
import { createCellWriter } from './cells.ts';
import { writeFailure } from './errors.ts';
import { cellTable } from './layout.ts';
import type { Serial } from './serial.ts';
import type { SeriesIds, UnknownSeries } from './series-ids.ts';
import type { Session } from './session.ts';

/** What the writer works with. */
export interface WriterDeps {
  readonly catalog: Catalog;
  readonly seriesIds: SeriesIds;
  readonly serial: Serial;
  readonly session: Session;
}

/** What a flush holds, found by one pass over its rows. */
interface Survey {
  readonly unknown: Map<Series, UnknownSeries>;
  readonly missing: Map<string, TableId>;
  readonly types: Set<ValueType>;
  rows: number;
}

/** Creates the writer. */
export function createWriter({ catalog, seriesIds, serial, session }: WriterDeps): Writer {
  const cells = createCellWriter();

  async function flush(batches: readonly PointBatch[]): Promise<void> {
    const { unknown, missing, types, rows } = surveyOf(batches, catalog);
    if (missing.size > 0) throw new WriteError({ kind: 'missing', tables: [...missing.values()] });
    if (rows === 0) return;
    const resolved = await session.transaction(async (transaction) => {
      const ids =
        unknown.size === 0
          ? new Map<Series, number>()
          : await seriesIds.resolve([...unknown.values()], transaction);
      const appenders = new Map<ValueType, DuckDBAppender>();
      for (const type of types) appenders.set(type, await transaction.appender(cellTable(type)));
      cells.append(batches, ids, appenders);
      return ids;
    });
    for (const [series, id] of resolved) series.storageId = id;
  }

  return {
    async write(batches, signal) {
      try {
        await serial.run(() => {
          if (signal.aborted)
            throw new WriteError({ kind: 'transient', code: 'aborted', message: 'aborted' });
          return flush(batches);
        });
      } catch (error) {
        throw writeFailure(error);
      }
    },
  };
}

function surveyOf(batches: readonly PointBatch[], catalog: Catalog): Survey {
  const survey: Survey = { unknown: new Map(), missing: new Map(), types: new Set(), rows: 0 };
  for (const batch of batches) {
    for (let row = 0; row < batch.rows; row++) {
      if (batch.skip[row] === 0) surveyRow(batch, row, catalog, survey);
    }
  }
  return survey;
}

function surveyRow(batch: PointBatch, row: number, catalog: Catalog, survey: Survey): void {
  survey.rows++;
  const series = batch.series[row] as Series;
  if (series.storageId < 0 && !survey.unknown.has(series)) {
    const table = tableOf(series, catalog);
    if (table !== undefined) survey.unknown.set(series, { series, table });
    else addMissing(series.tagSet.table, survey);
  }
  const end = batch.firstCell[row + 1] as number;
  for (let cell = batch.firstCell[row] as number; cell < end; cell++) {
    const field = batch.cellField[cell] as Field;
    if (field.storageId < 0) field.storageId = columnIdOf(field, catalog);
    if (field.storageId < 0) addMissing(field.table, survey);
    survey.types.add(field.type);
  }
}

/** The table of the series, if it has all its tag columns. */
function tableOf({ tagSet }: Series, catalog: Catalog): CatalogTable | undefined {
  const table = catalog.table({ database: tagSet.table.database, table: tagSet.table.name });
  return tagSet.keys.every((key) => table?.columns.get(key)?.kind === 'tag') ? table : undefined;
}

function columnIdOf(field: Field, catalog: Catalog): number {
  const table = catalog.table({ database: field.table.database, table: field.table.name });
  const column = table?.columns.get(field.name);
  return column?.kind === 'field' && column.type === field.type ? column.id : -1;
}

function addMissing({ key, database, name }: Field['table'], survey: Survey): void {
  survey.missing.set(key, { database, table: name });
}
