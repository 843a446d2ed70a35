/**
 * The spool's keys and values in LevelDB. All of a lane's records lie together, in the order of their numbers; what is
 * known of the lanes lies apart from them, so that a start reads no record. Numbers are big-endian in keys.
 *
 *   m layout          text: whose folder this is, and which version of this layout
 *   m progress        counters of the whole spool, in every batch
 *   n lane:6          name of the lane, written once
 *   s lane:6          counts of the lane, in every batch that changes it
 *   r lane:6 seq:6    crc:4 version:1 rows:4 atMs:8 bytes
 *
 * Every value but the layout begins with a CRC-32 over its key and the rest, for LevelDB as it is built here does not
 * check blocks when it reads them: a damaged or misplaced value is noticed here or nowhere.
 */
import { Buffer } from 'node:buffer';
import { crc32 } from 'node:zlib';
import type { LaneName, NewRecord, StoredRecord } from '../model/spool.ts';

/** The value under `LAYOUT_KEY`. */
export const LAYOUT = 'sluice spool 1';
export const LAYOUT_KEY = Buffer.from('mlayout');
export const PROGRESS_KEY = Buffer.from('mprogress');
/** There after the disk failed: changes whose fate was unknown may have been counted twice, or never. */
export const RECOUNT_KEY = Buffer.from('mrecount');

/** Kinds of keys, and the first bytes of ranges. */
export const NAMES = 0x6e;
export const RECORDS = 0x72;
export const STATES = 0x73;

/** A record's format; another one is unreadable. */
const RECORD_VERSION = 1;
const CRC_BYTES = 4;
/** Bytes before a record's own. */
export const HEADER_BYTES = 17;
const RECORD_KEY_BYTES = 13;
/** Lanes and sequence numbers are below it: 2^48 records at a million per second last nine years. */
export const MAX_NUMBER = 2 ** 48 - 1;

/** Counters of the whole spool. */
export interface Progress {
  readonly nextSeq: number;
  readonly nextLane: number;
  /** Lanes with a state, and the records in them: what does not add up is damaged. */
  readonly lanes: number;
  readonly records: number;
}

/** What is kept of a lane besides its name. */
export interface LaneCounts {
  readonly records: number;
  readonly rows: number;
  readonly bytes: number;
  readonly oldestAtMs: number | undefined;
  /** No record of the lane has a lower number. */
  readonly headSeq: number;
}

/** Key of a lane's name or state, or the end of its records: `laneKey(RECORDS, lane + 1)`. */
export function laneKey(kind: number, lane: number): Buffer {
  const key = Buffer.allocUnsafe(7);
  key[0] = kind;
  key.writeUIntBE(lane, 1, 6);
  return key;
}

/** Key of a record. */
export function recordKey(lane: number, seq: number): Buffer {
  const key = Buffer.allocUnsafe(RECORD_KEY_BYTES);
  key[0] = RECORDS;
  key.writeUIntBE(lane, 1, 6);
  key.writeUIntBE(seq, 7, 6);
  return key;
}

/** The lane of any key but a meta key; undefined when it is none of ours. */
export function laneIn(key: Buffer): number | undefined {
  const length = key[0] === RECORDS ? RECORD_KEY_BYTES : 7;
  return key.length === length ? key.readUIntBE(1, 6) : undefined;
}

/** The sequence number in a record's key. */
export function seqIn(key: Buffer): number {
  return key.readUIntBE(7, 6);
}

/** The value of a record; a copy of its bytes. */
export function encodeRecord(key: Buffer, { rows, atMs, bytes }: NewRecord): Buffer {
  const value = Buffer.allocUnsafe(HEADER_BYTES + bytes.length);
  value[4] = RECORD_VERSION;
  value.writeUInt32BE(rows, 5);
  value.writeDoubleBE(atMs, 9);
  value.set(bytes, HEADER_BYTES);
  return sealed(key, value);
}

/** A record as read. An unreadable one has no rows, for its head can't be trusted either. */
export function decodeRecord(key: Buffer, value: Buffer): StoredRecord {
  const seq = seqIn(key);
  if (!isSealed(key, value) || value.length < HEADER_BYTES || value[4] !== RECORD_VERSION) {
    const bytes = Math.max(0, value.length - HEADER_BYTES);
    return { seq, rows: 0, bytes, atMs: 0, data: undefined, raw: value };
  }
  const data = value.subarray(HEADER_BYTES);
  return {
    seq,
    rows: value.readUInt32BE(5),
    bytes: data.length,
    atMs: value.readDoubleBE(9),
    data,
    raw: value,
  };
}

/** JSON, because it gives back every string, lone surrogates included. */
export function encodeName(key: Buffer, { tenant, database, table }: LaneName): Buffer {
  const text = Buffer.from(JSON.stringify([tenant, database, table]));
  return sealed(key, Buffer.concat([Buffer.allocUnsafe(CRC_BYTES), text]));
}

/** Undefined: damaged. */
export function decodeName(key: Buffer, value: Buffer): LaneName | undefined {
  if (!isSealed(key, value)) return undefined;
  const [tenant, database, table] = JSON.parse(value.toString('utf8', CRC_BYTES)) as [string, string, string];
  return { tenant, database, table };
}

export function encodeCounts(key: Buffer, counts: LaneCounts): Buffer {
  const { records, rows, bytes, oldestAtMs = Number.NaN, headSeq } = counts;
  return encodeNumbers(key, [records, rows, bytes, oldestAtMs, headSeq]);
}

/** Undefined: damaged. */
export function decodeCounts(key: Buffer, value: Buffer): LaneCounts | undefined {
  const numbers = decodeNumbers(key, value, 5);
  if (numbers === undefined) return undefined;
  const [records, rows, bytes, oldestAtMs, headSeq] = numbers as [number, number, number, number, number];
  return { records, rows, bytes, oldestAtMs: Number.isNaN(oldestAtMs) ? undefined : oldestAtMs, headSeq };
}

export function encodeProgress({ nextSeq, nextLane, lanes, records }: Progress): Buffer {
  return encodeNumbers(PROGRESS_KEY, [nextSeq, nextLane, lanes, records]);
}

/** Undefined: damaged. */
export function decodeProgress(value: Buffer): Progress | undefined {
  const numbers = decodeNumbers(PROGRESS_KEY, value, 4);
  if (numbers === undefined) return undefined;
  const [nextSeq, nextLane, lanes, records] = numbers as [number, number, number, number];
  return { nextSeq, nextLane, lanes, records };
}

function encodeNumbers(key: Buffer, numbers: readonly number[]): Buffer {
  const value = Buffer.allocUnsafe(CRC_BYTES + numbers.length * 8);
  for (const [i, number] of numbers.entries()) value.writeDoubleBE(number, CRC_BYTES + i * 8);
  return sealed(key, value);
}

function decodeNumbers(key: Buffer, value: Buffer, length: number): number[] | undefined {
  if (value.length !== CRC_BYTES + length * 8 || !isSealed(key, value)) return undefined;
  return Array.from({ length }, (_, i) => value.readDoubleBE(CRC_BYTES + i * 8));
}

function sealed(key: Buffer, value: Buffer): Buffer {
  value.writeUInt32BE(checksum(key, value), 0);
  return value;
}

function isSealed(key: Buffer, value: Buffer): boolean {
  return value.length >= CRC_BYTES && value.readUInt32BE(0) === checksum(key, value);
}

function checksum(key: Buffer, value: Buffer): number {
  return crc32(value.subarray(CRC_BYTES), crc32(key));
}
