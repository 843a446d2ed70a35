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
  /** Nesting of arrays and objects in JSON. */
  readonly jsonDepth: number;
}
