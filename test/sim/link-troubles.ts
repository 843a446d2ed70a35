/** Trouble between gateways and the store: lost and late answers, black holes, events that stay away. */
import { chancePlan, type FaultPlan } from '../../src/ddl/fault-store.ts';
import type { TxnLabel, WatchEnd } from '../../src/ddl/store.ts';
import type { Random } from '../../src/util/backoff.ts';
import { pickOne } from '../helpers/seeded-random.ts';
import type { Clients } from './clients.ts';
import type { Cluster } from './cluster.ts';
import type { GatewayProcess } from './process.ts';
import type { Spans } from './spans.ts';

/** What troubles work with. */
export interface TroubleDeps {
  readonly cluster: Cluster;
  readonly clients: Clients;
  readonly random: Random;
  readonly spans: Spans;
}

const NO_FAULTS = { fail: 0, drop: 0, late: 0, delay: 0, maxDelayMs: 3_000 };
const LINKS = {
  lossy: { ...NO_FAULTS, fail: 0.1, drop: 0.15, late: 0.1, delay: 0.1 },
  slow: { ...NO_FAULTS, delay: 0.7 },
  blips: { ...NO_FAULTS, drop: 0.3, maxDelayMs: 500 },
  refusing: { ...NO_FAULTS, fail: 1 },
} as const;
const LINK_KINDS = ['black hole', ...(Object.keys(LINKS) as (keyof typeof LINKS)[])] as const;
const ROUGH = { fail: 0.25, drop: 0.2, late: 0.15, delay: 0.25, maxDelayMs: 2_000 };

/** See the module comment. */
export class LinkTroubles {
  readonly #deps: TroubleDeps;

  constructor(deps: TroubleDeps) {
    this.#deps = deps;
  }

  /** One gateway's link is bad for a while. */
  spoil({ id, link }: GatewayProcess): void {
    const { random, spans } = this.#deps;
    const kind = pickOne(random, LINK_KINDS) ?? 'black hole';
    const plan: FaultPlan =
      kind === 'black hole' ? () => ({ kind: 'black_hole' }) : chancePlan(random, LINKS[kind]);
    this.#trace(`link of ${id}: ${kind}`);
    link.plan = plan;
    if (kind === 'black hole') link.holdWatches();
    spans.during(random() ** 2 * 20_000, () => {
      if (link.plan === plan) link.plan = undefined;
      if (kind !== 'black hole') return;
      if (random() < 0.5) link.breakWatches('lost');
      link.releaseWatches();
    });
  }

  /** For a while one kind of transaction meets trouble on all links. */
  roughen(label: TxnLabel | undefined): void {
    const { random, spans, cluster } = this.#deps;
    const chance = chancePlan(random, ROUGH);
    const slow = chancePlan(random, { ...NO_FAULTS, delay: 0.5, maxDelayMs: ROUGH.maxDelayMs });
    const plan: FaultPlan = (call) => {
      if (call.label === label) return chance(call);
      // Candidates that are slow to begin come when another has won.
      return label === 'elect' && call.method === 'grant' ? slow(call) : undefined;
    };
    this.#trace(`all links are rough for ${label}`);
    const links = cluster.processes.map(({ link }) => link);
    for (const link of links) link.plan = plan;
    spans.during(random() * 25_000, () => {
      for (const link of links) if (link.plan === plan) link.plan = undefined;
    });
  }

  breakWatches({ id, link }: GatewayProcess): void {
    const reason = pickOne<WatchEnd>(this.#deps.random, ['lost', 'lost', 'compacted', 'reset']) ?? 'lost';
    this.#trace(`watches of ${id} end: ${reason}`);
    link.breakWatches(reason);
  }

  /** One gateway sees nothing for a while, and is asked for what others find out meanwhile. */
  blind(process: GatewayProcess): void {
    const ms = this.#deps.random() * 12_000;
    this.#holdWatches(process, ms);
    this.#deps.clients.insist(ms);
  }

  /** Events come late to one gateway for a while, some at a time. */
  lag(process: GatewayProcess): void {
    const { random, spans, cluster } = this.#deps;
    const untilMs = cluster.clock.now() + random() * 20_000;
    const lag = (): void => {
      if (spans.over || process.life.dead || cluster.clock.now() > untilMs) return;
      this.#holdWatches(process, random() * 800);
      cluster.clock.schedule(random() * 1_000, lag);
    };
    lag();
  }

  #holdWatches({ id, link }: GatewayProcess, ms: number): void {
    this.#trace(`events for ${id} are held back`);
    link.holdWatches();
    this.#deps.spans.during(ms, () => link.releaseWatches());
  }

  #trace(what: string): void {
    this.#deps.cluster.trace.add('sim', what);
  }
}
