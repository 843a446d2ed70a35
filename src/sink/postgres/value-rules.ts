/** What PostgreSQL can't store of a point whose names it can: a text with the character NUL. */
import type { PointBatch, TableGroup } from '../../model/point-batch.ts';
import type { ValueRules } from '../../model/sink.ts';

const REASON = 'a string holds a NUL character, which PostgreSQL can not store';

/** Looks at rows of tables that have string fields, and only there. Tag values never hold NUL. */
export const valueRules: ValueRules = {
  checkRows(batch, refuse) {
    for (let g = 0; g < batch.groupCount; g++) {
      const group = batch.groups[g] as TableGroup;
      if (!group.fields.some(({ type }) => type === 'string')) continue;
      for (let row = group.firstRow; row >= 0; row = batch.nextRow[row] as number) {
        if (batch.skip[row] === 0 && hasNul(batch, row)) refuse(row, REASON);
      }
    }
  },
};

function hasNul(batch: PointBatch, row: number): boolean {
  const end = batch.firstCell[row + 1] as number;
  for (let cell = batch.firstCell[row] as number; cell < end; cell++) {
    if (batch.cellField[cell]?.type !== 'string') continue;
    const offset = batch.cellHalf[cell * 2] as number;
    const length = Math.abs(batch.cellHalf[cell * 2 + 1] as number);
    const nul = batch.body.subarray(offset, offset + length).indexOf(0);
    if (nul >= 0) return true;
  }
  return false;
}
