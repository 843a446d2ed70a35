/** What can't be stored of a point whose names can: a tag value that has no spelling, a time finer than its table's. */
import type { PointBatch, TableGroup } from '../../model/point-batch.ts';
import type { Series } from '../../model/series.ts';
import type { ValueRules } from '../../model/sink.ts';
import type { Catalog } from './catalog.ts';
import { isWhole, seriesBytes } from './line-body.ts';

const UNSPELLABLE = 'a tag value can not be spelled in line protocol';

/** Refuses rather than rounds: GreptimeDB itself would cut the time off, and two points might become one. */
export function createValueRules(catalog: Pick<Catalog, 'unitOf'>): ValueRules {
  return {
    checkRows(batch: PointBatch, refuse) {
      for (let g = 0; g < batch.groupCount; g++) {
        const group = batch.groups[g] as TableGroup;
        const unit = catalog.unitOf(group.table.key) ?? 'ns';
        for (let row = group.firstRow; row >= 0; row = batch.nextRow[row] as number) {
          if (batch.skip[row] !== 0) continue;
          if (seriesBytes(batch.series[row] as Series) === undefined) refuse(row, UNSPELLABLE);
          else if (!isWhole(batch, row, unit)) refuse(row, `the table keeps times in whole ${unit} only`);
        }
      }
    },
  };
}
