/** What the etcd store is given, and how endpoints are written. Files are read and checked by whoever calls it. */
import type { Clock } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';

/** PEM texts; `cert` and `key` only together. */
export interface EtcdTls {
  /** Authorities to trust; undefined: those of the system. */
  readonly ca?: Buffer | undefined;
  readonly cert?: Buffer | undefined;
  readonly key?: Buffer | undefined;
}

/** See docs/configuration.md, group etcd. */
export interface EtcdStoreOptions {
  /** `host:port`, `http://host:port` or `https://host:port`, one or more, all of one cluster. */
  readonly endpoints: readonly string[];
  /** What the queue keeps its keys under; here only for the look at the start and for messages. */
  readonly prefix: string;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** Undefined: plain text, unless an endpoint says https. */
  readonly tls?: EtcdTls | undefined;
  /** Longest time of a call, 1 or more. */
  readonly requestTimeoutMs: number;
  /** The server's quota; 0: read from its /metrics. */
  readonly quotaBytes: number;
  /** HTTP/2 pings while a stream is open: how often, and how long to wait. etcd refuses more than one per 5 s. */
  readonly pingMs?: number | undefined;
  readonly pingTimeoutMs?: number | undefined;
  /** How often a connection without answers may be replaced; default 10_000. */
  readonly renewMs?: number | undefined;
}

/** What the parts of the store work with. */
export interface EtcdDeps {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** An endpoint taken apart. */
export interface EtcdAddress {
  /** `host:port`. */
  readonly host: string;
  readonly secure: boolean;
  /** `https://host:port`, for messages and /metrics. */
  readonly url: string;
}

const ENDPOINT = /^(?:(https?):\/\/)?((?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]+\]):\d{1,5})\/?$/;

/** Undefined when it is not an endpoint. `secure` is for those that do not say http or https. */
export function parseEndpoint(text: string, secure: boolean): EtcdAddress | undefined {
  const [, scheme, host] = ENDPOINT.exec(text) ?? [];
  if (host === undefined) return undefined;
  const isSecure = scheme === undefined ? secure : scheme === 'https';
  return { host, secure: isSecure, url: `${isSecure ? 'https' : 'http'}://${host}` };
}
