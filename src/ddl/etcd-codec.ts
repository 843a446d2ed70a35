/**
 * Requests and answers of the contract as etcd's messages. 64-bit integers travel as strings; names of enums are in
 * CamelCase, and one that is not known would silently mean the first.
 */
import type { IKeyValue, IRangeRequest, IRangeResponse, IRequestOp, ITxnRequest, ITxnResponse } from 'etcd3';
import type { Compare, KeyValue, Op, RangeQuery, RangeResult, Txn, TxnResult } from './store.ts';

const ZERO = Buffer.of(0);

/** The keys that begin with `prefix`, as etcd's half-open range. */
export function prefixRange(prefix: string): { key: Buffer; range_end: Buffer } {
  if (prefix === '') return { key: ZERO, range_end: ZERO };
  const end = Buffer.from(prefix);
  // Keys are ASCII, so the last byte can always be counted up.
  end[end.length - 1] = (end.at(-1) as number) + 1;
  return { key: Buffer.from(prefix), range_end: end };
}

export function encodeRange(query: RangeQuery): IRangeRequest {
  const { limit = 0, revision = 0, countOnly = false } = query;
  const rest = { limit, revision, count_only: countOnly };
  if ('key' in query) return { key: Buffer.from(query.key), ...rest };
  const range = prefixRange(query.prefix);
  const from = query.from ?? '';
  return { ...range, ...(from > query.prefix ? { key: Buffer.from(from) } : {}), ...rest };
}

export function decodeRange({ header, kvs, count, more }: IRangeResponse): RangeResult {
  return { rev: Number(header.revision), kvs: kvs.map(decodeKeyValue), count: Number(count), more };
}

export function encodeTxn({ compare, success, failure = [] }: Txn): ITxnRequest {
  return {
    compare: compare.map(encodeCompare),
    success: success.map(encodeOp),
    failure: failure.map(encodeOp),
  };
}

export function decodeTxn({ header, succeeded, responses }: ITxnResponse): TxnResult {
  const found = new Map<string, KeyValue>();
  // Absent members are null, against their type.
  for (const { response_range: range } of responses as { response_range?: IRangeResponse | null }[]) {
    for (const kv of range?.kvs ?? []) found.set(kv.key.toString(), decodeKeyValue(kv));
  }
  return { ok: succeeded, rev: Number(header.revision), found };
}

export function decodeKeyValue({ key, value, create_revision, mod_revision, lease }: IKeyValue): KeyValue {
  return {
    key: key.toString(),
    value: value.toString(),
    create: Number(create_revision),
    mod: Number(mod_revision),
    lease: lease === '0' ? undefined : lease,
  };
}

function encodeCompare(compare: Compare): NonNullable<ITxnRequest['compare']>[number] {
  const key = Buffer.from(compare.key);
  return 'create' in compare
    ? { key, result: 'Equal', target: 'Create', create_revision: compare.create }
    : { key, result: 'Equal', target: 'Mod', mod_revision: compare.mod };
}

function encodeOp(op: Op): IRequestOp {
  const key = Buffer.from(op.key);
  if (op.op === 'put') return { request_put: { key, value: Buffer.from(op.value), lease: op.lease ?? 0 } };
  return op.op === 'get' ? { request_range: { key } } : { request_delete_range: { key } };
}
