/** What the parsers answer. The points themselves are in the PointBatch that was passed in. */
import type { PointBatch } from './point-batch.ts';

/** A point that could not be taken; the others of its request are unharmed. */
export interface PointError {
  /** Byte range of the line or JSON element in the body. */
  readonly offset: number;
  readonly length: number;
  /** 0-based index of the JSON element, or 1-based physical line. */
  readonly position: number;
  /** In the words the protocol's own server uses. */
  readonly reason: string;
}

/** Result of a parse: `failed` counts all bad points, `errors` lists the first `MAX_POINT_ERRORS` of them. */
export interface ParsedPoints {
  readonly kind: 'parsed';
  /** Good points; equals the rows of the batch. */
  readonly good: number;
  readonly failed: number;
  readonly errors: readonly PointError[];
}

/** The body as a whole is not of the protocol's form: nothing of it may be stored. */
export interface MalformedBody {
  readonly kind: 'malformed';
  /** The server's own message, for instance `Unable to parse the given JSON`. */
  readonly message: string;
  /** Where and why, for people. */
  readonly details: string | undefined;
}

/** More errors than this are counted, not listed. */
export const MAX_POINT_ERRORS = 1_000;

/** Units of a line's timestamp; `auto` guesses by magnitude as InfluxDB 3 does. */
export type Precision = 'ns' | 'us' | 'ms' | 's' | 'm' | 'h' | 'auto';

/** Parses OpenTSDB JSON from `batch.body` into the batch; pure but for the batch and the series dictionary. */
export interface OpenTsdbParser {
  parse(batch: PointBatch): ParsedPoints | MalformedBody;
}

/** Of a field that a line names more than once: the last value counts, or the line is refused (InfluxDB 3). */
export type RepeatedFields = 'last' | 'refuse';

/**
 * Parses line protocol from `batch.body` into the batch. `nowMs`: wall clock for lines without a timestamp.
 * `repeatedFields` undefined: `last`.
 */
export interface LineParser {
  parse(
    batch: PointBatch,
    precision: Precision,
    nowMs: number,
    repeatedFields?: RepeatedFields,
  ): ParsedPoints;
}
