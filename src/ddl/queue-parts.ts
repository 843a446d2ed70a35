/** Joins the queue's parts: what each is given, and in which order they start and stop. No behaviour of its own. */
import type { Clock } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';
import type { DdlExecutor } from '../model/sink.ts';
import { type Random, systemRandom } from '../util/backoff.ts';
import { Completer } from './completer.ts';
import { DdlRunner } from './ddl-runner.ts';
import { Election } from './election.ts';
import { Endings } from './endings.ts';
import { Enqueuer } from './enqueue.ts';
import { FailureMemory } from './failure-memory.ts';
import { Janitor } from './janitor.ts';
import { createDdlKeys, type DdlKeys } from './keys.ts';
import { createTurnLimiter, type TurnLimiter } from './limiter.ts';
import type { DdlMetrics } from './metrics.ts';
import type { DdlSettings } from './options.ts';
import { OutcomeLeases } from './outcome-leases.ts';
import { Probation } from './probation.ts';
import { createReflector, type Reflector, type ReflectorListener } from './reflector.ts';
import { createSlotPool } from './slot-pool.ts';
import { createSpaceMonitor, type SpaceMonitor } from './space-monitor.ts';
import type { Store } from './store.ts';
import { DdlView } from './view.ts';
import { Waiters } from './waiters.ts';
import { Worker } from './worker.ts';

/** What a queue works with; it closes none of it. */
export interface DdlQueueDeps {
  readonly store: Store;
  readonly executor: DdlExecutor;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: DdlMetrics;
  /** Default: the system's. */
  readonly random?: Random | undefined;
  /** Default: one by Bottleneck, in real time. It is stopped with the queue. */
  readonly limiter?: TurnLimiter | undefined;
  /** Default: a new one. Given by who compares it with the store. */
  readonly view?: DdlView | undefined;
}

/** The parts that the queue itself deals with. */
export interface QueueParts {
  readonly keys: DdlKeys;
  readonly view: DdlView;
  readonly waiters: Waiters;
  readonly memory: FailureMemory;
  readonly enqueuer: Enqueuer;
  readonly reflector: Reflector;
  readonly election: Election;
  readonly worker: Worker;
  readonly janitor: Janitor;
  readonly space: SpaceMonitor;
  readonly nextNonce: () => string;
}

/** Makes the parts and starts none. `closing` ends what waits for the view. */
export function composeQueue(
  settings: DdlSettings,
  deps: DdlQueueDeps,
  hooks: { readonly reflected: ReflectorListener; readonly closing: AbortSignal },
): QueueParts {
  const { store, executor, clock, logger, metrics } = deps;
  const random = deps.random ?? systemRandom;
  const keys = createDdlKeys(settings.prefix);
  const view = deps.view ?? new DdlView(keys, clock, logger);
  const nextNonce = createNonces(settings.gatewayId, random);
  const reflector = createReflector(keys.prefix, hooks.reflected, { ...deps, random });
  const common: Common = { store, keys, view, clock, logger, metrics, random, ...settings };
  const reached = (rev: number): Promise<void> =>
    reflector.reached(rev, hooks.closing).catch(() => undefined);

  const enqueuer = new Enqueuer({ ...common, slots: createSlotPool(settings, common), reached });
  const memory = new FailureMemory(settings, { clock, random });
  const mayAct = (): boolean => election.mayAct && reflector.live && view.pauseKey === undefined;
  const worker = createWorker({ ...common, executor, memory, reflector, mayAct, limiter: deps.limiter });
  const begin = async (fence: number): Promise<void> => {
    await reached(fence);
    if (election.fence === fence) worker.begin(fence);
  };
  const election: Election = new Election(
    { ...common, position: () => ({ rev: reflector.rev, live: reflector.live }), nextNonce },
    {
      began: (fence) => {
        metrics.leaderChanged(true);
        void begin(fence);
      },
      renewed: () => worker.pump(),
      ended: () => {
        metrics.leaderChanged(false);
        worker.end();
      },
    },
  );
  const janitor = new Janitor({
    ...common,
    fence: () => (election.mayAct ? election.fence : undefined),
    viewRev: () => reflector.rev,
    expireOld: () => worker.expireOld(),
    intervalMs: settings.janitorIntervalMs,
  });
  const space = createSpaceMonitor(settings, common);
  return {
    keys,
    view,
    waiters: new Waiters(view),
    memory,
    enqueuer,
    reflector,
    election,
    worker,
    janitor,
    space,
    nextNonce,
  };
}

/** What all parts are given. */
interface Common extends DdlSettings, Pick<DdlQueueDeps, 'store' | 'clock' | 'logger' | 'metrics'> {
  readonly keys: DdlKeys;
  readonly view: DdlView;
  readonly random: Random;
}

function createWorker(
  deps: Common &
    Pick<DdlQueueDeps, 'executor' | 'limiter'> & {
      readonly memory: FailureMemory;
      readonly reflector: Reflector;
      readonly mayAct: () => boolean;
    },
): Worker {
  const { store, clock, reflector } = deps;
  const probation = new Probation(deps.breakerAfterTables);
  return new Worker({
    ...deps,
    probation,
    endings: new Endings({ ...deps, probation }),
    runner: new DdlRunner(deps),
    completer: new Completer({
      ...deps,
      leases: new OutcomeLeases(store, clock),
      reached: (rev, signal) => reflector.reached(rev, signal),
    }),
    limiter: deps.limiter ?? createTurnLimiter(deps),
  });
}

/** Starts everything that runs by itself. */
export function startParts({ reflector, election, janitor, space }: QueueParts): void {
  reflector.start();
  election.start();
  janitor.start();
  space.start();
}

/** Stops in reverse: what runs ends first, while the view still follows; then the leader's key is given back. */
export async function stopParts(parts: QueueParts, signal: AbortSignal): Promise<void> {
  await parts.space.close();
  await parts.janitor.close();
  await parts.worker.close(signal);
  await parts.election.close();
  await parts.reflector.close();
  parts.waiters.close();
}

/** Names that no other gateway, and no earlier life of this one, has given. */
function createNonces(gatewayId: string, random: Random): () => string {
  const part = (): string => Math.floor(random() * 2 ** 32).toString(36);
  const life = `${gatewayId}-${part()}${part()}`;
  let count = 0;
  return () => `${life}-${++count}`;
}
