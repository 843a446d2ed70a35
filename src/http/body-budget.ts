/**
 * Bounds the bytes of all request bodies held at once, received and inflated, until their requests are answered.
 * It is what keeps memory bounded when many clients send large bodies at the same time. Used by body-reader.ts.
 */
import { GatewayError } from '../errors.ts';

/** A share of the budget; grows as bytes arrive. */
export interface BodyLease {
  /** @throws {GatewayError} overload when the budget of all requests is used up. */
  add(bytes: number): void;
  /** Gives everything back; idempotent. */
  release(): void;
}

/** The budget; `usedBytes` is for a gauge. */
export interface BodyBudget {
  lease(): BodyLease;
  readonly usedBytes: number;
}

/** Makes a budget of `maxBytes`. */
export function createBodyBudget(maxBytes: number): BodyBudget {
  let used = 0;
  return {
    lease(): BodyLease {
      let mine = 0;
      return {
        add(bytes) {
          if (used + bytes > maxBytes) throw new GatewayError('overload', 'too many bytes in flight');
          used += bytes;
          mine += bytes;
        },
        release() {
          used -= mine;
          mine = 0;
        },
      };
    },
    get usedBytes() {
      return used;
    },
  };
}
