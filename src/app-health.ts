/** What the gateway says of its own health. */
import type { Health } from '../routes/health.ts';
import type { Core, Keeping } from './app-base.ts';

interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly message: string;
  /** The gateway is of no use while it fails. */
  readonly vital: boolean;
}

/**
 * Only what keeps known tables from being written takes the gateway out of service: not the DDL queue's store, and the
 * spool or the database only where it is the one that acknowledges.
 */
export function healthOf(
  { queue, flush, keeping }: Core,
  { ready, ack }: { readonly ready: boolean; readonly ack: 'log' | 'database' },
): Health {
  const writes = flush.stats().failing ?? keeping?.log.stats().stalled;
  const { live } = queue.stats();
  const checks: Check[] = [
    {
      name: 'database',
      ok: writes === undefined,
      message: writes ?? 'writes succeed',
      vital: ack === 'database',
    },
    {
      name: 'ddl queue',
      ok: live,
      message: live ? 'in sync' : 'not in sync: known tables only',
      vital: false,
    },
    { name: 'server', ok: ready, message: ready ? 'accepting' : 'starting or stopping', vital: true },
  ];
  if (keeping !== undefined) checks.push(spoolCheck(keeping, ack === 'log'));
  const failed = checks.find(({ ok, vital }) => vital && !ok) ?? checks.find(({ ok }) => !ok);
  return {
    ok: failed?.vital !== true,
    message: failed === undefined ? 'ready for queries and writes' : `${failed.name}: ${failed.message}`,
    checks: checks.map(({ name, ok, message }) => ({ name, status: ok ? 'pass' : 'fail', message })),
  };
}

function spoolCheck({ disk, log }: Keeping, vital: boolean): Check {
  const failing = disk.stats().failing ?? (log.stats().full ? 'full: the database is behind' : undefined);
  return { name: 'spool', ok: failing === undefined, message: failing ?? 'rows can be kept', vital };
}
