/** Translates DuckDB's errors, which are told apart by the words before the first colon of their message. */
import { type DdlResult, WriteError } from '../../model/sink.ts';
import { SerialFullError } from './serial.ts';

type FailureKind = 'transient' | 'denied' | 'ambiguous' | 'invalid';

interface Failure<K extends FailureKind> {
  readonly kind: K;
  readonly code: string;
  readonly message: string;
}

/** DuckDB's class of an error, e.g. `IO` or `Out of Memory`; undefined when the error is not DuckDB's. */
export function errorClass(error: unknown): string | undefined {
  return error instanceof Error ? /^([A-Za-z ]+?) Error:/.exec(error.message)?.[1] : undefined;
}

/** True when DuckDB says that the commit is durable although what it did next (merging the log) failed. */
export function isCommitted(error: unknown): boolean {
  return messageOf(error).includes('COMMIT succeeded and is durable');
}

/** True when DuckDB has given the file up until it is opened anew. */
export function isInvalidated(error: unknown): boolean {
  return messageOf(error).includes('has been invalidated');
}

/** True when memory ran out. An append that DuckDB broke off so may leave its tables in memory damaged (session.ts). */
export function isOutOfMemory(error: unknown): boolean {
  return /Out of Memory Error|could not allocate block|failed to (allocate|pin)/.test(messageOf(error));
}

/**
 * What a failed DDL statement means. Conversions, parsing and binding fail on what the statement says, so they are
 * the table's own fault; everything about files and memory may pass.
 */
export function ddlFailure(error: unknown): DdlResult {
  const code = errorClass(error);
  const invalid = code === 'Parser' || code === 'Binder' || code === 'Catalog' || code === 'Not implemented';
  return invalid ? failure('invalid', code, error) : temporary(code, error);
}

/** What a failed write means; never the fault of its rows. */
export function writeFailure(error: unknown): WriteError {
  if (error instanceof WriteError) return error;
  return new WriteError(temporary(errorClass(error), error), { cause: error });
}

function temporary(code: string | undefined, error: unknown): Failure<'transient' | 'denied' | 'ambiguous'> {
  const message = messageOf(error);
  if (error instanceof SerialFullError) return failure('transient', 'busy', error);
  if (code === 'FATAL') return failure('ambiguous', code, error);
  if (/permission denied|read-only/i.test(message)) return failure('denied', code, error);
  return failure('transient', code, error);
}

function failure<K extends FailureKind>(kind: K, code: string | undefined, error: unknown): Failure<K> {
  return { kind, code: code ?? 'unknown', message: messageOf(error) };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
