/**
 * Transaction T2: at most one gateway holds the `lead` key, bound to a lease that it keeps alive; the key's create
 * revision is the fence in everything the leader writes. It does not make a paused leader stop in time: that one's
 * writes fail by the fence, and it starts no statement after 2/3 of the TTL since the send of the last
 * acknowledged keepalive. A term ends only when the lease or the key is known to be gone, so a store that was away for
 * a while does not change the leader.
 */
import type { Clock } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';
import { createAbortController } from '../util/abort.ts';
import { exponentialMs, jitterMs, type Random } from '../util/backoff.ts';
import { encodeValue } from './codec.ts';
import type { DdlKeys } from './keys.ts';
import { createPulse } from './pulse.ts';
import { absent, type Lease, type Store, storeErrorKind } from './store.ts';
import type { DdlView } from './view.ts';

/** Share of the lease within which a leader may start work, and the share after which it renews. */
const ACT_SHARE = 2 / 3;
const RENEW_SHARE = 1 / 3;
const RETRY_SHARE = 1 / 10;
/** Gateways that see the place empty wait up to this long, so that not all of them try at once. */
const HOLD_OFF_MS = 500;
const CAMPAIGN_BASE_MS = 500;
const CAMPAIGN_MAX_MS = 10_000;
/** For what must be tried even while closing; the driver's own deadline bounds it. */
const NEVER = createAbortController().signal;

/** What an election works with. */
export interface ElectionDeps {
  readonly store: Store;
  readonly keys: DdlKeys;
  readonly view: DdlView;
  /** The view's revision, and whether it is current. */
  readonly position: () => { readonly rev: number; readonly live: boolean };
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: Random;
  readonly leaseTtlMs: number;
  readonly gatewayId: string;
  readonly nextNonce: () => string;
}

/** Told of this gateway's terms. Must not throw. */
export interface ElectionListener {
  began(fence: number): void;
  /** The leader may start work (again). */
  renewed(): void;
  ended(): void;
}

interface Term {
  readonly fence: number;
  /** What this gateway put under the key; it has the term's nonce. */
  readonly value: string;
  readonly lease: Lease;
  actUntilMs: number;
}

/** See the module comment. */
export class Election {
  readonly #deps: ElectionDeps;
  readonly #listener: ElectionListener;
  readonly #closing = createAbortController();
  readonly #pulse = createPulse();
  #term: Term | undefined;
  #sawLeader = false;
  #running: Promise<void> | undefined;

  constructor(deps: ElectionDeps, listener: ElectionListener) {
    this.#deps = deps;
    this.#listener = listener;
  }

  /** The create revision of this gateway's key while it leads, else undefined. */
  get fence(): number | undefined {
    return this.#term?.fence;
  }

  /** True while this gateway leads and is sure enough of it to start work. */
  get mayAct(): boolean {
    return this.#term !== undefined && this.#deps.clock.now() < this.#term.actUntilMs;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** To be called when the view's leader, or whether the view is live, has changed. */
  viewChanged(): void {
    this.#pulse.beat();
  }

  /** Steps down: gives the key back, so that another need not wait for the lease. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort(new Error('the election is closed'));
    await this.#running;
    const term = this.#term;
    if (term === undefined) return;
    this.#end();
    await this.#revoke(term.lease);
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    let failures = 0;
    while (!signal.aborted) {
      try {
        await this.#vacancy(signal);
        const term = await this.#campaign(signal);
        if (term === 'lost') continue;
        failures = 0;
        this.#begin(term);
        await this.#hold(term, signal);
        this.#end();
      } catch (error) {
        if (signal.aborted) return;
        failures++;
        this.#deps.logger.debug({ err: error }, 'election of the DDL leader failed');
        const waitMs = jitterMs(
          exponentialMs(CAMPAIGN_BASE_MS, CAMPAIGN_MAX_MS, failures),
          0.2,
          this.#deps.random,
        );
        await this.#deps.clock.sleep(waitMs, signal).catch(() => undefined);
      }
    }
  }

  /** Waits until nobody leads, and a little longer, unless nobody ever has since this gateway looks. */
  async #vacancy(signal: AbortSignal): Promise<void> {
    const vacant = (): boolean => this.#deps.position().live && this.#deps.view.lead === undefined;
    for (;;) {
      while (!vacant()) {
        this.#sawLeader ||= this.#deps.view.lead !== undefined;
        await this.#pulse.wait(signal);
      }
      if (!this.#sawLeader) return;
      await this.#deps.clock.sleep(this.#deps.random() * HOLD_OFF_MS, signal);
      if (vacant()) return;
    }
  }

  async #campaign(signal: AbortSignal): Promise<Term | 'lost'> {
    const { store, keys, clock, leaseTtlMs, gatewayId, nextNonce } = this.#deps;
    this.#sawLeader = true;
    const sentMs = clock.now();
    const lease = await store.grant(leaseTtlMs, signal);
    const value = encodeValue({ v: 1, nonce: nextNonce(), gateway: gatewayId });
    let fence: number | undefined;
    try {
      fence = await this.#putLead(lease, value, signal);
    } finally {
      if (fence === undefined) await this.#revoke(lease);
    }
    if (fence !== undefined) return { fence, value, lease, actUntilMs: sentMs + lease.ttlMs * ACT_SHARE };
    // Somebody else was faster: the view is about to show it.
    if (this.#deps.view.lead === undefined) await this.#pulse.waitFor(HOLD_OFF_MS, clock, signal);
    this.#deps.logger.debug({ key: keys.lead }, 'another gateway became DDL leader');
    return 'lost';
  }

  /** The fence, or undefined when another leads. */
  async #putLead(lease: Lease, value: string, signal: AbortSignal): Promise<number | undefined> {
    const { store, keys } = this.#deps;
    try {
      const result = await store.txn(
        {
          label: 'elect',
          compare: [absent(keys.lead)],
          success: [{ op: 'put', key: keys.lead, value, lease: lease.id }],
        },
        signal,
      );
      return result.ok ? result.rev : undefined;
    } catch (error) {
      if (storeErrorKind(error) !== 'unavailable') throw error;
      const kv = (await store.range({ key: keys.lead }, signal)).kvs[0];
      return kv?.value === value ? kv.create : undefined;
    }
  }

  /** Keeps the lease until it, or the key, is gone. */
  async #hold(term: Term, signal: AbortSignal): Promise<void> {
    const { store, clock, logger } = this.#deps;
    const { ttlMs, id } = term.lease;
    let waitMs = ttlMs * RENEW_SHARE;
    while (!this.#replaced(term)) {
      await this.#pulse.waitFor(waitMs, clock, signal);
      const sentMs = clock.now();
      try {
        await store.keepAlive(id, signal);
        term.actUntilMs = sentMs + ttlMs * ACT_SHARE;
        waitMs = ttlMs * RENEW_SHARE;
        this.#listener.renewed();
      } catch (error) {
        signal.throwIfAborted();
        if (storeErrorKind(error) === 'lease_not_found') return;
        waitMs = ttlMs * RETRY_SHARE;
        logger.debug({ err: error }, 'keepalive of the DDL leader failed');
      }
    }
  }

  /** By the nonce too: in a store that was emptied another leader's key may have the same revision. */
  #replaced({ fence, value }: Term): boolean {
    const { rev, live } = this.#deps.position();
    const { lead } = this.#deps.view;
    return live && rev >= fence && (lead?.create !== fence || lead.value !== value);
  }

  #begin(term: Term): void {
    this.#term = term;
    this.#deps.logger.info({ fence: term.fence }, 'this gateway leads the DDL queue');
    this.#listener.began(term.fence);
  }

  #end(): void {
    this.#term = undefined;
    this.#deps.logger.info({}, 'this gateway no longer leads the DDL queue');
    this.#listener.ended();
  }

  /** Best effort, even while closing: what stays expires. */
  async #revoke(lease: Lease): Promise<void> {
    try {
      await this.#deps.store.revoke(lease.id, NEVER);
    } catch (error) {
      this.#deps.logger.debug({ err: error }, 'lease of the DDL leader not given back');
    }
  }
}
