/** Timestamps and values of OpenTSDB as they mostly are, from bytes; -1 leaves the rest to the slow paths. */
import { scanDecimal, scanUnits, scratch } from './number.ts';

const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;

/** A whole timestamp at `start`, left in `scratch.seconds` and `scratch.nanos`; returns the position after it, or -1. */
export function scanTimestamp(view: DataView, bytes: Uint8Array, start: number, end: number): number {
  if (start >= end || bytes[start] === ZERO) return -1;
  const i = scanUnits(view, bytes, start, end);
  if (i < 0) return -1;
  const units = scratch.value;
  if (units <= 4294967295) {
    scratch.seconds = units;
    scratch.nanos = 0;
    return i;
  }
  scratch.seconds = Math.floor(units / 1000);
  scratch.nanos = (units - scratch.seconds * 1000) * 1e6;
  return units <= 9223372036854 ? i : -1;
}

/** A value at `start`, left in `scratch.value`; returns the position after it, or -1. */
export function scanValue(bytes: Uint8Array, start: number, end: number): number {
  const digits = bytes[start] === MINUS ? start + 1 : start;
  if (bytes[digits] === ZERO && ((bytes[digits + 1] as number) ^ ZERO) <= 9) return -1;
  const i = scanDecimal(bytes, start, end);
  // Integers near 2^63 need a range check, and -0 is 0 when it is an integer.
  if (i < 0 || (i - digits >= 19 && !bytes.subarray(digits, i).includes(POINT))) return -1;
  return scratch.value === 0 && digits !== start ? -1 : i;
}
