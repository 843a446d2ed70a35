/** Errors that the gateway itself raises; foreign errors are translated where they enter. */

/** Every reason the gateway gives; the HTTP layer maps it to a status in the protocol's own shape. */
export type ErrorCode =
  | 'config_invalid'
  | 'unauthenticated'
  | 'forbidden'
  | 'body_too_large'
  | 'body_malformed'
  | 'encoding_unsupported'
  | 'sql_invalid'
  | 'sql_timeout'
  | 'overload'
  | 'unavailable'
  | 'closed';

const TABLE: Record<ErrorCode, { readonly status: number; readonly retryable: boolean }> = {
  config_invalid: { status: 500, retryable: false },
  unauthenticated: { status: 401, retryable: false },
  forbidden: { status: 403, retryable: false },
  body_too_large: { status: 413, retryable: false },
  body_malformed: { status: 400, retryable: false },
  encoding_unsupported: { status: 400, retryable: false },
  sql_invalid: { status: 400, retryable: false },
  sql_timeout: { status: 408, retryable: false },
  overload: { status: 503, retryable: true },
  unavailable: { status: 503, retryable: true },
  closed: { status: 503, retryable: true },
};

/** An expected failure with a code; `status` and `retryable` follow from the code alone. */
export class GatewayError extends Error {
  override readonly name = 'GatewayError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  /** HTTP status where the protocol has no own rule. */
  get status(): number {
    return TABLE[this.code].status;
  }

  /** True when the same request may succeed later. */
  get retryable(): boolean {
    return TABLE[this.code].retryable;
  }
}
