/**
 * A watch: one stream, one watcher on it, until either ends. It does not reconnect: whoever watches knows the
 * revision to go on from, and hears whether going on is possible. States: opening, open, ended.
 */
import type { Duplex } from 'node:stream';
import type { Etcd3, IEvent, IWatchResponse } from 'etcd3';
import type { Clock } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';
import { createAbortController } from '../util/abort.ts';
import { decodeKeyValue, prefixRange } from './etcd-codec.ts';
import type { EtcdEndpoint, EtcdEndpoints } from './etcd-endpoints.ts';
import { isTokenTrouble, storeErrorOf } from './etcd-errors.ts';
import type { EtcdHistory } from './etcd-history.ts';
import { callOptions, type EtcdTokens, type Token } from './etcd-token.ts';
import { StoreError, type WatchEnd, type WatchEvent, type WatchHandler } from './store.ts';

/** etcd ends the stream of a member that has lost its leader, instead of leaving the watch in silence. */
const REQUIRE_LEADER = [['hasleader', 'true']] as const;

/** What is to be watched. */
export interface WatchRequest {
  readonly prefix: string;
  readonly fromRev: number;
  readonly handler: WatchHandler;
}

/** What a watch works with. */
export interface WatchDeps {
  readonly endpoints: EtcdEndpoints;
  readonly tokens: EtcdTokens;
  readonly history: EtcdHistory;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Longest time until the watch stands. */
  readonly openTimeoutMs: number;
  /** The newest revision, read with consensus. */
  readonly readHead: () => Promise<number>;
}

type WatchStream = Awaited<ReturnType<Etcd3['watchClient']['watch']>> & Pick<Duplex, 'pause' | 'resume'>;

/** See the module comment. */
export class EtcdWatch {
  readonly #request: WatchRequest;
  readonly #deps: WatchDeps;
  readonly #onEnded: (watch: EtcdWatch) => void;
  readonly #era: number;
  readonly #opening = createAbortController();
  #state: 'opening' | 'open' | 'ended' = 'opening';
  #endpoint: EtcdEndpoint | undefined;
  #token: Token | undefined;
  #stream: WatchStream | undefined;
  #nextRev: number;
  /** The pieces so far of an answer that etcd has split. */
  #events: IEvent[] = [];

  constructor(request: WatchRequest, deps: WatchDeps, onEnded: (watch: EtcdWatch) => void) {
    this.#request = request;
    this.#deps = deps;
    this.#onEnded = onEnded;
    this.#nextRev = request.fromRev;
    this.#era = deps.history.eraOf(request.prefix);
    void this.#open();
  }

  /** Ends it without a call of the handler. Idempotent. */
  stop(): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#opening.abort();
    if (this.#stream !== undefined) release(this.#stream);
    this.#onEnded(this);
  }

  async #open(): Promise<void> {
    const { endpoints, tokens, clock, openTimeoutMs } = this.#deps;
    try {
      this.#token = await tokens.get(clock.wallNow() + openTimeoutMs);
      if (this.#isEnded()) return;
      this.#endpoint = endpoints.current;
      const options = callOptions(undefined, this.#token, REQUIRE_LEADER);
      const stream = (await this.#endpoint.streams.watchClient.watch(options)) as WatchStream;
      stream.on('error', (error) => this.#failed(error));
      if (this.#isEnded()) return release(stream);
      this.#listen(stream);
    } catch (error) {
      this.#failed(error);
    }
  }

  #listen(stream: WatchStream): void {
    const { clock, openTimeoutMs } = this.#deps;
    this.#stream = stream;
    stream.on('data', (response) => void this.#received(response, stream));
    stream.on('end', () => this.#end('lost'));
    const { prefix, fromRev } = this.#request;
    stream.write({
      create_request: {
        ...prefixRange(prefix),
        start_revision: fromRev,
        progress_notify: true,
        fragment: true,
      },
    });
    const late = (): void => this.#failed(new StoreError('unavailable', 'Deadline exceeded for a watch'));
    void clock.sleep(openTimeoutMs, this.#opening.signal).then(late, () => undefined);
  }

  async #received(response: IWatchResponse, stream: WatchStream): Promise<void> {
    if (this.#isEnded()) return;
    const { history } = this.#deps;
    history.saw(response.header);
    if (response.canceled) return this.#canceled(response);
    if (response.created && Number(response.header.revision) < history.head) {
      // A lagging member, or a store that went back: only a read with consensus can tell.
      stream.pause();
      await this.#deps.readHead().then(
        (rev) => this.#opened(rev),
        (error: unknown) => this.#failed(error),
      );
      stream.resume();
    } else if (response.created) {
      this.#opened(Number(response.header.revision));
    }
    if (history.era !== this.#era) return this.#reset();
    this.#events.push(...response.events);
    if (response.fragment) return;
    this.#deliver(this.#events.splice(0));
  }

  #opened(rev: number): void {
    if (this.#state !== 'opening') return;
    if (this.#deps.history.era !== this.#era) return this.#reset();
    this.#opening.abort();
    this.#state = 'open';
    this.#request.handler.onOpen(rev);
  }

  /** Whole revisions, in order. Ones that came before are left out: etcd may repeat some (#20221). */
  #deliver(events: readonly IEvent[]): void {
    for (let index = 0; index < events.length && this.#state === 'open'; ) {
      const revision = (events[index] as IEvent).kv.mod_revision;
      const batch: WatchEvent[] = [];
      for (; events[index]?.kv.mod_revision === revision; index++)
        batch.push(decodeEvent(events[index] as IEvent));
      const rev = Number(revision);
      if (rev < this.#nextRev) continue;
      this.#nextRev = rev + 1;
      this.#request.handler.onBatch(rev, batch);
    }
  }

  #canceled({ compact_revision, cancel_reason }: IWatchResponse): void {
    if (compact_revision !== '0') return this.#end('compacted');
    const error = storeErrorOf(new Error(cancel_reason));
    if (error.kind === 'denied') return void this.#denied(error);
    this.#deps.logger.warn({ reason: cancel_reason }, 'etcd ended the watch of the DDL keys');
    this.#end('reset');
  }

  /** With a new token it may go on; without a permission there is nothing to go on with. */
  async #denied(error: StoreError): Promise<void> {
    const mayHelp =
      isTokenTrouble(error.message) &&
      this.#token !== undefined &&
      (await this.#deps.tokens.expire(this.#token));
    if (!mayHelp && this.#endpoint !== undefined) this.#deps.endpoints.report(this.#endpoint, error);
    this.#end(mayHelp ? 'lost' : 'reset');
  }

  #failed(error: unknown): void {
    if (this.#isEnded()) return;
    const failure = storeErrorOf(error);
    if (failure.kind === 'denied') return void this.#denied(failure);
    if (this.#endpoint !== undefined) this.#deps.endpoints.report(this.#endpoint, failure);
    this.#end('lost');
  }

  #reset(): void {
    this.#deps.history.accept(this.#request.prefix);
    this.#end('reset');
  }

  #end(reason: WatchEnd): void {
    if (this.#isEnded()) return;
    this.stop();
    this.#request.handler.onEnd(reason);
  }

  /** Not `this.#state === 'ended'` in place: the compiler would think that no call changes it. */
  #isEnded(): boolean {
    return this.#state === 'ended';
  }
}

/** Half-closed first, so that etcd3 does not take the cancellation for a failure and drop the connection. */
function release(stream: WatchStream): void {
  stream.end();
  stream.cancel();
}

function decodeEvent({ type, kv }: IEvent): WatchEvent {
  return { key: kv.key.toString(), kv: type === 'Put' ? decodeKeyValue(kv) : undefined };
}
