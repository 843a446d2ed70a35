/** What the HTTP layer counts; src/metrics.ts implements it. All label values are from these closed sets. */

/** The routes that take points. */
export type WriteRoute = 'opentsdb_put' | 'influx_write' | 'influx_v2_write' | 'influx_v3_write';

/** What became of points: `parked` are kept on disk, `malformed` were not understood, `rejected` not taken, `deferred` asked for again. */
export type PointOutcome = 'stored' | 'parked' | 'malformed' | 'rejected' | 'deferred';

/** Why a body was not taken. */
export type BodyRefusal = 'too_large' | 'overload' | 'malformed' | 'encoding';

/** Why a request was not allowed; `busy`: its password could not be checked now. */
export type AccessRefusal = 'unauthenticated' | 'forbidden' | 'busy';

/** Why a connection was closed: too many in all, too many of its address, or a failed handshake. */
export type ConnectionRefusal = 'total' | 'address' | 'tls';

/** Counters of the HTTP layer. */
export interface HttpMetrics {
  answered(route: WriteRoute, status: number, durationMs: number): void;
  points(route: WriteRoute, outcome: PointOutcome, count: number): void;
  bodyRefused(reason: BodyRefusal): void;
  accessRefused(reason: AccessRefusal): void;
  connectionRefused(reason: ConnectionRefusal): void;
}
