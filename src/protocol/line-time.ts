/** Timestamps of line protocol: precision names, scaling to nanoseconds, range. */
import type { Precision } from '../model/parse-result.ts';

/** Nanoseconds per unit. */
export const NANOS_PER_UNIT: Record<Exclude<Precision, 'auto'>, bigint> = {
  ns: 1n,
  us: 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
};

/** The times InfluxDB takes (models.MinNanoTime, MaxNanoTime). */
export const MIN_TIME = -9_223_372_036_854_775_806n;
export const MAX_TIME = 9_223_372_036_854_775_806n;

/** The unit of a bare number by its magnitude, as InfluxDB 3 guesses it (protocols: 5.3). */
export function guessUnit(value: bigint): Exclude<Precision, 'auto'> {
  const billions = (value < 0n ? -value : value) / 1_000_000_000n;
  if (billions < 5n) return 's';
  if (billions < 5_000n) return 'ms';
  return billions < 5_000_000n ? 'us' : 'ns';
}

/** Nanoseconds of a timestamp's text, or the reason why it is none. */
export function parseTimestamp(text: string, precision: Precision): bigint | string {
  if (!/^-?\d+$/.test(text) || text.length > 40) return 'bad timestamp';
  const value = BigInt(text);
  const nanos = value * NANOS_PER_UNIT[precision === 'auto' ? guessUnit(value) : precision];
  return nanos < MIN_TIME || nanos > MAX_TIME ? `time outside range ${MIN_TIME} - ${MAX_TIME}` : nanos;
}

/** The server's time for lines without one, cut to the precision; nanoseconds. */
export function serverTime(nowMs: number, precision: Precision): bigint {
  const nanos = BigInt(Math.round(nowMs * 1_000)) * 1_000n;
  return precision === 'auto' ? nanos : nanos - (nanos % NANOS_PER_UNIT[precision]);
}

/** The unit names of the write endpoints, v1 and v2 together (protocols: 5.1, 5.2). */
export const PRECISIONS: ReadonlyMap<string, Precision> = new Map<string, Precision>([
  ...(Object.keys(NANOS_PER_UNIT) as Precision[]).map((unit) => [unit, unit] as const),
  ['n', 'ns'],
  ['u', 'us'],
]);
