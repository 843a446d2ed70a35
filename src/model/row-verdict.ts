/** What an admission, or what the database says of values, means for a single row. */
import type { Admission, Verdict } from './admission.ts';
import type { PointBatch } from './point-batch.ts';
import type { Field, Series } from './series.ts';
import type { ValueRules } from './sink.ts';

/** A verdict that never changes. */
export type Rejected = Extract<Verdict, { kind: 'rejected' }>;

/**
 * Why the row may not be written, or undefined when it may. Of several verdicts on its parts the first one counts, but
 * a permanent one more, for the row can never pass.
 */
export function verdictOf(
  batch: PointBatch,
  row: number,
  { refused, parts }: Admission,
): Verdict | undefined {
  if (refused !== undefined || parts.size === 0) return refused;
  let found = parts.get((batch.series[row] as Series).tagSet);
  const end = batch.firstCell[row + 1] as number;
  for (let cell = batch.firstCell[row] as number; cell < end && found?.kind !== 'rejected'; cell++) {
    const verdict = parts.get(batch.cellField[cell] as Field);
    if (found === undefined || verdict?.kind === 'rejected') found = verdict;
  }
  return found;
}

/**
 * Calls back for each row, not skipped already, that the database can never hold. Rows in sequence with the same reason
 * share a verdict. `values` undefined: it holds everything.
 */
export function checkValues(
  values: ValueRules | undefined,
  batch: PointBatch,
  refuse: (row: number, verdict: Rejected) => void,
): void {
  let verdict: Rejected | undefined;
  values?.checkRows(batch, (row, message) => {
    if (verdict?.message !== message) verdict = { kind: 'rejected', reason: 'impossible_value', message };
    refuse(row, verdict);
  });
}
