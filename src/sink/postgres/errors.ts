/**
 * What PostgreSQL's errors mean, by SQLSTATE. An error without one is of the connection: before a statement was sent
 * nothing has happened, afterwards nobody knows.
 */
import type { DdlResult } from '../../model/sink.ts';

/** What a failure says about the statement. */
export type FailureClass =
  /** It is there already: look at it. */
  | 'exists'
  /** Table, column or schema is not there or not as the statement takes it to be. */
  | 'missing'
  /** Permission or authentication. */
  | 'denied'
  /** It may work later. */
  | 'transient'
  /** The statement is at fault. */
  | 'invalid'
  /** No answer came. */
  | 'lost';

/** What is the same for a whole class, and the codes that are otherwise. */
const BY_CLASS = new Map<string, FailureClass>([
  ...(['08', '25', '40', '53', '55', '57', '58', 'F0', 'XX'] as const).map((c) => [c, 'transient'] as const),
  ['28', 'denied'],
  ...(['0A', '22', '23', '42', '54'] as const).map((c) => [c, 'invalid'] as const),
]);
const BY_CODE = new Map<string, FailureClass>([
  ['42501', 'denied'],
  ['3D000', 'denied'],
  ...(['42P06', '42P07', '42701', '42710'] as const).map((c) => [c, 'exists'] as const),
  // 42883, 42P10 and 42804: the insert checks the types of the columns and the key by what it compares them with.
  ...(['42P01', '42703', '3F000', '42883', '42P10', '42804'] as const).map((c) => [c, 'missing'] as const),
  // A connection that somebody else prepared statements on (a pooler).
  ...(['26000', '42P05'] as const).map((c) => [c, 'transient'] as const),
]);

/** An error's SQLSTATE; undefined when the server did not send it. */
export function sqlState(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('severity' in error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' && /^[0-9A-Z]{5}$/.test(error.code) ? error.code : undefined;
}

/** True when the session goes on: the server has answered and said nothing of an end. */
export function isSessionUsable(error: unknown): boolean {
  return (
    sqlState(error) !== undefined &&
    !['FATAL', 'PANIC'].includes(String(Reflect.get(error as object, 'severity')))
  );
}

/** See `FailureClass`. */
export function failureClass(error: unknown): FailureClass {
  const code = sqlState(error);
  if (code === undefined) return 'lost';
  return BY_CODE.get(code) ?? BY_CLASS.get(code.slice(0, 2)) ?? 'transient';
}

/** Code and words of a failure, for people: SQLSTATE or Node's code, message, and the server's detail and hint. */
export function wordsOf(error: unknown): { readonly code: string; readonly message: string } {
  if (!(error instanceof Error)) return { code: 'unknown', message: String(error) };
  const said = error as Error & { code?: unknown; detail?: unknown; hint?: unknown };
  const code = typeof said.code === 'string' ? said.code : 'connection';
  // Connecting to several addresses fails with an AggregateError, whose own message is empty.
  const message = error instanceof AggregateError ? error.errors.map(String).join('; ') : error.message;
  const more = [said.detail, said.hint].filter((text) => typeof text === 'string' && text !== '');
  return { code, message: [message, ...more].join('; ') };
}

/** What a failed DDL statement means; `sent`: the server may have got it. `exists` and `missing` are the caller's. */
export function ddlFailure(error: unknown, sent: boolean): DdlResult {
  const words = wordsOf(error);
  const found = failureClass(error);
  if (found === 'lost') return { kind: sent ? 'ambiguous' : 'transient', ...words };
  return { kind: found === 'exists' || found === 'missing' ? 'transient' : found, ...words };
}
