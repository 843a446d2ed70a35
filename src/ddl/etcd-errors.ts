/**
 * Translates what etcd3 throws. Its errors have no code: some are told apart by class, others (compaction and
 * future, which share one) only by etcd's text.
 */
import {
  ClientClosedError,
  castGrpcError,
  EtcdAuthenticationFailedError,
  EtcdInvalidAuthTokenError,
  EtcdLeaseInvalidError,
  EtcdPermissionDeniedError,
  GRPCInvalidArgumentError,
  GRPCUnauthenticatedError,
} from 'etcd3';
import { StoreError, type StoreErrorKind } from './store.ts';

/** etcd3 calls again, without end, on etcd's own text for this; so it never gets to see it (etcd-token.ts). */
export const TOKEN_REFUSED = 'etcdserver: the auth token is not valid';

/** Text of a failure before anything was sent (grpc-js): the call may be made again elsewhere. */
const NEVER_SENT = /No connection established|Name resolution failed|Channel closed before call started/;
/** The token is too old, or for rules that have changed since, or there is none because there were no users before. */
const TOKEN_TROUBLE =
  /auth token is not valid|invalid auth token|revision of auth store is old|user name is empty/;

const BY_TEXT: readonly (readonly [RegExp, StoreErrorKind])[] = [
  [/required revision has been compacted/, 'compacted'],
  [/required revision is a future revision/, 'future'],
  [/requested lease not found/, 'lease_not_found'],
  [/database space exceeded/, 'nospace'],
  [/too many operations in txn/, 'too_many_ops'],
  [/duplicate key given in txn/, 'dup_key'],
  [/request is too large|message larger than max/, 'too_large'],
  [TOKEN_TROUBLE, 'denied'],
];

type ErrorClass = abstract new (...args: never[]) => Error;

const BY_CLASS: readonly (readonly [ErrorClass, StoreErrorKind])[] = [
  [EtcdLeaseInvalidError, 'lease_not_found'],
  [EtcdPermissionDeniedError, 'denied'],
  [EtcdAuthenticationFailedError, 'denied'],
  [EtcdInvalidAuthTokenError, 'denied'],
  [GRPCUnauthenticatedError, 'denied'],
  [GRPCInvalidArgumentError, 'invalid'],
  [ClientClosedError, 'closed'],
];

/** The failure as the contract words it; whatever is not known is `unavailable`. */
export function storeErrorOf(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const cast = error instanceof Error ? castGrpcError(error) : new Error(String(error));
  const kind =
    BY_TEXT.find(([pattern]) => pattern.test(cast.message))?.[1] ??
    BY_CLASS.find(([type]) => cast instanceof type)?.[1] ??
    'unavailable';
  return new StoreError(kind, cast.message, { cause: error });
}

/** True when the call was certainly not sent. */
export function wasNeverSent(error: StoreError): boolean {
  return error.kind === 'unavailable' && NEVER_SENT.test(error.message);
}

/** True when the deadline passed. */
export function wasNotAnswered(error: StoreError): boolean {
  return error.kind === 'unavailable' && /deadline exceeded/i.test(error.message);
}

/** True when a new token may help; nothing was applied. */
export function isTokenTrouble(message: string): boolean {
  return TOKEN_TROUBLE.test(message);
}
