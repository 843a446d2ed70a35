import { GatewayError } from '../errors.ts';

/** Bounds on what one point may hold; beyond them the point is refused with the reason. */
export interface PointLimits {
  /** One line of line protocol, in bytes. */
  readonly lineBytes: number;
  /** Metric, measurement, tag key or field key, in bytes; at most 65,535. */
  readonly nameBytes: number;
  readonly tagValueBytes: number;
  /** Value of a string field. */
  readonly stringBytes: number;
  readonly tagsPerPoint: number;
  readonly fieldsPerPoint: number;
  /** Distinct tables of one request; points of further ones are refused. */
  readonly tablesPerRequest: number;
  /** Points, or lines of any kind, of one request; beyond it the request is refused as a whole. */
  readonly pointsPerRequest: number;
  /** Nesting of arrays and objects in JSON. */
  readonly jsonDepth: number;
}

/** The refusal of a request with more points than allowed; what was parsed of it is forgotten. */
export function tooManyPoints({ pointsPerRequest }: PointLimits): GatewayError {
  return new GatewayError('body_too_large', `more than ${pointsPerRequest} points in one request`);
}
