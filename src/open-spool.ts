/** Opens what the gateway keeps on disk itself: the spool's disk and the dead letter. Registers their gauges. */
import { deadLetterOptions, spoolDiskOptions } from './app-options.ts';
import type { Config } from './config.ts';
import type { Metrics } from './metrics.ts';
import type { Clock } from './model/clock.ts';
import type { Logger } from './model/logger.ts';
import type { SpoolDisk } from './model/spool.ts';
import { type DeadLetterFolder, openDeadLetter } from './spool/dead-letter.ts';
import { openSpoolDisk } from './spool/disk.ts';

/** What was opened; the caller closes both. */
export interface OpenedSpool {
  readonly disk: SpoolDisk;
  readonly deadLetter: DeadLetterFolder;
}

/** Opens a spool and registers its gauges; tests give one that wraps the real one in faults. */
export type OpenSpool = typeof openConfiguredSpool;

/** Undefined when it is switched off. @throws {GatewayError} config_invalid when a folder can't be used. */
export async function openConfiguredSpool(
  config: Config,
  { clock, logger, metrics }: { clock: Clock; logger: Logger; metrics: Metrics },
): Promise<OpenedSpool | undefined> {
  if (!config.spool.enabled) return undefined;
  const disk = await openSpoolDisk(spoolDiskOptions(config), { clock, logger, metrics: metrics.spool.disk });
  try {
    const deps = { clock, logger, metrics: metrics.spool.deadLetter };
    const deadLetter = await openDeadLetter(deadLetterOptions(config), deps);
    registerGauges(metrics, { disk, deadLetter });
    return { disk, deadLetter };
  } catch (error) {
    await disk.close();
    throw error;
  }
}

function registerGauges(metrics: Metrics, { disk, deadLetter }: OpenedSpool): void {
  const gauge: Metrics['gauge'] = (name, help, read) => metrics.gauge(name, help, read);
  gauge('sluice_spool_bytes', 'Bytes of rows in the spool.', () => disk.stats().bytes);
  gauge('sluice_spool_records', 'Records of rows in the spool.', () => disk.stats().records);
  gauge('sluice_spool_rows', 'Rows in the spool.', () => disk.stats().rows);
  gauge('sluice_spool_pending_bytes', 'Bytes on their way to disk.', () => disk.stats().pendingBytes);
  gauge('sluice_spool_failing', '1 while the disk takes no rows.', () =>
    Number(disk.stats().failing !== undefined),
  );
  const free = 'Free bytes of its file system.';
  gauge('sluice_spool_free_bytes', free, () => disk.stats().freeBytes ?? Number.NaN);
  gauge('sluice_dead_letter_files', 'Files of the dead letter.', () => deadLetter.stats().files);
  gauge('sluice_dead_letter_bytes', 'Bytes of them.', () => deadLetter.stats().bytes);
}
