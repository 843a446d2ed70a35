/** What the store's contract suite is given, and the shorthands it is written in. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import {
  type KeyValue,
  type Op,
  type Store,
  StoreError,
  type StoreErrorKind,
  type TxnResult,
} from '../../src/ddl/store.ts';
import { createAbortController } from '../../src/util/abort.ts';

/** A store for one test. */
export interface StoreFixture {
  readonly store: Store;
  /** Nothing is under it when the test begins; ends with a slash. */
  readonly prefix: string;
  /** Lets so much of the store's time go by. */
  readonly pass: (ms: number) => Promise<void>;
  /** Takes the nospace alarm back, when space was made. */
  readonly disarm: () => Promise<void>;
}

/** Makes a fixture and cleans up after the test. `quotaBytes`: the store is to refuse puts beyond it. */
export type StoreFactory = (
  t: TestContext,
  options: { readonly quotaBytes?: number },
) => Promise<StoreFixture>;

/** A signal that never aborts. */
export const signal = createAbortController().signal;

export function putOp(key: string, value: string, lease?: string): Op {
  return { op: 'put', key, value, lease };
}

export function del(key: string): Op {
  return { op: 'delete', key };
}

export function commit(store: Store, success: readonly Op[]): Promise<TxnResult> {
  return store.txn({ compare: [], success }, signal);
}

export function put(store: Store, key: string, value: string): Promise<TxnResult> {
  return commit(store, [putOp(key, value)]);
}

export async function read(store: Store, prefix: string): Promise<readonly KeyValue[]> {
  return (await store.range({ prefix }, signal)).kvs;
}

export async function revisions(
  store: Store,
  key: string,
): Promise<{ create: number; mod: number } | undefined> {
  const kv = (await store.range({ key }, signal)).kvs[0];
  return kv && { create: kv.create, mod: kv.mod };
}

export function names(kvs: readonly KeyValue[]): string {
  return kvs.map(({ value }) => value).join('');
}

export async function refused(kind: StoreErrorKind, call: Promise<unknown>): Promise<void> {
  await assert.rejects(call, (error) => error instanceof StoreError && error.kind === kind);
}
