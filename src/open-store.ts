/** Opens the store that the configuration names for the DDL queue: the one place that knows all of them. */
import { etcdStoreOptions } from './app-options.ts';
import type { Config } from './config.ts';
import { createEtcdStore, type EtcdStore } from './ddl/etcd-store.ts';
import { createMemoryStore } from './ddl/memory-store.ts';
import type { Store } from './ddl/store.ts';
import type { Metrics } from './metrics.ts';
import type { Clock } from './model/clock.ts';
import type { Logger } from './model/logger.ts';
import { createAbortController } from './util/abort.ts';

/** Opens a store and registers its gauges; tests give one that wraps the real one in faults. */
export type OpenStore = typeof openConfiguredStore;

/**
 * Opens it and registers its gauges. etcd need not be there: a first look at it goes on in the background and logs
 * what is wrong. @throws {GatewayError} config_invalid when a file that it needs can't be used.
 */
export async function openConfiguredStore(
  config: Config,
  { clock, logger, metrics }: { clock: Clock; logger: Logger; metrics: Metrics },
): Promise<Store> {
  if (config.ddl.store === 'memory') return createMemoryStore({ clock });
  const store = createEtcdStore(etcdStoreOptions(config), { clock, logger });
  registerGauges(metrics, store);
  void store.check(createAbortController().signal);
  return store;
}

/** As of the last look of the queue's space monitor, some seconds ago; NaN: not known. */
function registerGauges(metrics: Metrics, store: EtcdStore): void {
  const gauge: Metrics['gauge'] = (name, help, read) => metrics.gauge(name, help, read);
  gauge(
    'sluice_etcd_db_size_bytes',
    "Size of etcd's database file.",
    () => store.stats()?.dbSizeBytes ?? Number.NaN,
  );
  gauge(
    'sluice_etcd_db_in_use_bytes',
    'Bytes of it that hold data.',
    () => store.stats()?.dbInUseBytes ?? Number.NaN,
  );
  gauge(
    'sluice_etcd_quota_bytes',
    'Size at which etcd refuses puts.',
    () => store.stats()?.quotaBytes ?? Number.NaN,
  );
  gauge('sluice_etcd_nospace', '1 while etcd refuses puts for want of space.', () =>
    Number(store.stats()?.nospace ?? Number.NaN),
  );
}
