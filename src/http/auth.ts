/**
 * Authentication and rights of HTTP requests: reads the credentials in every form that the protocols know, asks whose
 * they are, and checks the right. A refusal is an error like any other, so that each protocol gives it its own shape.
 * Called by the intake for writes, and by routes that take no points themselves.
 */
import type { IncomingMessage } from 'node:http';
import { GatewayError } from '../errors.ts';
import type { Access, Principal, Right } from '../model/access.ts';
import { certificateCredentials } from './client-certificate.ts';
import { readCredentials } from './credentials.ts';
import type { HttpMetrics } from './http-metrics.ts';

/** Checks requests. */
export interface Auth {
  /**
   * Who sends this request, if it may do that in `database` (undefined: in any).
   * @throws {GatewayError} unauthenticated (401) without credentials that are known, forbidden (403) without the right.
   */
  authorize(
    request: IncomingMessage,
    right: Right,
    database: string | undefined,
  ): Principal | Promise<Principal>;
}

/** Makes the check over what is known of users; refusals are counted. */
export function createAuth(access: Access, metrics: Pick<HttpMetrics, 'accessRefused'>): Auth {
  function allowed(principal: Principal | undefined, right: Right, database: string | undefined): Principal {
    if (principal === undefined) {
      metrics.accessRefused('unauthenticated');
      throw new GatewayError('unauthenticated', 'authorization failed');
    }
    if (principal.may(right, database)) return principal;
    metrics.accessRefused('forbidden');
    const where = database === undefined ? '' : ` in database ${JSON.stringify(database)}`;
    throw new GatewayError('forbidden', `${principal.name} has no right to ${right}${where}`);
  }
  return {
    authorize(request, right, database) {
      const principal = access.identify(readCredentials(request) ?? certificateCredentials(request.socket));
      if (principal instanceof Promise) return principal.then((known) => allowed(known, right, database));
      return allowed(principal, right, database);
    },
  };
}
