/**
 * How secrets are kept: never themselves. A token is 256 random bits, so one SHA-256 is enough and costs nothing; a
 * password is what somebody thought of, so it gets scrypt with a salt. Parameters stand in the text, so that old
 * entries stay good when the defaults grow. Pure but for the random bytes.
 */
import { createHash, randomBytes, scrypt, scryptSync, timingSafeEqual } from 'node:crypto';

/** What is kept of a password. */
export interface PasswordHash {
  /** As it stands in the file; tells hashes apart. */
  readonly text: string;
  /** Base-2 logarithm of scrypt's N, 14 to 17, its r, 8 to 16, and its p, 1 to 4: at most 256 MiB. */
  readonly log2N: number;
  readonly r: number;
  readonly p: number;
  readonly salt: Buffer;
  readonly key: Buffer;
}

const TOKEN_BYTES = 32;
const SALT_BYTES = 16;
const KEY_BYTES = 32;
/** 32 MiB and about 80 ms of one core. */
const DEFAULTS = { log2N: 15, r: 8, p: 1 };

/** A new token; it holds nothing that a header, an URL or a shell would treat in a special way. */
export function newToken(): string {
  return `sluice_${randomBytes(TOKEN_BYTES).toString('base64url')}`;
}

/** `sha256:` and 64 hexadecimal digits. */
export function hashToken(token: string): string {
  return `sha256:${createHash('sha256').update(token).digest('hex')}`;
}

/** Undefined when the text is no hash of a token. */
export function readTokenHash(text: string): string | undefined {
  return /^sha256:[0-9a-f]{64}$/.test(text) ? text : undefined;
}

/** `scrypt:log2N:r:p:salt:key`, the last two in base64url. Takes about 80 ms; for commands only. */
export function hashPassword(password: string): string {
  const salt = randomBytes(SALT_BYTES);
  const key = scryptSync(password, salt, KEY_BYTES, scryptOptions(DEFAULTS));
  const { log2N, r, p } = DEFAULTS;
  return `scrypt:${log2N}:${r}:${p}:${salt.toString('base64url')}:${key.toString('base64url')}`;
}

/** Undefined when the text is no hash of a password, or one out of the ranges. */
export function readPasswordHash(text: string): PasswordHash | undefined {
  const match = /^scrypt:(1[4-7]):(8|9|1[0-6]):([1-4]):([\w-]{22,86}):([\w-]{43})$/.exec(text);
  if (match === null) return undefined;
  const [log2N, r, p] = match.slice(1, 4).map(Number) as [number, number, number];
  const [salt, key] = match.slice(4).map((part) => Buffer.from(part, 'base64url')) as [Buffer, Buffer];
  return { text, log2N, r, p, salt, key };
}

/** Whether it is this password; computed off the event loop, compared in constant time. */
export function verifyPassword(hash: PasswordHash, password: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    scrypt(password, hash.salt, KEY_BYTES, scryptOptions(hash), (error, key) => {
      if (error === null) resolve(timingSafeEqual(key, hash.key));
      else reject(error);
    });
  });
}

function scryptOptions({ log2N, r, p }: Pick<PasswordHash, 'log2N' | 'r' | 'p'>) {
  const N = 2 ** log2N;
  // Node refuses what it estimates to need more than 32 MiB.
  return { N, r, p, maxmem: 2 * 128 * N * r };
}
