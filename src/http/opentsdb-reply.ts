/**
 * The answers of OpenTSDB's `/api/put` and its error envelope: pure functions from what was parsed and stored to
 * status, headers and body (protocols.md 2.2, 2.3). The stack trace that OpenTSDB adds is left out.
 */
import type { IngestResult, RowRefusal } from '../model/ingest.ts';
import type { MalformedBody, ParsedPoints, PointError } from '../model/parse-result.ts';
import { datapointJson } from './datapoint.ts';
import { type Problem, withRetryAfter } from './problem.ts';
import { type HttpReply, lastParameter } from './reply.ts';

/** Query parameters of a put; the flags are set by presence alone. */
export interface PutFlags {
  readonly summary: boolean;
  readonly details: boolean;
  /** 0: no limit. */
  readonly syncTimeoutMs: number;
}

/** What became of a put. */
export interface PutOutcome {
  readonly body: Uint8Array;
  readonly parsed: ParsedPoints;
  /** Undefined: no point was good, or the time was up. */
  readonly result: IngestResult | undefined;
  /** Points whose fate was open when `sync_timeout` was over. */
  readonly timeouts: number;
}

const JSON_HEADERS = { 'Content-Type': 'application/json; charset=UTF-8' };
const NO_CONTENT: HttpReply = {
  status: 204,
  headers: { ...JSON_HEADERS, 'Content-Length': '0' },
  body: undefined,
};
const CALLBACK = /^[A-Za-z0-9_$.]{1,128}$/;
const SOME_FAILED = 'One or more data points had errors';
const SEE_LOGS = 'Please see the TSD logs or append "details" to the put request';

/** An answer in the error envelope. */
export function envelope(status: number, message: string, details?: string): HttpReply {
  const error = details === undefined ? { code: status, message } : { code: status, message, details };
  return { status, headers: JSON_HEADERS, body: JSON.stringify({ error }) };
}

/** An answer in JSON. */
export function jsonReply(value: unknown): HttpReply {
  return { status: 200, headers: JSON_HEADERS, body: JSON.stringify(value) };
}

/** The answer to a method that the endpoint has not. */
export function methodRefused(method: string, allowed: readonly string[]): HttpReply {
  const details = `The HTTP method [${method}] is not permitted for this endpoint`;
  const reply = envelope(405, 'Method not allowed', details);
  return { ...reply, headers: { ...reply.headers, Allow: allowed.join(', ') } };
}

/** A query string, parsed; repeated parameters are arrays. */
export type Query = Readonly<Record<string, unknown>>;

/** Calls the function that `jsonp` names with the answer; a name that is empty or could be code is not looked at. */
export function withCallback(query: Query, reply: HttpReply): HttpReply {
  const callback = query['jsonp'] === undefined ? '' : (lastParameter(query['jsonp']) ?? '');
  if (!CALLBACK.test(callback) || reply.body === undefined) return reply;
  return { ...reply, body: `${callback}(${reply.body})` };
}

/** The answer to a request for another format than JSON; undefined: it asks for none. */
export function unknownSerializer(query: Query): HttpReply | undefined {
  const serializer = lastParameter(query['serializer']) ?? 'json';
  return serializer === 'json' ? undefined : envelope(400, 'Requested serializer was not found');
}

/** A body that is not of the protocol's form. */
export function malformedReply(malformed: MalformedBody): HttpReply {
  return envelope(400, malformed.message, malformed.details);
}

/** The envelope for a failed request. */
export function openTsdbProblem(problem: Problem): HttpReply {
  const temporary = problem.status === 503;
  const reply = temporary
    ? envelope(503, 'Service unavailable, try again', problem.message)
    : envelope(problem.status, problem.status === 413 ? 'Request Entity Too Large' : problem.message);
  return { ...reply, headers: withRetryAfter(reply.headers, problem.retryAfterS) };
}

/** The answer to a put whose points were parsed and, where good, submitted; none of them was deferred. */
export function putReply(flags: PutFlags, outcome: PutOutcome): HttpReply {
  const failed = outcome.parsed.failed + (outcome.result?.rejected ?? 0);
  const status = failed + outcome.timeouts === 0 ? 200 : 400;
  if (flags.summary || flags.details) return summaryReply(status, failed, flags, outcome);
  if (status === 200) return NO_CONTENT;
  return outcome.timeouts === 0
    ? envelope(400, SOME_FAILED, SEE_LOGS)
    : envelope(400, timedOut(failed, outcome));
}

function timedOut(failed: number, outcome: PutOutcome): string {
  const stored = acknowledged(outcome);
  return (
    `The put call has timedout with ${stored} successful writes, ${failed} failed writes and ` +
    `${outcome.timeouts} timed out writes.`
  );
}

function acknowledged({ result }: PutOutcome): number {
  return (result?.stored ?? 0) + (result?.parked ?? 0);
}

function summaryReply(status: number, failed: number, flags: PutFlags, outcome: PutOutcome): HttpReply {
  const parts = [`"success":${acknowledged(outcome)}`, `"failed":${failed}`];
  if (flags.syncTimeoutMs > 0) parts.push(`"timeouts":${outcome.timeouts}`);
  if (flags.details) {
    const errors = inBodyOrder(outcome.parsed.errors, outcome.result?.refusals ?? []);
    parts.push(`"errors":[${errors.map((error) => errorJson(outcome.body, error)).join(',')}]`);
  }
  return { status, headers: JSON_HEADERS, body: `{${parts.join(',')}}` };
}

interface ListedError {
  readonly offset: number;
  readonly text: string;
}

function inBodyOrder(errors: readonly PointError[], refusals: readonly RowRefusal[]): ListedError[] {
  return [
    ...errors.map((e) => ({ offset: e.offset, text: e.reason })),
    ...refusals.map((r) => ({ offset: r.offset, text: r.message })),
  ].sort((a, b) => a.offset - b.offset);
}

function errorJson(body: Uint8Array, error: ListedError): string {
  return `{"datapoint":${datapointJson(body, error.offset)},"error":${JSON.stringify(error.text)}}`;
}
