/** The limits that etcd puts on requests, for the memory store to refuse the same ones. */
import { MAX_REQUEST_BYTES, MAX_TXN_OPS, type Op, type RangeQuery, StoreError, type Txn } from './store.ts';

/** @throws {StoreError} invalid */
export function checkRange(query: RangeQuery): void {
  if ('key' in query) checkKey(query.key);
  if ((query.limit ?? 0) < 0) throw new StoreError('invalid', `negative limit ${query.limit}`);
}

/** @throws {StoreError} invalid, too_many_ops, dup_key, too_large */
export function checkTxn(txn: Txn): void {
  for (const compare of txn.compare) checkKey(compare.key);
  const lists = [txn.compare, txn.success, txn.failure ?? []];
  if (lists.some((list) => list.length > MAX_TXN_OPS)) {
    throw new StoreError('too_many_ops', `more than ${MAX_TXN_OPS} operations in a transaction`);
  }
  checkOps(txn.success);
  checkOps(txn.failure ?? []);
  if (requestBytes(txn) > MAX_REQUEST_BYTES) throw new StoreError('too_large', 'request is too large');
}

/** Bytes of the keys and values of a request. */
export function requestBytes(txn: Txn): number {
  let bytes = 0;
  for (const op of [...txn.success, ...(txn.failure ?? [])]) {
    bytes += op.key.length + (op.op === 'put' ? Buffer.byteLength(op.value) : 0);
  }
  return bytes;
}

function checkOps(ops: readonly Op[]): void {
  const put = new Set<string>();
  for (const op of ops) {
    checkKey(op.key);
    if (op.op !== 'put') continue;
    if (put.has(op.key)) throw duplicate(op.key);
    put.add(op.key);
  }
  for (const op of ops) {
    if (op.op === 'delete' && put.has(op.key)) throw duplicate(op.key);
  }
}

function checkKey(key: string): void {
  if (key === '') throw new StoreError('invalid', 'empty key');
}

function duplicate(key: string): StoreError {
  return new StoreError('dup_key', `key ${key} is changed twice in one branch`);
}
