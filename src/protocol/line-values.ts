/**
 * The fast path for field values: plain decimals, integers that need no range check, booleans, strings. Each
 * function adds the value to the batch and returns the position after it, where a comma, a blank or the end of the
 * line stands, or -1 when the complete grammar must decide.
 */
import { isUtf8 } from 'node:buffer';
import { high64, low64 } from '../model/int64.ts';
import type { PointBatch } from '../model/point-batch.ts';
import { scanDecimal, scanInteger, scratch } from './number.ts';
import type { FieldSpelling } from './table-entry.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const LETTER_I = 0x69;
const LETTER_U = 0x75;

/** Adds the value at `start` of the batch's body, which counts up to `end`. */
export function addValue(batch: PointBatch, field: FieldSpelling, start: number, end: number): number {
  if (start >= end) return -1;
  const bytes = batch.body;
  const first = bytes[start] as number;
  if (first === QUOTE) return addString(batch, field, start + 1, end);
  if (first >= 0x41) return addBoolean(batch, field, start, end);
  const i = scanDecimal(bytes, start, end);
  if (i < 0 || !isDelimiter(bytes, i, end)) return addInteger(batch, field, start, end);
  batch.addFloat(field.slots.float ?? field.slots.of('float64'), scratch.value);
  return i;
}

function isDelimiter(bytes: Uint8Array, i: number, end: number): boolean {
  if (i >= end) return true;
  const byte = bytes[i];
  return byte === 0x2c || byte === 0x20 || byte === 0x0a || byte === 0x0d;
}

function addInteger(batch: PointBatch, field: FieldSpelling, start: number, end: number): number {
  const bytes = batch.body;
  const negative = bytes[start] === 0x2d;
  const i = scanInteger(bytes, negative ? start + 1 : start, end);
  if (i < 0 || i - start > 18 || !isDelimiter(bytes, i + 1, end)) return -1;
  const suffix = i < end ? bytes[i] : 0;
  if (suffix !== LETTER_I && (suffix !== LETTER_U || negative)) return -1;
  let high = high64(scratch.seconds, scratch.nanos);
  let low = low64(scratch.seconds, scratch.nanos);
  if (negative) {
    low = -low | 0;
    high = (~high + (low === 0 ? 1 : 0)) | 0;
  }
  batch.addInt(field.slots.of(suffix === LETTER_I ? 'int64' : 'uint64'), high, low);
  return i + 1;
}

function addBoolean(batch: PointBatch, field: FieldSpelling, start: number, end: number): number {
  const bytes = batch.body;
  const isTrue = bytes[start] === 0x74;
  if (!isTrue && bytes[start] !== 0x66) return -1;
  let i = start + 1;
  const word = isTrue ? 'true' : 'false';
  if (!isDelimiter(bytes, i, end)) {
    for (; i - start < word.length; i++) if (i >= end || bytes[i] !== word.charCodeAt(i - start)) return -1;
    if (!isDelimiter(bytes, i, end)) return -1;
  }
  batch.addBool(field.slots.of('bool'), isTrue);
  return i;
}

function addString(batch: PointBatch, field: FieldSpelling, start: number, end: number): number {
  const bytes = batch.body;
  let escaped = false;
  let anyBits = 0;
  let i = start;
  for (; i < end && bytes[i] !== QUOTE; i++) {
    anyBits |= bytes[i] as number;
    if (bytes[i] !== BACKSLASH) continue;
    i++;
    anyBits |= bytes[i] as number;
    escaped ||= bytes[i] === QUOTE || bytes[i] === BACKSLASH;
  }
  if (i >= end || !isDelimiter(bytes, i + 1, end)) return -1;
  if (anyBits >= 0x80 && !isUtf8(bytes.subarray(start, i))) return -1;
  batch.addString(field.slots.of('string'), start, i - start, escaped);
  return i + 1;
}
