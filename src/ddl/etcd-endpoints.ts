/**
 * The connections: per endpoint one etcd3 client for calls and one for streams, made when first needed. etcd3 gives the
 * transport only: its fault handling is off, for it repeats transactions that are not idempotent and shuts all
 * calls off for 5 s after three failures. One endpoint is used until it fails, then the next.
 *
 * A connection that hangs while it is made would be waited for as long as TCP waits, so after a call without
 * an answer a new one is made; seldom, for the old one keeps its file descriptor until the other side ends it.
 */
import { rootCertificates } from 'node:tls';
import { noop } from 'cockatiel';
import { Etcd3, type IOptions } from 'etcd3';
import type { Clock } from '../model/clock.ts';
import { storeErrorOf, wasNeverSent, wasNotAnswered } from './etcd-errors.ts';
import { type EtcdAddress, type EtcdStoreOptions, type EtcdTls, parseEndpoint } from './etcd-options.ts';
import { StoreError } from './store.ts';

/** Told how calls went. */
export interface EndpointListener {
  succeeded(address: EtcdAddress): void;
  failed(address: EtcdAddress, error: StoreError): void;
}

/** One member of the cluster. */
export interface EtcdEndpoint {
  readonly address: EtcdAddress;
  /** For calls with one answer. */
  readonly calls: Etcd3;
  /** For watches and keepalives. */
  readonly streams: Etcd3;
  /** Begins new connections, unless that was done a short while ago; what is under way stays on the old. */
  renew(): void;
}

const PING_MS = 10_000;
const PING_TIMEOUT_MS = 3_000;
const RENEW_MS = 10_000;
/** How long after a failed attempt the next one may begin; meanwhile calls fail at once. */
const CONNECT_BACKOFF_MS = 100;
const MAX_CONNECT_BACKOFF_MS = 1_000;
/** A page of the largest values fits many times; the default of 4 MiB would not take a burst of revisions. */
const MAX_ANSWER_BYTES = 64 * 1024 ** 2;

/** See the module comment. */
export class EtcdEndpoints {
  readonly #endpoints: readonly LazyEndpoint[];
  readonly #listener: EndpointListener;
  #index = 0;

  constructor(options: EtcdStoreOptions, clock: Clock, listener: EndpointListener) {
    const addresses = options.endpoints.map((text) => parseEndpoint(text, options.tls !== undefined));
    this.#endpoints = addresses
      .filter((address) => address !== undefined)
      .map((address) => new LazyEndpoint(address, options, clock));
    this.#listener = listener;
  }

  /** The endpoint in use. */
  get current(): EtcdEndpoint {
    return this.#endpoints[this.#index % this.#endpoints.length] as EtcdEndpoint;
  }

  /** Runs a call; on the next endpoint when one could not even be reached. @throws {StoreError} */
  async run<T>(call: (endpoint: EtcdEndpoint) => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      const endpoint = this.current;
      try {
        const result = await call(endpoint);
        this.#listener.succeeded(endpoint.address);
        return result;
      } catch (error) {
        const failure = storeErrorOf(error);
        this.report(endpoint, failure);
        if (tries >= this.#endpoints.length || !wasNeverSent(failure)) throw failure;
      }
    }
  }

  /** Notes a failure; if the endpoint itself is at fault, the next one is used from now on. */
  report(endpoint: EtcdEndpoint, error: StoreError): void {
    this.#listener.failed(endpoint.address, error);
    if (wasNotAnswered(error)) endpoint.renew();
    if (error.kind === 'unavailable' && endpoint === this.current) this.#index++;
  }

  close(): void {
    for (const endpoint of this.#endpoints) endpoint.close();
  }
}

class LazyEndpoint implements EtcdEndpoint {
  readonly address: EtcdAddress;
  readonly #options: EtcdStoreOptions;
  readonly #clock: Clock;
  #calls: Etcd3 | undefined;
  #streams: Etcd3 | undefined;
  #renewedMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(address: EtcdAddress, options: EtcdStoreOptions, clock: Clock) {
    this.address = address;
    this.#options = options;
    this.#clock = clock;
  }

  get calls(): Etcd3 {
    return (this.#calls ??= this.#open());
  }

  get streams(): Etcd3 {
    return (this.#streams ??= this.#open());
  }

  renew(): void {
    if (this.#clock.now() - this.#renewedMs < (this.#options.renewMs ?? RENEW_MS)) return;
    this.#renewedMs = this.#clock.now();
    this.#drop();
  }

  close(): void {
    this.#closed = true;
    this.#drop();
  }

  #drop(): void {
    this.#calls?.close();
    this.#streams?.close();
    this.#calls = undefined;
    this.#streams = undefined;
  }

  #open(): Etcd3 {
    if (this.#closed) throw new StoreError('closed', 'the store is closed');
    return new Etcd3(clientOptions(this.address, this.#options));
  }
}

let clients = 0;

function clientOptions(address: EtcdAddress, options: EtcdStoreOptions): IOptions {
  return {
    hosts: address.url,
    ...(address.secure ? { credentials: credentials(options.tls) } : {}),
    faultHandling: { global: noop, host: () => TRANSLATE },
    grpcOptions: {
      'grpc.keepalive_time_ms': options.pingMs ?? PING_MS,
      'grpc.keepalive_timeout_ms': options.pingTimeoutMs ?? PING_TIMEOUT_MS,
      'grpc.initial_reconnect_backoff_ms': CONNECT_BACKOFF_MS,
      'grpc.max_reconnect_backoff_ms': MAX_CONNECT_BACKOFF_MS,
      'grpc.max_receive_message_length': MAX_ANSWER_BYTES,
      'grpc.enable_channelz': 0,
      // No settings from DNS, no detour by http_proxy.
      'grpc.service_config_disable_resolution': 1,
      'grpc.enable_http_proxy': 0,
      // Connections are shared by whoever has the same options: all services of one client, and nobody else.
      'grpc.primary_user_agent': `sluice-${clients++}`,
    },
  };
}

/** Does nothing but translate errors: on some of its own, etcd3 would drop all connections. */
const TRANSLATE: typeof noop = Object.assign(Object.create(noop) as typeof noop, {
  execute: async <T>(run: Parameters<typeof noop.execute<T>>[0]): Promise<T> => {
    try {
      return await noop.execute(run);
    } catch (error) {
      throw storeErrorOf(error);
    }
  },
});

function credentials(tls: EtcdTls = {}): NonNullable<IOptions['credentials']> {
  const rootCertificate = tls.ca ?? Buffer.from(rootCertificates.join('\n'));
  if (tls.cert === undefined || tls.key === undefined) return { rootCertificate };
  return { rootCertificate, privateKey: tls.key, certChain: tls.cert };
}
