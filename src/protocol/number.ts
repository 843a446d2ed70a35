/**
 * Numbers from bytes, exactly: what these functions accept they convert as `Number(text)` or 64-bit integer
 * arithmetic would; anything unusual they decline with -1, and the slow path decides.
 *
 * A result of two numbers is left in `scratch`, because returning an object per point would cost more than the
 * conversion.
 */

/** Where results are left: see each function. */
export const scratch = { value: 0, seconds: 0, nanos: 0 };

const TEN_POWERS = Array.from({ length: 23 }, (_, i) => Number(`1e${i}`));
const TWO_27_PLUS_1 = 134217729;

/**
 * Decimal number `-?digits[.digits]` of at most 18 significant digits at `i`; the value is left in
 * `scratch.value`. Returns the position after it, or -1 when it isn't of this form (exponent, no digit on a side,
 * too many digits) or can't be rounded surely.
 */
export function scanDecimal(bytes: Uint8Array, i: number, end: number): number {
  const start = bytes[i] === 0x2d ? i + 1 : i;
  const limit = Math.min(end, start + 10); // nine digits and a point: then a 32-bit integer is enough
  let digits = 0;
  let at = start;
  let digit: number;
  while (at < limit && (digit = (bytes[at] as number) ^ 48) <= 9) {
    digits = (digits * 10 + digit) | 0;
    at++;
  }
  let fraction = 0;
  if (at < limit && bytes[at] === 0x2e) {
    const point = at++;
    while (at < limit && (digit = (bytes[at] as number) ^ 48) <= 9) {
      digits = (digits * 10 + digit) | 0;
      at++;
    }
    fraction = at - point - 1;
    if (fraction === 0 || point === start) return at < start + 10 ? -1 : scanLongDecimal(bytes, i, end);
  }
  if (at === start) return -1;
  if (at === start + 10) return scanLongDecimal(bytes, i, end);
  const value = digits / (TEN_POWERS[fraction] as number);
  scratch.value = start === i ? value : -value;
  return at;
}

/** As `scanDecimal`, for numbers of any length. */
function scanLongDecimal(bytes: Uint8Array, from: number, end: number): number {
  const start = bytes[from] === 0x2d ? from + 1 : from;
  let i = start;
  let first = 0; // up to nine significant digits each, in 32-bit integers because they are faster
  let second = 0;
  let digits = 0;
  let point = -1;
  for (; i < end; i++) {
    const digit = (bytes[i] as number) ^ 48;
    if (digit <= 9) {
      if (digits < 9) first = (first * 10 + digit) | 0;
      else second = (second * 10 + digit) | 0;
      if (first !== 0) digits++;
      if (digits > 18) return -1;
    } else if (bytes[i] === 0x2e && point < 0 && i > start) point = i;
    else break;
  }
  const fraction = point < 0 ? 0 : i - point - 1;
  if (i === start || point === i - 1 || fraction > 22) return -1;
  const value = divide(first, second, digits, fraction);
  if (value !== value) return -1;
  scratch.value = start === from ? value : -value;
  return i;
}

/** The value of `digits` digits, the first nine in `first`, over 10^fraction; NaN when not surely rounded. */
function divide(first: number, second: number, digits: number, fraction: number): number {
  const divisor = TEN_POWERS[fraction] as number;
  // Up to 15 digits and a power of ten up to 22 are exact, so one division rounds once (Clinger 1990).
  if (digits <= 9) return first / divisor;
  const large = first * (TEN_POWERS[digits - 9] as number);
  return digits <= 15 ? (large + second) / divisor : divideExactly(large, second, divisor);
}

/**
 * (large + small) / divisor, correctly rounded, or NaN when the double-double quotient is too near to a rounding
 * boundary to tell. All three are exact; small is less than large.
 */
function divideExactly(large: number, small: number, divisor: number): number {
  const sum = large + small;
  const rest = small - (sum - large);
  const quotient = sum / divisor;
  const product = quotient * divisor;
  // Dekker's exact error of quotient * divisor.
  const q = quotient * TWO_27_PLUS_1;
  const qHigh = q - (q - quotient);
  const qLow = quotient - qHigh;
  const d = divisor * TWO_27_PLUS_1;
  const dHigh = d - (d - divisor);
  const dLow = divisor - dHigh;
  const error = qHigh * dHigh - product + qHigh * dLow + qLow * dHigh + qLow * dLow;
  const correction = (sum - product - error + rest) / divisor;
  const margin = Math.abs(correction) * 2 ** -40;
  const lower = quotient + (correction - margin);
  return lower === quotient + (correction + margin) ? lower : Number.NaN;
}

/**
 * Up to 19 digits at `i`: the number is left as `scratch.seconds * 1e9 + scratch.nanos`. Returns the position after
 * the digits, or -1 when there are none or more than 19.
 */
export function scanInteger(bytes: Uint8Array, i: number, end: number): number {
  const start = i;
  while (i < end && ((bytes[i] as number) ^ 48) <= 9) i++;
  const count = i - start;
  if (count === 0 || count > 19) return -1;
  const split = count > 9 ? i - 9 : start;
  let upper = 0;
  for (let k = start; k < split; k++) upper = upper * 10 + ((bytes[k] as number) - 48);
  let lower = 0;
  for (let k = split; k < i; k++) lower = (lower * 10 + ((bytes[k] as number) - 48)) | 0;
  scratch.seconds = upper;
  scratch.nanos = lower;
  return i;
}

/**
 * Up to 15 digits at `i`: the number is left in `scratch.value`. Returns the position after the digits, or -1 when
 * there are none or more than 15.
 */
export function scanUnits(view: DataView, bytes: Uint8Array, i: number, end: number): number {
  let at = i;
  let value = 0;
  if (i + 8 <= end) {
    const a = digits4(view.getInt32(i, true));
    const b = digits4(view.getInt32(i + 4, true));
    if ((a | b) >= 0) {
      value = a * 10_000 + b;
      at += 8;
    }
  }
  let digit: number;
  while (at < end && (digit = (bytes[at] as number) ^ 48) <= 9) {
    value = value * 10 + digit;
    at++;
  }
  scratch.value = value;
  return at === i || at - i > 15 ? -1 : at;
}

/** As `scanInteger`, quick when the number has 19 digits, as a time in nanoseconds has between 2001 and 2286. */
export function scanNanos(view: DataView, bytes: Uint8Array, i: number, end: number): number {
  if (i + 20 > end || ((bytes[i + 19] as number) ^ 48) <= 9) return scanInteger(bytes, i, end);
  const a = digits4(view.getInt32(i, true));
  const b = digits4(view.getInt32(i + 4, true));
  const c = digits4(view.getInt32(i + 8, true));
  const d = digits4(view.getInt32(i + 12, true));
  const x = (bytes[i + 16] as number) ^ 48;
  const y = (bytes[i + 17] as number) ^ 48;
  const z = (bytes[i + 18] as number) ^ 48;
  if ((a | b | c | d) < 0 || x > 9 || y > 9 || z > 9) return scanInteger(bytes, i, end);
  const c2 = (c / 100) | 0;
  scratch.seconds = (a * 10_000 + b) * 100 + c2;
  scratch.nanos = (c - c2 * 100) * 10_000_000 + d * 1_000 + x * 100 + y * 10 + z;
  return i + 19;
}

/** The number that four ASCII digits in a little-endian word stand for, or -1 when one is no digit. */
function digits4(word: number): number {
  const digits = word ^ 0x30303030;
  if (((digits | (digits + 0x06060606)) & (0xf0f0f0f0 | 0)) !== 0) return -1;
  const pairs = (digits * 10 + (digits >>> 8)) & 0x00ff00ff;
  return (pairs & 0xff) * 100 + (pairs >>> 16);
}

const INTEGER = /^[+-]?\d+$/;
const DECIMAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/** A decimal number of the strict grammar (protocols: 2.5, 4), finite, or undefined. Slow path. */
export function parseDecimal(text: string): number | undefined {
  if (!DECIMAL.test(text)) return undefined;
  const value = Number(text);
  return Number.isFinite(value) ? value : undefined;
}

/** An integer within `minimum`..`maximum`, or undefined. Slow path. */
export function parseInteger(text: string, minimum: bigint, maximum: bigint): bigint | undefined {
  if (!INTEGER.test(text) || text.length > 40) return undefined;
  const value = BigInt(text.startsWith('+') ? text.slice(1) : text);
  return value < minimum || value > maximum ? undefined : value;
}
