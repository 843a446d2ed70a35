/**
 * The store under the DDL queue: a small part of etcd, with etcd's semantics, which every driver must copy (the
 * suite in test/contract/store-suite.ts is the law). All queue logic is written once over this contract.
 *
 * Revisions: a transaction that changes anything makes exactly one new revision, a deletion of nothing makes none,
 * and all keys of an expired or revoked lease vanish in one revision. Keys are ASCII, values any text.
 * Every call settles within the driver's own deadline. A call that fails as `unavailable` (or by its signal) may or
 * may not have been applied: only what all failures of other kinds promise is that nothing was.
 */

/** Why a call failed. Only `unavailable` is ambiguous. */
export type StoreErrorKind =
  | 'unavailable'
  /** The revision asked for has been compacted away. */
  | 'compacted'
  /** The revision asked for has not happened yet. */
  | 'future'
  | 'lease_not_found'
  /** No put passes until space is made and the alarm is taken back; deletions and reads do. */
  | 'nospace'
  | 'too_many_ops'
  /** A key is put twice, or put and deleted, in one branch. */
  | 'dup_key'
  | 'too_large'
  /** Empty key, negative limit and the like: a mistake of the caller. */
  | 'invalid'
  /** Credentials or permissions. */
  | 'denied'
  | 'closed';

/** Rejection of every store method. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly kind: StoreErrorKind;

  constructor(kind: StoreErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

/** The kind of a store's failure; what is not a StoreError counts as `unavailable`. */
export function storeErrorKind(error: unknown): StoreErrorKind {
  return error instanceof StoreError ? error.kind : 'unavailable';
}

/** Most operations in one list (compare, success, failure) of a transaction. */
export const MAX_TXN_OPS = 128;
/** Most bytes of keys and values in one request. */
export const MAX_REQUEST_BYTES = 1.5 * 1024 * 1024;
/** The shortest lease granted, whatever was asked for. */
export const MIN_LEASE_TTL_MS = 2_000;

/** One key as of some revision. */
export interface KeyValue {
  readonly key: string;
  readonly value: string;
  /** Revision in which the key appeared; a key deleted and put again has a new one. */
  readonly create: number;
  /** Revision of the last put. */
  readonly mod: number;
  /** Undefined: bound to no lease. A put without lease unbinds. */
  readonly lease: string | undefined;
}

/** What to read; `key` is one key, `prefix` all keys that begin with it, in ascending order. */
export type RangeQuery = ({ readonly key: string } | { readonly prefix: string }) & {
  /** With `prefix`: leave out the keys before this one. */
  readonly from?: string;
  /** Most keys to answer; 0 or undefined: all. */
  readonly limit?: number;
  /** Read as of this revision; undefined: the newest. */
  readonly revision?: number;
  readonly countOnly?: boolean;
};

/** Answer to a range; linearizable when no revision was given. */
export interface RangeResult {
  /** The store's newest revision at the time of the answer. */
  readonly rev: number;
  readonly kvs: readonly KeyValue[];
  /** Keys that match from `from` on, whatever the limit. */
  readonly count: number;
  /** True when the limit cut the answer. */
  readonly more: boolean;
}

/** True when the key's create or mod revision is the given one; 0 for a key that does not exist. */
export type Compare =
  | { readonly key: string; readonly create: number }
  | { readonly key: string; readonly mod: number };

/** One operation of a transaction. */
export type Op =
  | { readonly op: 'put'; readonly key: string; readonly value: string; readonly lease?: string | undefined }
  | { readonly op: 'delete' | 'get'; readonly key: string };

/** What a transaction is for; logs, faults and kill points go by it, the store does not. */
export type TxnLabel =
  | 'enqueue'
  | 'elect'
  | 'complete'
  | 'drain'
  | 'breaker'
  | 'forget'
  | 'pause'
  | 'janitor';

/** If all compares hold then `success`, else `failure`, atomically. */
export interface Txn {
  readonly label?: TxnLabel;
  readonly compare: readonly Compare[];
  readonly success: readonly Op[];
  readonly failure?: readonly Op[];
}

/** Answer to a transaction. */
export interface TxnResult {
  /** True when all compares held. */
  readonly ok: boolean;
  /** The store's revision after the transaction. */
  readonly rev: number;
  /** What the `get`s of the branch taken found, by key; a key that does not exist is not in it. */
  readonly found: ReadonlyMap<string, KeyValue>;
}

/** A lease as granted. */
export interface Lease {
  readonly id: string;
  /** At least what was asked for (whole seconds, `MIN_LEASE_TTL_MS` or more). A lower bound: it may live longer. */
  readonly ttlMs: number;
}

/** One change of a key; `kv` undefined: deleted. */
export interface WatchEvent {
  readonly key: string;
  readonly kv: KeyValue | undefined;
}

/**
 * Why a watch ended. `lost`: the link broke, watch again from the revision after the last one seen. `compacted` and
 * `reset` (another cluster, permission, anything else): events were missed, so list again.
 */
export type WatchEnd = 'lost' | 'compacted' | 'reset';

/** Receives a watch; never called from within a call of the store, and never after it was stopped or has ended. */
export interface WatchHandler {
  /** The watch stands; `rev` is the store's newest revision. Comes once, first. */
  onOpen(rev: number): void;
  /** All events of one revision under the prefix; revisions ascend, none comes twice. */
  onBatch(rev: number, events: readonly WatchEvent[]): void;
  /** The last call. */
  onEnd(reason: WatchEnd): void;
}

/** Health of the store. */
export interface StoreStatus {
  readonly rev: number;
  readonly dbSizeBytes: number;
  /** Undefined: no quota, or not known. */
  readonly quotaBytes: number | undefined;
  /** The alarm is up: no put passes. */
  readonly nospace: boolean;
}

/** See the module comment. */
export interface Store {
  /** @throws {StoreError} compacted, future, unavailable, denied */
  range(query: RangeQuery, signal: AbortSignal): Promise<RangeResult>;
  /**
   * @throws {StoreError} nospace (a put in either branch, even the one not taken), lease_not_found, too_many_ops,
   * dup_key, too_large, unavailable, denied
   */
  txn(txn: Txn, signal: AbortSignal): Promise<TxnResult>;
  /** @throws {StoreError} nospace, unavailable, denied */
  grant(ttlMs: number, signal: AbortSignal): Promise<Lease>;
  /** Renews the lease; works under nospace. @throws {StoreError} lease_not_found, unavailable, denied */
  keepAlive(leaseId: string, signal: AbortSignal): Promise<void>;
  /** Ends the lease and deletes its keys; works under nospace. @throws {StoreError} lease_not_found, unavailable */
  revoke(leaseId: string, signal: AbortSignal): Promise<void>;
  /** Follows a prefix from a revision on, which may be in the future. Stops when the returned function is called. */
  watch(prefix: string, fromRev: number, handler: WatchHandler): () => void;
  /** Forgets what was before `revision`. @throws {StoreError} compacted (already), future, unavailable, denied */
  compact(revision: number, signal: AbortSignal): Promise<void>;
  status(signal: AbortSignal): Promise<StoreStatus>;
  /** Idempotent; ends all watches without a call of their handlers. */
  close(): Promise<void>;
}

/** The compare for "does not exist". */
export function absent(key: string): Compare {
  return { key, create: 0 };
}
