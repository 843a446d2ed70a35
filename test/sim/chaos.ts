/**
 * What happens to a cluster by chance: requests, and everything that can go wrong. Each seed leaves some kinds of
 * trouble out, so that the others show what they do alone.
 */
import type { Random } from '../../src/util/backoff.ts';
import { pickOne } from '../helpers/seeded-random.ts';
import type { Clients } from './clients.ts';
import type { Cluster } from './cluster.ts';
import { LinkTroubles } from './link-troubles.ts';
import type { GatewayProcess } from './process.ts';
import { ServerTroubles } from './server-troubles.ts';
import { Spans } from './spans.ts';
import { STEPS, type Trap } from './steps.ts';

/** How often each kind happens; one request or more in between. */
const WEIGHTS = {
  kill: 1,
  killLeader: 3,
  trapKill: 6,
  trapFreeze: 4,
  freeze: 2,
  close: 2,
  link: 6,
  rough: 4,
  lag: 4,
  blind: 2,
  breakWatch: 3,
  compact: 2,
  nospace: 1,
  nearlyFull: 0.5,
  mood: 2,
  heal: 1,
  drop: 1,
  forget: 2,
} as const;

type Trouble = keyof typeof WEIGHTS;

const TROUBLES = Object.keys(WEIGHTS) as Trouble[];
const REQUESTS_WEIGHT = 45;

/** What a chaos works with. */
export interface ChaosDeps {
  readonly cluster: Cluster;
  readonly clients: Clients;
  readonly random: Random;
}

/** See the module comment. */
export class Chaos {
  /** How often each trouble happened. */
  readonly done = new Map<Trouble, number>();
  readonly #cluster: Cluster;
  readonly #clients: Clients;
  readonly #random: Random;
  readonly #spans: Spans;
  readonly #links: LinkTroubles;
  readonly #servers: ServerTroubles;
  readonly #enabled: readonly Trouble[];
  /** What each trouble is; the process is any that is not dead. */
  readonly #effects: Readonly<Record<Trouble, (process: GatewayProcess) => void>>;

  constructor(deps: ChaosDeps) {
    this.#cluster = deps.cluster;
    this.#clients = deps.clients;
    this.#random = deps.random;
    this.#spans = new Spans(deps.cluster.clock);
    this.#links = new LinkTroubles({ ...deps, spans: this.#spans });
    this.#servers = new ServerTroubles({ ...deps, spans: this.#spans });
    this.#enabled = TROUBLES.filter(() => deps.random() < 0.6);
    this.#effects = this.#makeEffects();
  }

  /** One thing happens. */
  step(): void {
    const total = this.#enabled.reduce((sum, trouble) => sum + WEIGHTS[trouble], REQUESTS_WEIGHT);
    let dice = this.#random() * total;
    for (const trouble of this.#enabled) {
      dice -= WEIGHTS[trouble];
      if (dice < 0) return this.#cause(trouble);
    }
    this.#clients.request();
  }

  /** Ends all trouble: links are sound, processes run, the store has room, the database works. */
  end(): void {
    const { steps, database, processes, store, trace } = this.#cluster;
    trace.add('sim', 'all trouble ends');
    steps.disarm();
    this.#spans.endAll();
    for (const process of processes) {
      process.link.plan = undefined;
      process.life.thaw(true);
    }
    database.calm = true;
    store.disarm();
  }

  #makeEffects(): Readonly<Record<Trouble, (process: GatewayProcess) => void>> {
    const links = this.#links;
    const servers = this.#servers;
    return {
      kill: (process) => this.#cluster.kill(process),
      killLeader: () => this.#killLeader(),
      trapKill: () => this.#setTrap('kill'),
      trapFreeze: () => this.#setTrap('freeze'),
      freeze: (process) => this.#cluster.freeze(process),
      close: (process) => this.#close(process),
      link: (process) => links.spoil(process),
      rough: () =>
        links.roughen(pickOne(this.#random, ['enqueue', 'elect', 'complete', 'breaker', 'drain'] as const)),
      lag: (process) => links.lag(process),
      blind: (process) => links.blind(process),
      breakWatch: (process) => links.breakWatches(process),
      compact: () => void servers.compact(),
      nospace: () => servers.runFull(),
      nearlyFull: () => servers.fill(),
      mood: (process) => {
        servers.spoilMood();
        if (this.#random() < 0.5) links.blind(process);
      },
      heal: () => servers.heal(),
      drop: () => servers.drop(),
      forget: (process) => {
        if (process.life.running && !process.closing) this.#clients.forget(process);
      },
    };
  }

  #cause(trouble: Trouble): void {
    const process = pickOne(
      this.#random,
      this.#cluster.processes.filter(({ life }) => !life.dead),
    );
    if (process === undefined) return;
    this.done.set(trouble, (this.done.get(trouble) ?? 0) + 1);
    this.#effects[trouble](process);
  }

  /** Often one after whose work is done, and by the time it is to be said another may lead. */
  #setTrap(trap: Trap): void {
    const step = this.#random() < 0.2 ? 'complete.before' : pickOne(this.#random, STEPS);
    if (step !== undefined) this.#cluster.steps.arm(step, trap);
  }

  #killLeader(): void {
    const leader = this.#cluster.serving.find(({ queue }) => queue.stats().leader);
    if (leader !== undefined) this.#cluster.kill(leader);
    if (this.#random() < 0.5) this.#links.roughen('elect');
  }

  #close(process: GatewayProcess): void {
    const { serving } = this.#cluster;
    if (serving.length > 1 && serving.includes(process)) this.#cluster.close(process);
  }
}
