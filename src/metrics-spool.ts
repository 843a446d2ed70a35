/** The counters of what is kept on disk: write log, parked rows, dead letter. Made with metrics.ts' own means. */
import type { DeadLetterMetrics } from './spool/dead-letter.ts';
import type { SpoolDiskMetrics } from './spool/disk.ts';
import type { LaneDrainerMetrics } from './spool/lane-types.ts';
import type { ParkingMetrics } from './spool/parking.ts';
import type { WriteLogMetrics } from './spool/write-log-types.ts';

/** What metrics.ts makes counters with. */
interface CounterFactory {
  /** A counter with one label. */
  tally(name: string, help: string, label: string): (value: string, count?: number) => void;
  counter(name: string, help: string): { inc(count?: number): void };
}

/** The counters of the spool's parts. */
export interface SpoolMetrics {
  readonly disk: SpoolDiskMetrics;
  readonly log: WriteLogMetrics;
  readonly parking: ParkingMetrics;
  readonly lanes: LaneDrainerMetrics;
  readonly deadLetter: DeadLetterMetrics;
}

/** Makes them, all at 0. */
export function spoolMetrics(make: CounterFactory): SpoolMetrics {
  return {
    disk: diskMetrics(make),
    log: logMetrics(make),
    ...laneMetrics(make),
    deadLetter: deadLetterMetrics(make),
  };
}

function diskMetrics(make: CounterFactory): SpoolDiskMetrics {
  const name = 'sluice_spool_synced_records_total';
  const records = make.counter(name, 'Records synced to disk.');
  const bytes = make.counter('sluice_spool_synced_bytes_total', 'Bytes of them.');
  const seconds = make.counter('sluice_spool_sync_seconds_total', 'Time spent with syncing.');
  const syncs = make.counter('sluice_spool_syncs_total', 'Group commits.');
  const failed = make.counter(
    'sluice_spool_failures_total',
    'Failed commits, and attempts to open the folder again.',
  );
  const unreadable = make.counter('sluice_spool_unreadable_records_total', 'Damaged records read.');
  const lost = make.counter('sluice_spool_lost_records_total', 'Acknowledged records not on disk any more.');
  const repaired = make.counter('sluice_spool_repairs_total', 'Times damaged files were repaired.');
  return {
    committed(count, size, ms) {
      syncs.inc();
      records.inc(count);
      bytes.inc(size);
      seconds.inc(ms / 1_000);
    },
    refused: make.tally('sluice_spool_refused_total', 'Changes that the disk did not take.', 'reason'),
    failed: () => failed.inc(),
    unreadable: () => unreadable.inc(),
    lost: (count) => lost.inc(count),
    repaired: () => repaired.inc(),
  };
}

function laneMetrics(make: CounterFactory): Pick<SpoolMetrics, 'parking' | 'lanes'> {
  const parked = make.counter(
    'sluice_spool_parked_rows_total',
    'Rows acknowledged to wait on disk for their table.',
  );
  const bytes = make.counter('sluice_spool_parked_bytes_total', 'Bytes of them.');
  const replayed = make.counter(
    'sluice_spool_replayed_rows_total',
    'Parked rows that came into the database.',
  );
  const failed = make.counter(
    'sluice_spool_replay_failures_total',
    'Times the database failed at parked rows.',
  );
  const dead = make.tally(
    'sluice_spool_dead_rows_total',
    'Rows that were parked, or to be, and given up.',
    'reason',
  );
  return {
    parking: {
      dead,
      parked(rows, size) {
        parked.inc(rows);
        bytes.inc(size);
      },
      refused: make.tally('sluice_spool_refused_rows_total', 'Rows that could not be parked.', 'reason'),
    },
    lanes: { dead, replayed: (rows) => replayed.inc(rows), replayFailed: () => failed.inc() },
  };
}

function logMetrics(make: CounterFactory): WriteLogMetrics {
  const refused = make.tally(
    'sluice_log_refused_total',
    'Requests that the write log did not take.',
    'reason',
  );
  const left = make.tally('sluice_log_rows_total', 'Rows that left the write log, by where they went.', 'to');
  const retried = make.counter(
    'sluice_log_retries_total',
    'Times the database did not take rows of the log.',
  );
  return { refused, left, retried: () => retried.inc() };
}

function deadLetterMetrics(make: CounterFactory): DeadLetterMetrics {
  const dropped = make.counter(
    'sluice_dead_letter_dropped_rows_total',
    'Rows given up to make room for others.',
  );
  return {
    deadLetterAdded: make.tally(
      'sluice_dead_letter_rows_total',
      'Rows that went to the dead letter.',
      'reason',
    ),
    deadLetterRefused: make.tally(
      'sluice_dead_letter_refused_rows_total',
      'Rows that found no room in the dead letter.',
      'reason',
    ),
    deadLetterDropped: (rows) => dropped.inc(rows),
  };
}
