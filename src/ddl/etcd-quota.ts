/** Reads etcd's quota, which only its /metrics tell. The page is large, so the answer is kept for a while. */
import { get as getPlain } from 'node:http';
import { get as getSecure } from 'node:https';
import { createAbortController } from '../util/abort.ts';
import type { EtcdAddress, EtcdDeps, EtcdTls } from './etcd-options.ts';

const QUOTA = /^etcd_server_quota_backend_bytes ([0-9.e+]+)$/m;
/** A server without quota reports one as large as an integer can be. */
const UNLIMITED = 2 ** 60;
const MAX_PAGE_BYTES = 8 * 1024 ** 2;
/** It changes only when etcd is started with another one. */
const KEEP_MS = 60_000;

/** See the module comment. */
export class EtcdQuota {
  readonly #tls: EtcdTls | undefined;
  readonly #deps: EtcdDeps;
  readonly #timeoutMs: number;
  readonly #known = new Map<string, { readonly bytes: number | undefined; readonly atMs: number }>();
  readonly #closing = createAbortController();

  constructor(tls: EtcdTls | undefined, timeoutMs: number, deps: EtcdDeps) {
    this.#tls = tls;
    this.#timeoutMs = timeoutMs;
    this.#deps = deps;
  }

  /** Undefined: no quota, or it can't be read. Never throws. */
  async read(address: EtcdAddress): Promise<number | undefined> {
    const { clock, logger } = this.#deps;
    const known = this.#known.get(address.url);
    if (known !== undefined && clock.now() - known.atMs < KEEP_MS) return known.bytes;
    let bytes = known?.bytes;
    try {
      bytes = quotaIn(await this.#page(`${address.url}/metrics`));
    } catch (error) {
      logger.debug({ err: error, url: address.url }, "etcd's quota is not known: its /metrics can't be read");
    }
    this.#known.set(address.url, { bytes, atMs: clock.now() });
    return bytes;
  }

  close(): void {
    this.#closing.abort(new Error('the store is closed'));
  }

  async #page(url: string): Promise<string> {
    const timer = createAbortController();
    const request = createAbortController();
    const abort = (): void => request.abort(new Error('no answer in time'));
    void this.#deps.clock.sleep(this.#timeoutMs, timer.signal).then(abort, () => undefined);
    this.#closing.signal.addEventListener('abort', abort);
    try {
      return await readPage(url, this.#tls, request.signal);
    } finally {
      timer.abort();
      this.#closing.signal.removeEventListener('abort', abort);
    }
  }
}

/** The quota that a page of metrics tells. */
export function quotaIn(page: string): number | undefined {
  const bytes = Number(QUOTA.exec(page)?.[1]);
  return bytes > 0 && bytes < UNLIMITED ? bytes : undefined;
}

function readPage(url: string, tls: EtcdTls | undefined, signal: AbortSignal): Promise<string> {
  const options = { ca: tls?.ca, cert: tls?.cert, key: tls?.key, agent: false, signal } as const;
  return new Promise((resolve, reject) => {
    const request = (url.startsWith('https:') ? getSecure : getPlain)(url, options, (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        bytes += chunk.length;
        if (bytes > MAX_PAGE_BYTES) response.destroy(new Error('the page is too large'));
      });
      response.on('error', reject);
      response.on('end', () => resolve(Buffer.concat(chunks).toString()));
    });
    request.on('error', reject);
  });
}
