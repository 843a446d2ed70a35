/** The gauges of the parts behind the transports, read at each scrape. */
import type { MeteredGuard } from './guard/guard.ts';
import type { Metrics } from './metrics.ts';
import type { ControlledQueue } from './model/ddl-control.ts';
import type { FlushQueue } from './sink/flush-queue.ts';

/** Registers what the core's parts tell of themselves. */
export function registerCoreGauges(
  metrics: Metrics,
  { queue, guard, flush }: { queue: ControlledQueue; guard: MeteredGuard; flush: FlushQueue },
): void {
  const gauge: Metrics['gauge'] = (name, help, read) => metrics.gauge(name, help, read);
  gauge(
    'sluice_flush_pending_bytes',
    'Bytes of bodies that wait to be written.',
    () => flush.stats().pendingBytes,
  );
  gauge(
    'sluice_flush_pending_batches',
    'Requests that wait to be written.',
    () => flush.stats().pendingBatches,
  );
  gauge('sluice_registry_tables', 'Known tables.', () => guard.stats().tables);
  gauge('sluice_registry_bytes', 'Estimated bytes of the known tables.', () => guard.stats().tableBytes);
  gauge('sluice_registry_absent', 'Names known not to exist.', () => guard.stats().absent);
  gauge('sluice_policy_decisions', 'Names that the policy has judged.', () => guard.stats().decisions);
  gauge('sluice_policy_databases', 'Databases there are.', () => guard.stats().databases);
  gauge('sluice_policy_most_tables', 'Tables of the database that has most.', () => guard.stats().mostTables);
  gauge('sluice_negative_entries', 'Failed creations remembered.', () => guard.stats().negatives);
  gauge('sluice_negative_bytes', 'Estimated bytes of them.', () => guard.stats().negativeBytes);
  gauge('sluice_guard_creating', 'Wants without an outcome yet.', () => guard.stats().creating);
  gauge('sluice_guard_describing', 'Names waiting to be looked up.', () => guard.stats().describing);
  gauge('sluice_guard_waiting', 'Requests waiting for the guard.', () => guard.stats().waiting);
  gauge('sluice_ddl_open_tasks', 'Tasks queued or running.', () => queue.stats().openTasks);
  gauge('sluice_ddl_max_open_tasks', 'Bound of the open tasks.', () => queue.stats().maxOpenTasks);
  gauge('sluice_ddl_outcomes', 'Outcomes kept in the store.', () => queue.stats().outcomes);
  gauge('sluice_ddl_leader', '1 while this gateway leads.', () => Number(queue.stats().leader));
  gauge('sluice_ddl_paused', '1 while an operator has stopped all creates.', () =>
    Number(queue.control.isPaused()),
  );
  gauge('sluice_ddl_live', '1 while the view of the store is current.', () => Number(queue.stats().live));
}

/** Registers the sizes of the counters of refused creates. */
export function registerOffenderGauges(
  metrics: Metrics,
  offenders: { stats(): { readonly size: number; readonly replaced: number } },
): void {
  metrics.gauge(
    'sluice_offenders_counted',
    'Tables, clients and tenants whose refused creates are counted.',
    () => offenders.stats().size,
  );
  metrics.counter(
    'sluice_offenders_replaced_total',
    'Times that one of them made room for another.',
    () => offenders.stats().replaced,
  );
}
