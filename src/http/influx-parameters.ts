/**
 * The query parameters of InfluxDB's write endpoints: which database, which unit of time. Pure functions; each
 * answers its value or the error in the version's own words. Credentials among the parameters are not looked at.
 */
import type { Precision } from '../model/parse-result.ts';
import { type InfluxVersion, influxError } from './influx-reply.ts';
import { v3Text } from './influx-v3.ts';
import { firstParameter, type HttpReply } from './reply.ts';

/** What a write asks for. */
export interface WriteParameters {
  readonly database: string;
  readonly precision: Precision;
  /** False: one bad line refuses all of them (v3's `accept_partial=false`). */
  readonly acceptPartial: boolean;
}

/** A query string, parsed; repeated parameters are arrays. */
export type Query = Readonly<Record<string, unknown>>;

/** The names of both versions, on both: clients move from one to the other with their settings. */
const PRECISIONS: ReadonlyMap<string, Precision> = new Map([
  ['', 'ns'],
  ['n', 'ns'],
  ['ns', 'ns'],
  ['u', 'us'],
  ['us', 'us'],
  ['µ', 'us'],
  ['ms', 'ms'],
  ['s', 's'],
  ['m', 'm'],
  ['h', 'h'],
  ['auto', 'auto'],
]);

/** Of v3, whose names leave out minutes and hours. */
const V3_PRECISIONS: ReadonlyMap<string, Precision> = new Map([
  ['', 'auto'],
  ['auto', 'auto'],
  ...(['n', 'ns', 'nanosecond'] as const).map((name) => [name, 'ns'] as const),
  ...(['u', 'us', 'microsecond'] as const).map((name) => [name, 'us'] as const),
  ...(['ms', 'millisecond'] as const).map((name) => [name, 'ms'] as const),
  ...(['s', 'second'] as const).map((name) => [name, 's'] as const),
]);

/** InfluxDB 3's rule for the name of a database, which a retention policy may follow. */
const V3_DATABASE = /^[A-Za-z0-9][A-Za-z0-9_-]*(\/[A-Za-z0-9_-]+)?$/;
const MAX_V3_DATABASE = 511;
const V3_NAME_RULE = 'must start with a letter or number, then letters, numbers, _ and -, at most 511';

const CONSISTENCIES: ReadonlySet<string> = new Set(['', 'any', 'one', 'quorum', 'all']);

/** Retention policies that mean the database itself. */
const DEFAULT_POLICIES: ReadonlySet<string> = new Set(['', "''", 'autogen', 'default']);

/**
 * Reads the parameters in the order in which the version's own server checks them. `database`: where the write goes,
 * empty when the request does not say.
 */
export function readWriteParameters(
  version: InfluxVersion,
  query: Query,
  database: string,
): WriteParameters | HttpReply {
  if (version === 'v3') return readV3Parameters(query, database);
  const unit = firstParameter(query['precision']) ?? '';
  const precision = PRECISIONS.get(unit);
  if (precision === undefined) return influxError(version, 400, wrongPrecision(version, unit));
  if (database === '') return missingDatabase(version);
  // NUL separates names in keys all over the gateway
  if (database.includes('\0')) return influxError(version, 400, 'invalid database name');
  if (version === 'v1' && !CONSISTENCIES.has(firstParameter(query['consistency']) ?? '')) {
    return influxError('v1', 400, 'invalid consistency level');
  }
  return { database, precision, acceptPartial: true };
}

function readV3Parameters(query: Query, database: string): WriteParameters | HttpReply {
  if (database === '') return v3Text(400, "missing query parameter 'db'");
  const precision = V3_PRECISIONS.get(firstParameter(query['precision']) ?? '');
  if (precision === undefined) {
    return v3Text(400, 'invalid precision (use auto, second, millisecond, microsecond or nanosecond)');
  }
  for (const flag of ['accept_partial', 'no_sync']) {
    if (!/^(true|false)?$/.test(firstParameter(query[flag]) ?? '')) {
      return v3Text(400, `parameter '${flag}' must be true or false`);
    }
  }
  if (database.length > MAX_V3_DATABASE || !V3_DATABASE.test(database)) {
    return influxError('v3', 400, `invalid character in database or rp name: ${V3_NAME_RULE}`);
  }
  return { database, precision, acceptPartial: firstParameter(query['accept_partial']) !== 'false' };
}

/** The database that a write of this version names by its parameters, empty when it names none. */
export function databaseOf(version: InfluxVersion, query: Query): string {
  if (version === 'v3') return firstParameter(query['db']) ?? '';
  return version === 'v1' ? v1Database(query) : v2Database(query);
}

function wrongPrecision(version: InfluxVersion, unit: string): string {
  return version === 'v1'
    ? `invalid precision ${JSON.stringify(unit)} (use n, u, ms, s, m or h)`
    : 'invalid precision; valid precision units are ns, us, ms, and s';
}

function missingDatabase(version: InfluxVersion): HttpReply {
  return version === 'v1'
    ? influxError('v1', 400, 'database is required')
    : influxError('v2', 404, 'bucket not found');
}

function v1Database(query: Query): string {
  const database = firstParameter(query['db']) ?? '';
  return database === '' ? '' : withPolicy(database, firstParameter(query['rp']) ?? '');
}

/** A bucket may be InfluxDB 1's `database/policy`. */
function v2Database(query: Query): string {
  const bucket = firstParameter(query['bucket']) || (firstParameter(query['db']) ?? '');
  const slash = bucket.indexOf('/');
  return slash <= 0 ? bucket : withPolicy(bucket.slice(0, slash), bucket.slice(slash + 1));
}

function withPolicy(database: string, policy: string): string {
  return DEFAULT_POLICIES.has(policy) ? database : `${database}/${policy}`;
}
