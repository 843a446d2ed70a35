/** What an admission means for a single row. */
import type { Admission, Verdict } from './admission.ts';
import type { PointBatch } from './point-batch.ts';
import type { Field, Series } from './series.ts';

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
