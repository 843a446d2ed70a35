/**
 * Any error as what may be told to a client. Expected ones (GatewayError, and Fastify's about the request) keep
 * their text; the text of all others is hidden, for it may hold anything. Each protocol gives it its own shape.
 */
import { GatewayError } from '../errors.ts';
import type { IngestResult } from '../model/ingest.ts';
import type { Random } from '../util/backoff.ts';

/** A failed request, in no protocol's shape yet. */
export interface Problem {
  readonly status: number;
  /** GatewayError's code, or the reason of a deferral; `request` for other faults of the sender, `internal` for faults of ours. */
  readonly code: string;
  readonly message: string;
  /** Seconds for Retry-After; undefined when the client should not get one. */
  readonly retryAfterS: number | undefined;
}

/** Rows of a request were held back; its sender should send all of it again. */
export class DeferredError extends Error {
  override readonly name = 'DeferredError';
  readonly result: IngestResult;

  constructor(result: IngestResult) {
    super(result.deferral?.message ?? 'rows were held back');
    this.result = result;
  }
}

/** Without better knowledge, clients come back after 1 to this many seconds. */
const RETRY_SPREAD_S = 5;

/** What the problem of a request that failed with `error` is. `tells`: its sender reads Retry-After rightly. */
export function toProblem(error: unknown, tells: boolean, random: Random): Problem {
  if (error instanceof DeferredError) {
    const { deferral } = error.result;
    return {
      status: 503,
      code: deferral?.reason ?? 'overload',
      message: error.message,
      retryAfterS: tells ? retryAfterSeconds(deferral?.retryAfterMs) : undefined,
    };
  }
  if (error instanceof GatewayError) {
    const retryAfterMs = error.retryable ? 1_000 * RETRY_SPREAD_S * random() : undefined;
    return {
      status: error.status,
      code: error.code,
      message: error.message,
      retryAfterS: tells ? retryAfterSeconds(retryAfterMs) : undefined,
    };
  }
  const status = clientFault(error);
  if (status !== undefined) {
    return { status, code: 'request', message: (error as Error).message, retryAfterS: undefined };
  }
  return { status: 500, code: 'internal', message: 'internal error', retryAfterS: undefined };
}

/** Whole seconds, at least 1; undefined when nothing is known. */
export function retryAfterSeconds(retryAfterMs: number | undefined): number | undefined {
  return retryAfterMs === undefined ? undefined : Math.max(1, Math.ceil(retryAfterMs / 1_000));
}

/** The headers of an answer that may carry Retry-After. */
export function withRetryAfter(
  headers: Readonly<Record<string, string>>,
  retryAfterS: number | undefined,
): Readonly<Record<string, string>> {
  return retryAfterS === undefined ? headers : { ...headers, 'Retry-After': String(retryAfterS) };
}

/** Fastify's errors about the request carry a status below 500. */
function clientFault(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('statusCode' in error)) return undefined;
  const status = error.statusCode;
  return typeof status === 'number' && status >= 400 && status < 500 ? status : undefined;
}
