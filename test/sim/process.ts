/**
 * One life of a gateway: its queue, and between the queue and the world what can stop, freeze or kill it. A gateway
 * that comes back is a new process with a new id.
 */
import { createFaultStore, type FaultStore } from '../../src/ddl/fault-store.ts';
import { createDdlKeys } from '../../src/ddl/keys.ts';
import type { DdlQueueOptions } from '../../src/ddl/options.ts';
import { createDdlQueue } from '../../src/ddl/queue.ts';
import type { Store } from '../../src/ddl/store.ts';
import { DdlView } from '../../src/ddl/view.ts';
import type { DdlQueue } from '../../src/model/ddl-queue.ts';
import type { Logger } from '../../src/model/logger.ts';
import type { Random } from '../../src/util/backoff.ts';
import { countingMetrics, SILENT } from '../helpers/ddl-harness.ts';
import type { FakeClock } from '../helpers/fake-clock.ts';
import type { SimDatabase } from './database.ts';
import { Life, ProcessClock } from './life.ts';
import { createSimLimiter } from './limiter.ts';
import { ProcessStore } from './process-store.ts';
import type { Step, Trap } from './steps.ts';

/** What all processes share, and what their world decides. */
export interface World {
  readonly clock: FakeClock;
  readonly database: SimDatabase;
  readonly options: DdlQueueOptions;
  readonly counts: Map<string, number>;
  readonly trace: (who: string, what: string) => void;
  /** The store as this process's writes reach it. */
  readonly serve: (id: string) => Store;
  /** What is to happen to a process that is at a step. */
  readonly reached: (process: GatewayProcess, step: Step) => Trap | undefined;
  readonly trapped: (process: GatewayProcess, trap: Trap) => void;
  readonly sawNospace: () => void;
  readonly complain: (what: string) => void;
}

/** An hour early to an hour late. */
const MAX_WALL_SKEW_MS = 7_200_000;
/** After it a call that vanished fails. */
const LINK_TIMEOUT_MS = 2_000;

/** See the module comment. */
export class GatewayProcess {
  readonly id: string;
  /** The gateway whose process this is. */
  readonly name: string;
  readonly life = new Life();
  readonly clock: ProcessClock;
  readonly link: FaultStore;
  readonly view: DdlView;
  readonly queue: DdlQueue;
  readonly #world: World;
  readonly #store: ProcessStore;
  closing = false;

  constructor(name: string, lifeNumber: number, random: Random, world: World) {
    this.name = name;
    this.id = `${name}.${lifeNumber}`;
    this.#world = world;
    this.clock = new ProcessClock(world.clock, this.life, {
      monotonicMs: Math.floor(random() * 1e7),
      wallMs: Math.floor((random() - 0.5) * MAX_WALL_SKEW_MS),
    });
    this.link = createFaultStore({ store: world.serve(this.id), clock: world.clock }, LINK_TIMEOUT_MS);
    const trace = (what: string): void => world.trace(this.id, what);
    const at = (step: Step): Promise<void> => this.#at(step);
    this.#store = new ProcessStore(this.link, {
      life: this.life,
      clock: this.clock,
      leads: () => this.queue.stats().leader,
      at,
      trace,
      sawNospace: world.sawNospace,
    });
    const logger = this.#logger();
    const { prefix = '/sluice', ratePerSec = 50 } = world.options;
    this.view = new DdlView(createDdlKeys(prefix), this.clock, logger);
    this.queue = createDdlQueue(
      { ...world.options, gatewayId: this.id },
      {
        store: this.#store,
        executor: world.database.connect({ id: this.id, life: this.life, clock: this.clock, at }),
        clock: this.clock,
        logger,
        metrics: countingMetrics(world.counts),
        random,
        limiter: createSimLimiter(this.clock, ratePerSec),
        view: this.view,
      },
    );
    trace('started');
  }

  /** As kill -9. */
  kill(): void {
    this.life.kill();
    this.clock.stop();
    this.#store.kill();
  }

  /** Closes as on SIGTERM; complains when something is left behind. */
  async close(): Promise<void> {
    this.closing = true;
    await this.queue.close();
    if (this.clock.sleeping > 0) this.#world.complain(`${this.id} left ${this.clock.sleeping} timers`);
    this.#world.trace(this.id, 'closed');
  }

  async #at(step: Step): Promise<void> {
    const trap = this.life.running ? this.#world.reached(this, step) : undefined;
    if (trap !== undefined) {
      this.#world.trace(this.id, `${trap} at ${step}`);
      this.#world.trapped(this, trap);
    }
    await this.life.passed();
  }

  #logger(): Logger {
    return {
      ...SILENT,
      error: (fields, message) =>
        this.#world.complain(
          `${this.id} logged: ${message} ${String((fields as { err?: Error }).err?.stack)}`,
        ),
    };
  }
}
