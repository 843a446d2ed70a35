/**
 * Text for people in InfluxDB's answers. Clients search these texts: Telegraf's v1 output throws data away, or
 * loops for ever, on certain phrases whatever the status is, so they must not get in through echoed text.
 */
import type { RowRefusal } from '../model/ingest.ts';
import type { ParsedPoints, PointError } from '../model/parse-result.ts';

const MAX_REASONS = 20;
const MAX_ECHO_BYTES = 256;

/** Telegraf answers it with CREATE DATABASE and sends again for ever, on any status. */
const NEVER = /database not found/gi;

/** Telegraf drops the batch when it sees one of these, on 5xx too. */
const NEVER_WHEN_TEMPORARY =
  /database not found|partial write|unable to parse|points beyond retention policy|retention policy not found|hinted handoff queue not empty/gi;

/** What every temporary answer begins with. */
export const TRY_AGAIN = 'service unavailable, try again';

/** Takes the phrases out that would make a client do the wrong thing; `temporary`: of an answer that asks to retry. */
export function redact(text: string, temporary: boolean): string {
  return text.replace(temporary ? NEVER_WHEN_TEMPORARY : NEVER, '(redacted)');
}

/** The first reasons, one per line, malformed lines first; the same refusal of many rows counts once. */
export function describeFailures(
  body: Uint8Array,
  parsed: ParsedPoints,
  refusals: readonly RowRefusal[],
): string {
  const malformed = parsed.errors.slice(0, MAX_REASONS).map((error) => unparsable(body, error));
  const refused = [...new Set(refusals.map((refusal) => refusal.message))];
  const listed = [...malformed, ...refused.slice(0, MAX_REASONS - malformed.length)];
  const more = parsed.failed + refused.length - listed.length;
  return listed.join('\n') + andMore(more);
}

/** What follows a list that is not complete; empty when `more` is 0. */
export function andMore(more: number): string {
  return more > 0 ? ` (and ${more} more)` : '';
}

function unparsable(body: Uint8Array, error: PointError): string {
  return `unable to parse '${echo(body, error)}': ${error.reason}`;
}

/** A part of the body as text, of at most `maxBytes`, cut between two characters. */
export function echo(
  body: Uint8Array,
  { offset, length }: { readonly offset: number; readonly length: number },
  maxBytes = MAX_ECHO_BYTES,
): string {
  let end = offset + length;
  if (length > maxBytes) {
    end = offset + maxBytes;
    while (end > offset && ((body[end] as number) & 0xc0) === 0x80) end--;
  }
  return Buffer.from(body.subarray(offset, end)).toString('utf8');
}
