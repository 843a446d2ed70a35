/**
 * What the admin API shows and does, over the parts that have it; knows nothing of HTTP. Every action is logged with
 * who did what and what came of it. Actions on the DDL queue concern the whole cluster, everything else this gateway.
 */
import { GatewayError } from '../errors.ts';
import type { Cancellation, ControlledQueue } from '../model/ddl-control.ts';
import type { DdlTarget, ForgetScope } from '../model/ddl-queue.ts';
import type { Logger } from '../model/logger.ts';
import type { WriteLog } from '../model/spool.ts';
import { createListings, type Listings, type ListingsDeps } from './listings.ts';
import type { Planner } from './plan.ts';
import type { PolicyAnswer, Status } from './schemas.ts';

/** Who acts: the principal's name and the peer's address. */
export interface Actor {
  readonly name: string;
  readonly peer: string;
}

/** What may be created, by the options of the same names. */
export type Policy = {
  readonly [K in keyof PolicyAnswer]: PolicyAnswer[K] extends string[] ? readonly string[] : PolicyAnswer[K];
};

/** What the admin API works with. */
export interface AdminDeps extends ListingsDeps {
  readonly queue: ControlledQueue;
  readonly guard: ListingsDeps['guard'] & { stats(): { readonly tables: number } };
  /** As configured. */
  readonly policy: Policy;
  readonly flush: { stats(): { readonly pendingBytes: number } };
  readonly log: Pick<WriteLog, 'drained'> | undefined;
  readonly plan: Planner;
  readonly logger: Logger;
  readonly version: string;
}

/** See the module comment. Actions end with the signal and then throw its reason. */
export interface Admin extends Listings {
  status(): Status;
  policy(): PolicyAnswer;
  /** What a write of this body would do; nothing is changed. */
  readonly plan: Planner;
  /** Drops negative results; answers how many. @throws {GatewayError} unavailable */
  forget(scope: ForgetScope, actor: Actor, signal: AbortSignal): Promise<number>;
  /** `reason` undefined: resume. Answers whether that changed anything. @throws {GatewayError} unavailable */
  setPause(reason: string | undefined, actor: Actor, signal: AbortSignal): Promise<boolean>;
  /** Ends an open task. */
  cancel(
    target: Pick<DdlTarget, 'database' | 'table'>,
    actor: Actor,
    signal: AbortSignal,
  ): Promise<Cancellation>;
  /** Resolves when what was acknowledged by the log is in the database, in a lane or in the dead letter. */
  drain(actor: Actor, signal: AbortSignal): Promise<void>;
}

/** Makes it; nothing of it has to be closed. */
export function createAdmin(deps: AdminDeps): Admin {
  const { queue } = deps;
  const { control } = queue;

  return {
    ...createListings(deps),
    status: () => statusOf(deps),
    policy() {
      const { allow, allowDatabases, deny, denyDatabases, ...rest } = deps.policy;
      const lists = { allow: [...allow], allowDatabases: [...allowDatabases] };
      return { ...rest, ...lists, deny: [...deny], denyDatabases: [...denyDatabases] };
    },
    plan: deps.plan,
    forget: (scope, actor, signal) =>
      audited(deps, actor, { action: 'forget', scope }, () => queue.forget(scope, signal)),
    setPause: (reason, actor, signal) =>
      audited(deps, actor, { action: reason === undefined ? 'resume' : 'pause', reason }, () =>
        control.setPause(reason === undefined ? undefined : { by: actor.name, reason }, signal),
      ),
    cancel: ({ database, table }, actor, signal) =>
      audited(deps, actor, { action: 'cancel', database, table }, () =>
        control.cancel({ database, table }, actor.name, signal),
      ),
    drain: (actor, signal) =>
      audited(deps, actor, { action: 'drain' }, async () => {
        await deps.log?.drained(signal);
      }),
  };
}

function statusOf({ queue, guard, flush, disk, version }: AdminDeps): Status {
  const { leader, live, openTasks, maxOpenTasks } = queue.stats();
  const { breakers, negatives } = queue.control.list();
  const pause = queue.control.pause();
  return {
    version,
    gateway: { leader, live },
    leader: queue.control.leader() ?? null,
    paused: pause === undefined ? null : pausedOf(pause),
    breakers: breakers.map(({ tenant, code, message, leftMs }) => {
      return { tenant: tenant ?? null, code, message, leftMs: Math.ceil(leftMs) };
    }),
    counts: {
      openTasks,
      maxOpenTasks,
      negativeResults: negatives.length,
      knownTables: guard.stats().tables,
      parkedTables: disk?.stats().lanes ?? 0,
      pendingBytes: flush.stats().pendingBytes,
    },
  };
}

function pausedOf({ by, reason, atMs }: { by: string; reason: string; atMs: number }): Status['paused'] {
  return { by, reason, since: new Date(atMs).toISOString() };
}

async function audited<T>(
  { logger }: Pick<AdminDeps, 'logger'>,
  { name, peer }: Actor,
  what: { readonly action: string } & Readonly<Record<string, unknown>>,
  act: () => Promise<T>,
): Promise<T> {
  const audit = { ...what, by: name, peer };
  try {
    const result = await act();
    logger.info({ ...audit, result }, 'admin action');
    return result;
  } catch (error) {
    const reason = error instanceof GatewayError ? error.message : undefined;
    logger.warn({ ...audit, err: reason === undefined ? error : undefined, reason }, 'admin action failed');
    throw error;
  }
}
