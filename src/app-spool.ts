/**
 * Joins what keeps rows on disk: parking and its replay, and the write log, over an opened disk and dead letter. They
 * are closed in reverse: the log first, as long as the replay and the database are there.
 */
import type { Base, Keeping } from './app-base.ts';
import { laneOptions, parkingOptions, writeLogOptions } from './app-options.ts';
import type { Guard } from './model/admission.ts';
import type { DdlQueue } from './model/ddl-queue.ts';
import type { ValueRules } from './model/sink.ts';
import type { Parking } from './model/spool.ts';
import type { OpenedSpool } from './open-spool.ts';
import type { FlushQueue } from './sink/flush-queue.ts';
import { createLaneDrainer } from './spool/lane-drainer.ts';
import { createParking, type MeteredParking } from './spool/parking.ts';
import { createRecordEncoder } from './spool/record.ts';
import { decode } from './spool/record-decode.ts';
import { openWriteLog } from './spool/write-log.ts';
import { systemRandom } from './util/backoff.ts';

/** Where nothing is parked. */
export const NO_PARKING: Parking = {
  holds: () => false,
  park: () =>
    Promise.resolve({ parked: [], refusal: { reason: 'off', message: 'rows are not kept on disk' } }),
};

/** What the rows go to. */
export interface KeepingDeps {
  readonly guard: Guard;
  readonly flush: FlushQueue;
  readonly queue: DdlQueue;
  readonly values: ValueRules | undefined;
}

/** Opens parking, log and replay; registers their gauges. */
export function openKeeping(base: Base, spool: OpenedSpool, deps: KeepingDeps): Keeping {
  const { config, metrics, stack } = base;
  const encoder = createRecordEncoder();
  const onLane = (tableKey: string): void => lanes.add(tableKey);
  const shared = { ...base, ...spool, ...deps, encoder, onLane, random: systemRandom };
  const parking = createParking(parkingOptions(config), { ...shared, metrics: metrics.spool.parking });
  const log = openWriteLog(writeLogOptions(config), {
    ...shared,
    parking,
    decode: (bytes) => {
      const batch = base.batches.acquire(bytes, '');
      return { batch, head: decode([bytes], batch, base.dictionary).head };
    },
    metrics: metrics.spool.log,
  });
  const lanes = createLaneDrainer(laneOptions(config), {
    ...shared,
    log,
    interner: base.dictionary,
    metrics: metrics.spool.lanes,
  });
  stack.push('replay', () => lanes.close());
  stack.push('write log', () => log.close());
  registerGauges(base, { ...spool, parking, log, lanes });
  lanes.start();
  return { ...spool, parking, log, lanes };
}

function registerGauges(
  { metrics, clock }: Base,
  { disk, log, lanes, parking }: Keeping & { readonly parking: MeteredParking },
): void {
  const gauge: typeof metrics.gauge = (name, help, read) => metrics.gauge(name, help, read);
  gauge('sluice_parked_tables', 'Tables with parked rows.', () => parking.stats().lanes);
  gauge('sluice_parked_rows', 'Rows that are parked.', () => parking.stats().rows);
  gauge('sluice_parked_bytes', 'Bytes of them.', () => parking.stats().bytes);
  gauge('sluice_parked_age_seconds', 'Age of the oldest.', () => parking.stats().oldestAgeMs / 1_000);
  gauge('sluice_replay_ready', 'Tables whose parked rows are due.', () => lanes.stats().ready);
  gauge('sluice_replay_working', 'Tables whose parked rows are being written.', () => lanes.stats().working);
  gauge('sluice_log_held_bytes', 'Memory of rows of the log.', () => log.stats().heldBytes);
  gauge('sluice_log_reading', '1 while the log is written from disk.', () => Number(log.stats().reading));
  const stateOf = () => {
    for (const lane of disk.lanes()) if (lane.name === undefined) return lane;
    return undefined;
  };
  gauge('sluice_log_bytes', 'Bytes of rows in the log.', () => stateOf()?.bytes ?? 0);
  gauge('sluice_log_records', 'Records in the log.', () => stateOf()?.records ?? 0);
  gauge('sluice_log_rows', 'Rows in the log.', () => stateOf()?.rows ?? 0);
  gauge('sluice_log_lag_seconds', 'Age of the oldest row that is not in the database.', () => {
    const oldestAtMs = stateOf()?.oldestAtMs;
    return oldestAtMs === undefined ? 0 : Math.max(0, clock.wallNow() - oldestAtMs) / 1_000;
  });
}
