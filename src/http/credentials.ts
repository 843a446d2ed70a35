/**
 * The credentials of a request, wherever its protocol puts them, in InfluxDB's order (protocols.md 5.1): parameters `u`
 * and `p`, then `Authorization` with scheme Bearer, Token or Basic, in any case; then GreptimeDB's `x-greptime-auth`, for
 * clients behind a proxy that keeps `Authorization` for itself. Pure; what is malformed is as good as missing.
 */
import type { IncomingMessage } from 'node:http';
import type { Credentials } from '../model/access.ts';

const SCHEME = /^(bearer|token|basic) +(.+)$/i;

/** Undefined: the request has none. */
export function readCredentials({ url = '', headers }: IncomingMessage): Credentials | undefined {
  const own = headers['x-greptime-auth'];
  return (
    fromQuery(url) ??
    fromHeader(headers.authorization) ??
    fromHeader(typeof own === 'string' ? own : undefined)
  );
}

function fromQuery(url: string): Credentials | undefined {
  const start = url.indexOf('?');
  if (start < 0 || !url.includes('p=', start)) return undefined;
  const query = new URLSearchParams(url.slice(start + 1));
  const user = query.get('u') ?? '';
  const password = query.get('p') ?? '';
  return user === '' || password === '' ? undefined : { kind: 'password', user, password };
}

function fromHeader(header: string | undefined): Credentials | undefined {
  const match = header === undefined ? null : SCHEME.exec(header);
  if (match === null) return undefined;
  const [, scheme, value] = match as unknown as [string, string, string];
  const text = scheme.toLowerCase() === 'basic' ? Buffer.from(value, 'base64').toString('utf8') : value;
  const colon = text.indexOf(':');
  if (colon > 0) return { kind: 'password', user: text.slice(0, colon), password: text.slice(colon + 1) };
  return scheme.toLowerCase() === 'basic' ? undefined : { kind: 'token', token: text };
}
