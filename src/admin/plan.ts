/**
 * The answer to a dry run: what a payload would change in the database, which of its rows would be refused and why,
 * and which would have to wait. Pure, from what the run came upon; the run itself is put together in app-plan.ts.
 */
import type { IngestResult } from '../model/ingest.ts';
import type { MalformedBody, ParsedPoints } from '../model/parse-result.ts';
import type { DdlChange, DdlExecutor } from '../model/sink.ts';
import type { PlanAnswer, PlanQuery } from './schemas.ts';

/** Makes dry runs; `signal` ends the wait for the database. */
export type Planner = (query: PlanQuery, body: Uint8Array, signal: AbortSignal) => Promise<PlanAnswer>;

/** Rows of a table that would have to wait. */
export type Held = PlanAnswer['held'][number];

/** What a dry run came upon. */
export interface DryRun {
  readonly parsed: ParsedPoints | MalformedBody;
  /** Undefined: there was no good point. */
  readonly result: IngestResult | undefined;
  readonly changes: readonly DdlChange[];
  readonly held: readonly Held[];
}

/** More of anything is counted, not listed. */
export const MAX_LISTED = 1_000;

/** `explain` undefined: the database has no statements. */
export function planAnswerOf(
  { parsed, result, changes, held }: DryRun,
  explain: DdlExecutor['explain'],
): PlanAnswer {
  const errors = parsed.kind === 'parsed' ? parsed.errors : [];
  const malformed = errors.map(({ offset, reason }) => ({ offset, reason: 'malformed', message: reason }));
  const refusals = (result?.refusals ?? []).map(({ offset, reason, message }) => ({
    offset,
    reason,
    message,
  }));
  return {
    malformed: parsed.kind === 'malformed' ? parsed.message : null,
    rows: {
      stored: result?.stored ?? 0,
      parked: result?.parked ?? 0,
      deferred: result?.deferred ?? 0,
      rejected: result?.rejected ?? 0,
      malformed: parsed.kind === 'parsed' ? parsed.failed : 0,
    },
    changes: changes.slice(0, MAX_LISTED).map((change) => changeItem(change, explain)),
    refused: [...malformed, ...refusals].sort((a, b) => a.offset - b.offset).slice(0, MAX_LISTED),
    held: held.slice(0, MAX_LISTED),
  };
}

function changeItem(change: DdlChange, explain: DdlExecutor['explain']): PlanAnswer['changes'][number] {
  const { kind } = change;
  const statements = [...(explain?.(change) ?? [])];
  if (change.kind === 'database')
    return { kind, database: change.database, table: null, columns: [], statements };
  const { id, columns } = change.kind === 'table' ? change.spec : change;
  return {
    kind,
    ...id,
    columns: columns.map(({ name, kind: of, type }) => ({ name, kind: of, type })),
    statements,
  };
}
