/**
 * The answers of InfluxDB 3's write endpoint (protocols.md 5.3): a list of the lines that were not taken, and plain text
 * where the request as a whole is at fault. Line numbers are those of the body, comments and blank lines included.
 */
import type { RejectReason } from '../model/admission.ts';
import type { WriteOutcome } from './influx-reply.ts';
import { andMore, echo, redact, TRY_AGAIN } from './influx-text.ts';
import type { Problem } from './problem.ts';
import { type HttpReply, NO_CONTENT } from './reply.ts';

/** A line that was not taken, in the words of the API. */
interface FailedLine {
  readonly error_message: string;
  readonly line_number: number;
  readonly original_line: string;
}

const MAX_LISTED = 100;
const MAX_LINE_BYTES = 20;
const NEWLINE = 0x0a;

/** Refusals that InfluxDB 3 would answer with 422: the request is right, but there is no room for it. */
const SCHEMA_LIMITS: ReadonlySet<RejectReason> = new Set([
  'table_budget',
  'column_budget',
  'database_budget',
  'whole_request',
]);

/** An answer in plain text. */
export function v3Text(status: number, text: string): HttpReply {
  return { status, headers: { 'Content-Type': 'text/plain; charset=utf-8' }, body: text };
}

/** An error as JSON, with the lines at fault where there are any. */
export function v3Error(status: number, error: string, data?: FailedLine | readonly FailedLine[]): HttpReply {
  const body = data === undefined ? { error } : { error, data };
  return {
    status,
    headers: { 'Content-Type': 'application/json; charset=utf-8' },
    body: `${JSON.stringify(body)}\n`,
  };
}

/** The shape of a failed request, but for Retry-After. */
export function v3Problem({ status, message }: Problem): HttpReply {
  if (status === 413) return v3Text(413, message);
  if (status === 401) return v3Error(401, 'the request was not authenticated');
  return v3Error(status, redact(status === 503 ? `${TRY_AGAIN}: ${message}` : message, status >= 500));
}

/** The answer to a write whose lines were parsed and, where good, submitted; none of them was deferred. */
export function v3Reply(outcome: WriteOutcome): HttpReply {
  const { parsed, result, acceptPartial } = outcome;
  if (parsed.good + parsed.failed === 0) return v3Text(400, 'incoming write was empty');
  const failed = parsed.failed + (result?.rejected ?? 0);
  if (failed === 0) return NO_CONTENT;
  const lines = failedLines(outcome);
  const refusals = result?.refusals ?? [];
  const onlyLimits = parsed.failed === 0 && refusals.every(({ reason }) => SCHEMA_LIMITS.has(reason));
  const status = onlyLimits ? 422 : 400;
  return acceptPartial === false
    ? v3Error(status, 'line protocol parsing error', lines[0])
    : v3Error(status, 'partial write of line protocol occurred', lines);
}

/** The first lines that failed, in the order of the body; the last one tells how many more there are. */
function failedLines({ body, parsed, result }: WriteOutcome): readonly FailedLine[] {
  const refusals = (result?.refusals ?? []).filter(({ reason }) => reason !== 'whole_request');
  const failures = [
    ...parsed.errors.map(({ offset, reason }) => ({ offset, message: reason })),
    ...refusals.map(({ offset, message }) => ({ offset, message })),
  ].sort((a, b) => a.offset - b.offset);
  const listed = failures.slice(0, MAX_LISTED);
  const more = failures.length - listed.length;
  let line = 1;
  let from = 0;
  return listed.map(({ offset, message }, index) => {
    line += newlines(body, from, offset);
    from = offset;
    const last = index === listed.length - 1 && more > 0;
    return {
      error_message: redact(last ? message + andMore(more) : message, false),
      line_number: line,
      original_line: redact(startOfLine(body, offset), false),
    };
  });
}

function newlines(body: Uint8Array, start: number, end: number): number {
  let count = 0;
  for (let i = start; i < end; i++) if (body[i] === NEWLINE) count++;
  return count;
}

function startOfLine(body: Uint8Array, offset: number): string {
  const newline = body.subarray(offset, offset + MAX_LINE_BYTES).indexOf(NEWLINE);
  return newline < 0
    ? echo(body, { offset, length: body.length - offset }, MAX_LINE_BYTES)
    : echo(body, { offset, length: newline }, MAX_LINE_BYTES).trimEnd();
}
