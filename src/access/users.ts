/**
 * An `Access` over the users of a file. A token is found by its digest: how long that takes tells about the digest of
 * what was shown, which helps nobody to a token. A name that is not there is refused at once; names are no secrets.
 */
import { LRUCache } from 'lru-cache';
import type { Access, Principal } from '../model/access.ts';
import type { PasswordCheck } from './password-check.ts';
import { hashToken, type PasswordHash } from './secrets.ts';
import { ANONYMOUS, type User } from './users-file.ts';

/** Decisions kept per user whose databases are patterns: clients choose the names of databases. */
const MAX_DECISIONS = 256;

interface Passwords {
  readonly principal: Principal;
  readonly hash: PasswordHash;
}

/** Makes it; nothing of the users changes afterwards. */
export function createUsers(users: readonly User[], check: PasswordCheck): Access {
  const byToken = new Map<string, Principal>();
  const byName = new Map<string, Passwords>();
  const byCertificate = new Map<string, Principal>();
  let anybody: Principal | undefined;
  for (const user of users) {
    const principal = createPrincipal(user);
    if (user.tokenHash !== undefined) byToken.set(user.tokenHash, principal);
    if (user.passwordHash !== undefined) byName.set(user.name, { principal, hash: user.passwordHash });
    if (user.certificate !== undefined) byCertificate.set(user.certificate, principal);
    if (user.name === ANONYMOUS) anybody = principal;
  }

  /** A token may stand where a password is asked for, with any user: not every client has a place for tokens. */
  function byPassword(
    user: string,
    password: string,
  ): Principal | undefined | Promise<Principal | undefined> {
    const owner = byToken.get(hashToken(password));
    const known = byName.get(user);
    if (owner !== undefined || known === undefined) return owner;
    const good = check.matches(known.hash, password);
    if (typeof good === 'boolean') return good ? known.principal : undefined;
    return good.then((isGood) => (isGood ? known.principal : undefined));
  }

  return {
    identify(credentials) {
      if (credentials === undefined) return anybody;
      if (credentials.kind === 'token') return byToken.get(hashToken(credentials.token));
      if (credentials.kind === 'password') return byPassword(credentials.user, credentials.password);
      const name = credentials.names.find((candidate) => byCertificate.has(candidate));
      return name === undefined ? anybody : byCertificate.get(name);
    },
  };
}

function createPrincipal({ name, tenant, rights, databases }: User): Principal {
  if (databases === undefined) return { name, tenant, may: (right) => rights.has(right) };
  const decisions = new LRUCache<string, boolean>({ max: MAX_DECISIONS });
  return {
    name,
    tenant,
    may(right, database) {
      if (database === undefined || !rights.has(right)) return false;
      let decision = decisions.get(database);
      if (decision === undefined) decisions.set(database, (decision = databases(database)));
      return decision;
    },
  };
}
