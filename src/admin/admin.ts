/**
 * What the admin API shows and does, over the parts that have it; knows nothing of HTTP. Every action is logged with
 * who did what and what came of it. Actions on the DDL queue concern the whole cluster, everything else this gateway.
 */
import { GatewayError } from '../errors.ts';
import type { Clock } from '../model/clock.ts';
import type { ControlledQueue } from '../model/ddl-control.ts';
import type { ForgetScope } from '../model/ddl-queue.ts';
import type { Logger } from '../model/logger.ts';
import type { SpoolDisk, WriteLog } from '../model/spool.ts';
import type { Offenders } from './offenders.ts';
import { type Page, type PageQuery, pageOf } from './page.ts';
import type { Planner } from './plan.ts';
import type { FailureItem, LaneItem, OffenderItem, OffenderQuery, Status, TaskItem } from './schemas.ts';

/** Who acts: the principal's name and the peer's address. */
export interface Actor {
  readonly name: string;
  readonly peer: string;
}

/** Which items of a listing are wanted; what is undefined is not asked about. */
export interface ListQuery extends PageQuery {
  readonly database?: string | undefined;
  /** Of the table's name; a database itself has none. */
  readonly prefix?: string | undefined;
}

/** What the admin API works with. */
export interface AdminDeps {
  readonly queue: ControlledQueue;
  readonly guard: { stats(): { readonly tables: number } };
  readonly flush: { stats(): { readonly pendingBytes: number } };
  /** Undefined: rows are not kept on disk. */
  readonly disk: Pick<SpoolDisk, 'lanes' | 'stats'> | undefined;
  readonly log: Pick<WriteLog, 'drained'> | undefined;
  readonly plan: Planner;
  readonly offenders: Pick<Offenders, 'top'>;
  readonly clock: Pick<Clock, 'wallNow'>;
  readonly logger: Logger;
  readonly version: string;
}

/** See the module comment. Actions end with the signal and then throw its reason. */
export interface Admin {
  status(): Status;
  tasks(query: ListQuery): Page<TaskItem>;
  failures(query: ListQuery & { readonly class?: string | undefined }): Page<FailureItem>;
  lanes(query: ListQuery): Page<LaneItem>;
  /** Who asked most for what was refused, most first; in one page. */
  offenders(query: OffenderQuery): Page<OffenderItem>;
  /** What a write of this body would do; nothing is changed. */
  readonly plan: Planner;
  /** Drops negative results; answers how many. @throws {GatewayError} unavailable */
  forget(scope: ForgetScope, actor: Actor, signal: AbortSignal): Promise<number>;
  /** `reason` undefined: resume. Answers whether that changed anything. @throws {GatewayError} unavailable */
  setPause(reason: string | undefined, actor: Actor, signal: AbortSignal): Promise<boolean>;
  /** Resolves when what was acknowledged by the log is in the database, in a lane or in the dead letter. */
  drain(actor: Actor, signal: AbortSignal): Promise<void>;
}

/** Makes it; nothing of it has to be closed. */
export function createAdmin(deps: AdminDeps): Admin {
  const { queue, disk, clock } = deps;
  const { control } = queue;
  const age = (atMs: number): number => Math.max(0, Math.round(clock.wallNow() - atMs));

  return {
    status: () => statusOf(deps),
    tasks: (query) =>
      pageOf(
        control
          .list()
          .tasks.filter((task) => isWanted(task, query))
          .map(({ atMs, table, ...task }) => {
            return { ...task, table: table ?? null, columns: [...task.columns], ageMs: age(atMs) };
          }),
        keyOf,
        query,
      ),
    failures: (query) =>
      pageOf(
        control
          .list()
          .negatives.filter((negative) => isWanted(negative, query))
          .map(({ table, failures, ...rest }) => {
            const wanted = failures.filter((failure) => (query.class ?? failure.class) === failure.class);
            return { ...rest, table: table ?? null, failures: wanted.map(failureOf) };
          })
          .filter(({ failures }) => failures.length > 0),
        keyOf,
        query,
      ),
    lanes(query) {
      const items: LaneItem[] = [];
      for (const { name, rows, bytes, oldestAtMs } of disk?.lanes() ?? []) {
        if (name === undefined || !isWanted(name, query)) continue;
        const { tenant, database, table } = name;
        items.push({ tenant, database, table, rows, bytes, ageMs: oldestAtMs ? age(oldestAtMs) : 0 });
      }
      return pageOf(items, keyOf, query);
    },
    offenders: ({ by, limit }) => ({
      items: deps.offenders.top(by, limit).map(({ key, count: refused, excess }) => {
        return { ...offenderOf(by, key), refused, excess };
      }),
      next: undefined,
    }),
    plan: deps.plan,
    forget: (scope, actor, signal) =>
      audited(deps, actor, { action: 'forget', scope }, () => queue.forget(scope, signal)),
    setPause: (reason, actor, signal) =>
      audited(deps, actor, { action: reason === undefined ? 'resume' : 'pause', reason }, () =>
        control.setPause(reason === undefined ? undefined : { by: actor.name, reason }, signal),
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

function failureOf({
  class: failureClass,
  code,
  message,
  attempts,
  leftMs,
}: {
  readonly class: string;
  readonly code: string;
  readonly message: string;
  readonly attempts: number;
  readonly leftMs: number;
}): FailureItem['failures'][number] {
  return { class: failureClass, code, message, attempts, nextTryInMs: Math.ceil(leftMs) };
}

function offenderOf(by: OffenderQuery['by'], key: string): Partial<OffenderItem> {
  if (by !== 'table') return { [by]: key };
  const [database = '', table = ''] = key.split('\u0000');
  return { database, table };
}

function isWanted(item: { database: string; table: string | undefined }, query: ListQuery): boolean {
  if (query.database !== undefined && item.database !== query.database) return false;
  return query.prefix === undefined || item.table?.startsWith(query.prefix) === true;
}

/** The database itself comes before its tables; no name holds NUL. */
function keyOf({ database, table }: { readonly database: string; readonly table: string | null }): string {
  return table === null ? database : `${database}\u0000${table}`;
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
