/**
 * Who may do what. Transports read credentials, an `Access` says whose they are, and the `Principal` says what its
 * owner may do; nothing else knows how users are kept. The rights are checked where a request enters.
 */

/** `write` rows, `create` what they need, `read` by `/v1/sql`, `admin`: see and steer the gateway. */
export type Right = 'write' | 'create' | 'read' | 'admin';

/** What a client shows; where in the request it stood does not matter. */
export type Credentials =
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'password'; readonly user: string; readonly password: string }
  /** Names in a client certificate that the TLS layer has verified, in the order they are looked for. */
  | { readonly kind: 'certificate'; readonly names: readonly string[] };

/** Somebody who is known. */
export interface Principal {
  /** For people: `askedBy`, the audit log. Never a secret. */
  readonly name: string;
  /** Whose share of the creates is used; undefined: that of the database written to. */
  readonly tenant: string | undefined;
  /** `database` undefined: in every one, also what is no database's. Synchronous, allocates nothing. */
  may(right: Right, database: string | undefined): boolean;
}

/** Who is known. */
export interface Access {
  /**
   * Whose credentials these are; undefined: nobody's. Without credentials, what anybody may do, or undefined when
   * nobody may do anything without. A promise only where a slow hash has to be computed.
   */
  identify(credentials: Credentials | undefined): Principal | undefined | Promise<Principal | undefined>;
}

const ANYBODY: Principal = { name: 'anonymous', tenant: undefined, may: () => true };

/** Everybody may do everything: authentication is off. */
export const OPEN_ACCESS: Access = {
  identify: () => ANYBODY,
};
