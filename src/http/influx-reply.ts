/**
 * The answers of InfluxDB's write endpoints, v1 and v2: pure functions from what was parsed and stored to status,
 * headers and body (protocols.md 5.1, 5.2, 5.5). Every error body is JSON: Telegraf retries anything else for ever.
 */
import type { IngestResult } from '../model/ingest.ts';
import type { ParsedPoints } from '../model/parse-result.ts';
import { describeFailures, redact } from './influx-text.ts';
import { type Problem, withRetryAfter } from './problem.ts';
import { type HttpReply, headerText } from './reply.ts';

/** Version of the write endpoint. */
export type InfluxVersion = 'v1' | 'v2';

/** What became of a write. */
export interface WriteOutcome {
  readonly body: Uint8Array;
  readonly parsed: ParsedPoints;
  /** Undefined: nothing was submitted. */
  readonly result: IngestResult | undefined;
}

/** The answer to everything that was taken as a whole. */
export const NO_CONTENT: HttpReply = { status: 204, headers: { 'Content-Length': '0' }, body: undefined };

const V2_CODES: ReadonlyMap<number, string> = new Map([
  [400, 'invalid'],
  [401, 'unauthorized'],
  [403, 'forbidden'],
  [404, 'not found'],
  [405, 'method not allowed'],
  [413, 'request too large'],
  [422, 'unprocessable entity'],
  [429, 'too many requests'],
  [500, 'internal error'],
  [503, 'unavailable'],
]);

const TRY_AGAIN = 'service unavailable, try again';

/** An error in the version's shape. `line`: 1-based number of the first bad line, told by v2 only. */
export function influxError(
  version: InfluxVersion,
  status: number,
  message: string,
  line?: number,
): HttpReply {
  const text = redact(message, status >= 500);
  if (version === 'v1') return v1Error(status, text, text);
  const code = V2_CODES.get(status) ?? 'internal error';
  return {
    status,
    headers: { 'Content-Type': 'application/json; charset=utf-8', 'X-Platform-Error-Code': code },
    body: `${JSON.stringify(line === undefined ? { code, message: text } : { code, message: text, line })}\n`,
  };
}

/** The shape of a failed request. On v1 the reason for a 503 is told in a header only; its body is fixed. */
export function influxProblem(version: InfluxVersion, problem: Problem): HttpReply {
  const reply = version === 'v1' ? v1Problem(problem) : v2Problem(problem);
  return { ...reply, headers: withRetryAfter(reply.headers, problem.retryAfterS) };
}

/** The answer to a write whose lines were parsed and, where good, submitted; none of them was deferred. */
export function writeReply(version: InfluxVersion, outcome: WriteOutcome): HttpReply {
  const { parsed, result } = outcome;
  const rejected = result?.rejected ?? 0;
  if (parsed.failed + rejected === 0) return NO_CONTENT;
  const reasons = describeFailures(outcome.body, parsed, result?.refusals ?? []);
  const partial = `partial write: ${reasons} dropped=${parsed.failed + rejected}`;
  if (version === 'v1') {
    const nothingGood = rejected === 0 && (result?.stored ?? 0) + (result?.parked ?? 0) === 0;
    return influxError('v1', 400, nothingGood ? reasons : partial);
  }
  if (parsed.failed === 0) return influxError('v2', 422, `failure writing points to database: ${partial}`);
  return influxError('v2', 400, reasons, parsed.errors[0]?.position);
}

function v1Error(status: number, message: string, header: string): HttpReply {
  return {
    status,
    headers: { 'Content-Type': 'application/json; charset=utf-8', 'X-InfluxDB-Error': headerText(header) },
    body: `${JSON.stringify({ error: message })}\n`,
  };
}

function v1Problem(problem: Problem): HttpReply {
  if (problem.status === 413) return influxError('v1', 413, 'Request Entity Too Large');
  if (problem.status !== 503) return influxError('v1', problem.status, problem.message);
  return v1Error(503, TRY_AGAIN, redact(`${TRY_AGAIN}: ${problem.message}`, true));
}

function v2Problem(problem: Problem): HttpReply {
  if (problem.status === 413) {
    return influxError('v2', 413, 'unable to read data: points batch is too large');
  }
  const message = problem.status === 503 ? `${TRY_AGAIN}: ${problem.message}` : problem.message;
  return influxError('v2', problem.status, message);
}
