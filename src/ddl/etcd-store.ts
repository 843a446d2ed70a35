/**
 * The store over etcd. The package etcd3 carries connections, TLS and raw calls; calls, tokens, watches and
 * keepalives are done here, because its own lose events, repeat transactions and outlive `close` (etcd3 1.1.2).
 * Every call has a deadline. A failed call is not repeated, but on another endpoint if it was never sent and once
 * with a new token. Compaction happens only when `compact` is called.
 */
import type { Etcd3, IStatusResponse } from 'etcd3';
import { createAbortController, unlessAborted } from '../util/abort.ts';
import { decodeRange, decodeTxn, encodeRange, encodeTxn } from './etcd-codec.ts';
import { createDiagnosisLog } from './etcd-diagnosis.ts';
import { type EtcdEndpoint, EtcdEndpoints } from './etcd-endpoints.ts';
import { isTokenTrouble, storeErrorOf } from './etcd-errors.ts';
import { EtcdHistory } from './etcd-history.ts';
import type { EtcdDeps, EtcdStoreOptions } from './etcd-options.ts';
import { EtcdQuota } from './etcd-quota.ts';
import { type CallOptions, callOptions, EtcdTokens } from './etcd-token.ts';
import { EtcdWatch } from './etcd-watch.ts';
import {
  type Lease,
  MAX_REQUEST_BYTES,
  type RangeQuery,
  type RangeResult,
  type Store,
  StoreError,
  type StoreStatus,
  type Txn,
  type TxnResult,
  type WatchHandler,
} from './store.ts';
import { checkRange, requestBytes } from './store-checks.ts';

/** Sizes as of the last `status`; for gauges, which must not ask. */
export interface EtcdStats extends StoreStatus {
  /** Bytes of the file that hold data; the rest is free for new data, but not given back without defragmentation. */
  readonly dbInUseBytes: number;
}

/** The store, and what only etcd has. */
export interface EtcdStore extends Store {
  /** What the last `status` found; undefined before the first. */
  stats(): EtcdStats | undefined;
  /** A first look: logs what it finds, in words that say what to correct. Never rejects. */
  check(signal: AbortSignal): Promise<void>;
}

/** A store that connects when first used; etcd may be down, now and later. */
export function createEtcdStore(options: EtcdStoreOptions, deps: EtcdDeps): EtcdStore {
  return new RemoteStore(options, deps);
}

type Call<T> = (client: Etcd3, options: CallOptions, endpoint: EtcdEndpoint) => Promise<T>;

const NEVER = createAbortController().signal;

class RemoteStore implements EtcdStore {
  readonly #options: EtcdStoreOptions;
  readonly #deps: EtcdDeps;
  readonly #endpoints: EtcdEndpoints;
  readonly #tokens: EtcdTokens;
  readonly #history: EtcdHistory;
  readonly #quota: EtcdQuota;
  readonly #watches = new Set<EtcdWatch>();
  #stats: EtcdStats | undefined;
  #closed = false;

  constructor(options: EtcdStoreOptions, deps: EtcdDeps) {
    const { username, password = '', requestTimeoutMs, tls } = options;
    this.#options = options;
    this.#deps = deps;
    this.#endpoints = new EtcdEndpoints(options, deps.clock, createDiagnosisLog(options, deps));
    const user = username === undefined ? undefined : { name: username, password };
    this.#tokens = new EtcdTokens(user, this.#endpoints, deps.logger);
    this.#history = new EtcdHistory(deps.logger);
    this.#quota = new EtcdQuota(tls, requestTimeoutMs, deps);
  }

  async range(query: RangeQuery, signal: AbortSignal): Promise<RangeResult> {
    checkRange(query);
    const mark = this.#history.mark();
    const answer = await this.#call(signal, ({ kv }, options) => kv.range(encodeRange(query), options));
    this.#history.saw(answer.header, mark);
    return decodeRange(answer);
  }

  async txn(txn: Txn, signal: AbortSignal): Promise<TxnResult> {
    // Sent, it would be refused likewise, but beyond 2 MiB with an error that says nothing.
    if (requestBytes(txn) > MAX_REQUEST_BYTES) throw new StoreError('too_large', 'request is too large');
    const mark = this.#history.mark();
    const answer = await this.#call(signal, ({ kv }, options) => kv.txn(encodeTxn(txn), options));
    this.#history.saw(answer.header, mark);
    return decodeTxn(answer);
  }

  async grant(ttlMs: number, signal: AbortSignal): Promise<Lease> {
    const { ID, TTL } = await this.#call(signal, ({ leaseClient }, options) =>
      leaseClient.leaseGrant({ TTL: Math.ceil(ttlMs / 1_000) }, options),
    );
    return { id: ID, ttlMs: Number(TTL) * 1_000 };
  }

  async keepAlive(leaseId: string, signal: AbortSignal): Promise<void> {
    const ttl = await this.#call(signal, (_, options, { streams }) => renew(streams, leaseId, options));
    if (ttl <= 0) throw new StoreError('lease_not_found', `lease ${leaseId} not found`);
  }

  async revoke(leaseId: string, signal: AbortSignal): Promise<void> {
    await this.#call(signal, ({ leaseClient }, options) => leaseClient.leaseRevoke({ ID: leaseId }, options));
  }

  watch(prefix: string, fromRev: number, handler: WatchHandler): () => void {
    const { clock, logger } = this.#deps;
    const watch = new EtcdWatch(
      { prefix, fromRev, handler },
      {
        endpoints: this.#endpoints,
        tokens: this.#tokens,
        history: this.#history,
        clock,
        logger,
        openTimeoutMs: this.#options.requestTimeoutMs,
        readHead: async () => (await this.range({ prefix, countOnly: true }, NEVER)).rev,
      },
      (ended) => this.#watches.delete(ended),
    );
    this.#watches.add(watch);
    return () => watch.stop();
  }

  async compact(revision: number, signal: AbortSignal): Promise<void> {
    await this.#call(signal, ({ kv }, options) => kv.compact({ revision }, options));
  }

  async status(signal: AbortSignal): Promise<StoreStatus> {
    const { answer, quotaBytes } = await this.#call(signal, async (client, options, { address }) => ({
      answer: await client.maintenance.status(options),
      quotaBytes: this.#options.quotaBytes > 0 ? this.#options.quotaBytes : await this.#quota.read(address),
    }));
    this.#history.saw(answer.header);
    this.#stats = statsOf(answer, quotaBytes);
    return this.#stats;
  }

  stats(): EtcdStats | undefined {
    return this.#stats;
  }

  async check(signal: AbortSignal): Promise<void> {
    const { prefix } = this.#options;
    try {
      await this.range({ prefix, countOnly: true }, signal);
      const { quotaBytes, dbSizeBytes, nospace } = await this.status(signal);
      const endpoint = this.#endpoints.current.address.url;
      this.#deps.logger.info({ endpoint, prefix, quotaBytes, dbSizeBytes, nospace }, 'etcd answers');
    } catch (error) {
      this.#deps.logger.debug({ err: error }, 'first look at etcd failed');
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const watch of this.#watches) watch.stop();
    this.#quota.close();
    this.#endpoints.close();
  }

  async #call<T>(signal: AbortSignal, call: Call<T>): Promise<T> {
    signal.throwIfAborted();
    if (this.#closed) throw new StoreError('closed', 'the store is closed');
    return await unlessAborted(this.#authorized(call), signal);
  }

  /** The call cannot be taken back: when its signal aborts it goes on until its deadline, unheard. */
  async #authorized<T>(call: Call<T>): Promise<T> {
    const deadline = this.#deps.clock.wallNow() + this.#options.requestTimeoutMs;
    for (let tries = 1; ; tries++) {
      const token = await this.#tokens.get(deadline);
      const options = callOptions(deadline, token);
      try {
        return await this.#endpoints.run((endpoint) => call(endpoint.calls, options, endpoint));
      } catch (error) {
        const failure = storeErrorOf(error);
        if (this.#closed) throw new StoreError('closed', 'the store is closed', { cause: error });
        if (tries > 1 || !isTokenTrouble(failure.message) || !(await this.#tokens.expire(token)))
          throw failure;
      }
    }
  }
}

/** One renewal, on a stream of its own; answers the seconds the lease has, 0 when it is gone. */
async function renew(streams: Etcd3, leaseId: string, options: CallOptions): Promise<number> {
  const stream = await streams.leaseClient.leaseKeepAlive(options);
  return new Promise((resolve, reject) => {
    stream.on('data', ({ TTL }) => resolve(Number(TTL)));
    stream.on('error', reject);
    stream.on('end', () => reject(new StoreError('unavailable', 'the keepalive was not answered')));
    stream.write({ ID: leaseId });
    // Before the answer: when a stream fails that could still be written, etcd3 drops all connections.
    stream.end();
  });
}

function statsOf(answer: IStatusResponse, quotaBytes: number | undefined): EtcdStats {
  return {
    rev: Number(answer.header.revision),
    dbSizeBytes: Number(answer.dbSize),
    dbInUseBytes: Number(answer.dbSizeInUse),
    quotaBytes,
    nospace: answer.errors.some((alarm) => alarm.includes('NOSPACE')),
  };
}
