/**
 * Copies the values of a flush into columns, as a sink that stores them would, and drops them. Tables and columns
 * are checked once per Series and Field object, whose number then is 1; so these objects belong to one sink.
 */
import type { PointBatch } from '../../model/point-batch.ts';
import type { Field, Series, Table } from '../../model/series.ts';
import { WriteError, type Writer } from '../../model/sink.ts';
import type { TableId } from '../../model/table.ts';
import type { DiscardCatalog } from './catalog.ts';

/** Rows of the columns; overwritten from the first when full. */
const COLUMN_ROWS = 2_048;
const KNOWN = 1;

/** Creates the writer; `onRows` is told how many rows a flush had. */
export function createDiscardWriter(catalog: DiscardCatalog, onRows: (rows: number) => void): Writer {
  const columns = { time: new Int32Array(COLUMN_ROWS * 2), value: new Int32Array(COLUMN_ROWS * 2), cells: 0 };

  function copyRow(batch: PointBatch, row: number, missing: Map<string, TableId>): void {
    const series = batch.series[row] as Series;
    if (series.storageId !== KNOWN && !markSeries(series, catalog)) addMissing(series.tagSet.table, missing);
    const end = batch.firstCell[row + 1] as number;
    for (let cell = batch.firstCell[row] as number; cell < end; cell++) {
      const field = batch.cellField[cell] as Field;
      if (field.storageId !== KNOWN && !markField(field, catalog)) addMissing(field.table, missing);
      const at = (columns.cells++ % COLUMN_ROWS) * 2;
      columns.time[at] = batch.time[row * 2] as number;
      columns.time[at + 1] = batch.time[row * 2 + 1] as number;
      columns.value[at] = batch.cellHalf[cell * 2] as number;
      columns.value[at + 1] = batch.cellHalf[cell * 2 + 1] as number;
    }
  }

  return {
    write(batches) {
      const missing = new Map<string, TableId>();
      let rows = 0;
      for (const batch of batches) {
        rows += batch.rows - batch.skipped;
        for (let row = 0; row < batch.rows; row++) {
          if (batch.skip[row] === 0) copyRow(batch, row, missing);
        }
      }
      if (missing.size > 0)
        return Promise.reject(new WriteError({ kind: 'missing', tables: [...missing.values()] }));
      onRows(rows);
      return Promise.resolve();
    },
  };
}

function markSeries(series: Series, catalog: DiscardCatalog): boolean {
  const { table, keys } = series.tagSet;
  const columns = catalog.columns({ database: table.database, table: table.name });
  if (columns === undefined || !keys.every((key) => columns.get(key)?.kind === 'tag')) return false;
  series.storageId = KNOWN;
  return true;
}

function markField(field: Field, catalog: DiscardCatalog): boolean {
  const column = catalog
    .columns({ database: field.table.database, table: field.table.name })
    ?.get(field.name);
  if (column?.kind !== 'field' || column.type !== field.type) return false;
  field.storageId = KNOWN;
  return true;
}

function addMissing({ key, database, name }: Table, missing: Map<string, TableId>): void {
  missing.set(key, { database, table: name });
}
