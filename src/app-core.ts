/** Opens everything behind the transports, in order: database, DDL queue, guard, flush queue, spool, ingest. */
import { createOffenders } from './admin/offenders.ts';
import type { Base, Core } from './app-base.ts';
import { ackOf, ddlOptions, guardOptions } from './app-options.ts';
import { createPlanner } from './app-plan.ts';
import { openWatermarks } from './app-protect.ts';
import { NO_PARKING, openKeeping } from './app-spool.ts';
import { type BacklogMonitor, createBacklogMonitor } from './ddl/backlog-monitor.ts';
import { createDdlQueue } from './ddl/queue.ts';
import { registerCoreGauges, registerOffenderGauges } from './gauges.ts';
import { createGuard } from './guard/guard.ts';
import { createPace } from './guard/pace.ts';
import { createIngest, type IngestDeps } from './ingest.ts';
import type { Sink } from './model/sink.ts';
import { type OpenSink, openConfigured } from './open-sink.ts';
import { type OpenedSpool, type OpenSpool, openConfiguredSpool } from './open-spool.ts';
import { type OpenStore, openConfiguredStore } from './open-store.ts';
import { createFlushQueue } from './sink/flush-queue.ts';
import { systemRandom } from './util/backoff.ts';

/** What opens the parts outside; tests wrap them in faults. */
export interface Openers {
  readonly openSink?: OpenSink;
  readonly openStore?: OpenStore;
  readonly openSpool?: OpenSpool;
}

/** Opens all of it; what was opened before a failure is on the stack. */
export async function openCore(base: Base, openers: Openers): Promise<Core> {
  const { config, clock, logger, metrics, stack } = base;
  const { openSink = openConfigured, openStore = openConfiguredStore } = openers;
  const { sink, sql } = await openSink(config, { logger, metrics });
  stack.push('database', () => sink.close());
  const spool = await openDisk(base, openers);
  const store = await openStore(config, { clock, logger, metrics });
  stack.push('store', () => store.close());
  let leads = (): boolean => false;
  const backlog = watchBacklog(base, sink, () => leads());
  const queue = createDdlQueue(ddlOptions(config, sink.privateId), {
    store,
    clock,
    logger,
    executor: backlog?.guarded(sink.ddl) ?? sink.ddl,
    metrics: metrics.ddl,
  });
  leads = () => queue.stats().leader;
  backlog?.start();
  // In time to give the leadership back, though a statement may have no answer.
  stack.push('ddl queue', (hurry) => queue.close(hurry));
  const watermarks = openWatermarks(base, { queue, disk: spool?.disk });
  const guard = createGuard(guardOptions(config), {
    queue,
    clock,
    logger,
    ddl: sink.ddl,
    names: sink.names,
    metrics: metrics.guard,
    controlPlaneOk: () => watermarks.controlPlaneOk && (backlog?.ok() ?? true),
    paused: () => queue.control.isPaused(),
    random: systemRandom,
    pace: createPace(1_000 / config.guard.lookupsPerSec),
  });
  stack.push('guard', () => guard.close());
  const flush = createFlushQueue(config.flush, { ...base, writer: sink.writer, metrics: metrics.flush });
  stack.push('flush queue', () => flush.close());
  registerCoreGauges(metrics, { queue, guard, flush });
  const keeping = spool && openKeeping(base, spool, { guard, flush, queue, values: sink.values });
  const writes = openIngest(base, { sink, guard, flush, keeping });
  return { ...writes, databases: () => guard.databases(), flush, guard, queue, sql, keeping, watermarks };
}

/** What writes go through, and dry runs of them. */
function openIngest(
  base: Base,
  { sink, guard, flush, keeping }: Pick<Core, 'guard' | 'flush' | 'keeping'> & { readonly sink: Sink },
): Pick<Core, 'ingest' | 'plan' | 'offenders'> {
  const { config, clock, batches, metrics } = base;
  const offenders = createOffenders();
  registerOffenderGauges(metrics, offenders);
  const deps: IngestDeps = {
    guard,
    flush,
    clock,
    batches,
    values: sink.values,
    parking: keeping?.parking ?? NO_PARKING,
    parks: keeping !== undefined && config.spool.park,
    log: keeping?.log,
    ack: ackOf(config),
    drainTimeoutMs: config.flush.timeoutMs,
    rejects: config.deadLetter.rejected ? keeping?.deadLetter : undefined,
    untold: keeping?.deadLetter,
    metrics: metrics.ingest,
    refusedCreates: offenders,
  };
  const plan = createPlanner(base, { ingest: deps, guard, ddl: sink.ddl });
  return { ingest: createIngest(deps), plan, offenders };
}

/** Undefined: this database can't get too much to do. */
function watchBacklog(
  { config, clock, logger, metrics, stack }: Base,
  sink: Sink,
  leads: () => boolean,
): BacklogMonitor | undefined {
  if (sink.backlog === undefined) return undefined;
  const { maxBacklog, backlogIntervalMs: intervalMs } = config.greptimedb;
  const monitor = createBacklogMonitor(
    { maxBacklog, intervalMs },
    { backlog: sink.backlog, leads, clock, logger },
  );
  stack.push('backlog', () => monitor.close());
  metrics.gauge(
    'sluice_ddl_backlog',
    'DDL that the database has under way, as the leader last heard.',
    () => monitor.stats().backlog,
  );
  metrics.counter(
    'sluice_ddl_backlog_refused_total',
    'Statements not sent because of that.',
    () => monitor.stats().refused,
  );
  return monitor;
}

async function openDisk(
  { config, clock, logger, metrics, stack }: Base,
  { openSpool = openConfiguredSpool }: Openers,
): Promise<OpenedSpool | undefined> {
  const spool = await openSpool(config, { clock, logger, metrics });
  if (spool === undefined) return undefined;
  stack.push('spool', () => spool.disk.close());
  stack.push('dead letter', () => spool.deadLetter.close());
  return spool;
}
