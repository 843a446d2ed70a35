/**
 * The answers of InfluxDB's write endpoints, v1 and v2 (v3: influx-v3.ts): pure functions from what was parsed and stored to status,
 * headers and body (protocols.md 5.1, 5.2, 5.5). Every error body is JSON: Telegraf retries anything else for ever.
 */
import type { IngestResult } from '../model/ingest.ts';
import type { ParsedPoints } from '../model/parse-result.ts';
import { describeFailures, redact, TRY_AGAIN } from './influx-text.ts';
import { v3Error, v3Problem, v3Reply } from './influx-v3.ts';
import { type Problem, withRetryAfter } from './problem.ts';
import { type HttpReply, headerText, NO_CONTENT } from './reply.ts';

/** Version of the write endpoint. */
export type InfluxVersion = 'v1' | 'v2' | 'v3';

/** What became of a write. */
export interface WriteOutcome {
  readonly body: Uint8Array;
  readonly parsed: ParsedPoints;
  /** Undefined: nothing was submitted. */
  readonly result: IngestResult | undefined;
  /** False: one bad line was to refuse all of them (v3). Undefined: as true. */
  readonly acceptPartial?: boolean;
}

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

/** An error in the version's shape. `line`: 1-based number of the first bad line, told by v2 only. */
export function influxError(
  version: InfluxVersion,
  status: number,
  message: string,
  line?: number,
): HttpReply {
  const text = redact(message, status >= 500);
  if (version === 'v1') return v1Error(status, text, text);
  if (version === 'v3') return v3Error(status, text);
  const code = V2_CODES.get(status) ?? 'internal error';
  return {
    status,
    headers: { 'Content-Type': 'application/json; charset=utf-8', 'X-Platform-Error-Code': code },
    body: `${JSON.stringify(line === undefined ? { code, message: text } : { code, message: text, line })}\n`,
  };
}

/** The shape of a failed request. On v1 the reason for a 503 is told in a header only; its body is fixed. */
export function influxProblem(version: InfluxVersion, problem: Problem): HttpReply {
  const reply = PROBLEMS[version](problem);
  return { ...reply, headers: withRetryAfter(reply.headers, problem.retryAfterS) };
}

/** The answer to a write whose lines were parsed and, where good, submitted; none of them was deferred. */
export function writeReply(version: InfluxVersion, outcome: WriteOutcome): HttpReply {
  if (version === 'v3') return v3Reply(outcome);
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
  const headers = {
    'Content-Type': 'application/json; charset=utf-8',
    'X-InfluxDB-Error': headerText(header),
  };
  return {
    status,
    headers: status === 401 ? { ...headers, 'WWW-Authenticate': 'Basic realm="InfluxDB"' } : headers,
    body: `${JSON.stringify({ error: message })}\n`,
  };
}

function v1Problem(problem: Problem): HttpReply {
  if (problem.status === 413) return influxError('v1', 413, 'Request Entity Too Large');
  if (problem.status !== 503) return influxError('v1', problem.status, problem.message);
  return v1Error(503, TRY_AGAIN, redact(`${TRY_AGAIN}: ${problem.message}`, true));
}

/** Where InfluxDB 2 says always the same. */
const V2_MESSAGES: ReadonlyMap<number, string> = new Map([
  [401, 'unauthorized access'],
  [403, 'insufficient permissions for write'],
  [413, 'unable to read data: points batch is too large'],
]);

function v2Problem({ status, message }: Problem): HttpReply {
  const text = V2_MESSAGES.get(status) ?? message;
  return influxError('v2', status, status === 503 ? `${TRY_AGAIN}: ${text}` : text);
}

const PROBLEMS: Readonly<Record<InfluxVersion, (problem: Problem) => HttpReply>> = {
  v1: v1Problem,
  v2: v2Problem,
  v3: v3Problem,
};
