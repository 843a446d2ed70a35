/**
 * What GreptimeDB's answers mean, by its status codes (src/common/error/src/status_code.rs), or by the HTTP status where
 * something in between has answered. No answer: before the request was sent nothing has happened, afterwards nobody knows.
 */
import type { DdlResult } from '../../model/sink.ts';

/** An answer that is not a success. */
export class ServerError extends Error {
  override readonly name = 'ServerError';
  readonly status: number;
  /** GreptimeDB's code; undefined: the answer is not GreptimeDB's. */
  readonly code: number | undefined;

  constructor(status: number, code: number | undefined, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** No answer, or not all of one. */
export class LostError extends Error {
  override readonly name = 'LostError';
  /** The server may have got the request. */
  readonly sent: boolean;

  constructor(message: string, sent: boolean, options?: ErrorOptions) {
    super(message, options);
    this.sent = sent;
  }
}

/** What a failure says about the request. */
export type FailureClass =
  /** It is there already: look at it. */
  | 'exists'
  /** Table or database is not there. */
  | 'missing'
  /** Authentication or permission. */
  | 'denied'
  /** The whole database takes no statements just now: all slots for procedures are taken, or its storage is away. */
  | 'exhausted'
  /** It may work later. */
  | 'transient'
  /** The request is at fault. */
  | 'invalid'
  /** It may have worked, or still run. */
  | 'unclear';

const STORAGE_UNAVAILABLE = 5_000;
/** Said with code 1003 or 1006, by version: 128 procedures run (#5793). */
const POOL_FULL = /too many running procedures/i;

const BY_CODE = new Map<number, FailureClass>([
  ...[4_000, 4_003, 4_011].map((code) => [code, 'exists'] as const),
  ...[4_001, 4_004].map((code) => [code, 'missing'] as const),
  ...[1_001, 1_004, 2_000, 3_000, 4_002, 4_006].map((code) => [code, 'invalid'] as const),
  ...[7_000, 7_001, 7_002, 7_003, 7_004, 7_005, 7_006].map((code) => [code, 'denied'] as const),
  ...[1_005, 1_008].map((code) => [code, 'unclear'] as const),
  [STORAGE_UNAVAILABLE, 'exhausted'],
]);

const BY_STATUS = new Map<number, FailureClass>([
  [401, 'denied'],
  [403, 'denied'],
  [504, 'unclear'],
]);

/** See `FailureClass`. */
export function failureClass(error: unknown): FailureClass {
  if (error instanceof LostError) return error.sent ? 'unclear' : 'transient';
  if (!(error instanceof ServerError)) return 'transient';
  if (POOL_FULL.test(error.message)) return 'exhausted';
  if (error.code === undefined) return BY_STATUS.get(error.status) ?? 'transient';
  return BY_CODE.get(error.code) ?? 'transient';
}

/** Code and words of a failure, for people. */
export function wordsOf(error: unknown): { readonly code: string; readonly message: string } {
  if (error instanceof ServerError) {
    return { code: String(error.code ?? `HTTP ${error.status}`), message: error.message };
  }
  return { code: 'connection', message: error instanceof Error ? error.message : String(error) };
}

/** What a failed DDL statement means. `exists` is the caller's. */
export function ddlFailure(error: unknown): DdlResult {
  const words = wordsOf(error);
  const found = failureClass(error);
  if (found === 'denied' || found === 'exhausted') return { kind: 'denied', ...words, everywhere: true };
  if (found === 'unclear') return { kind: 'ambiguous', ...words };
  return { kind: found === 'invalid' ? 'invalid' : 'transient', ...words };
}
