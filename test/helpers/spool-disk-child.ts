/**
 * A process that appends to a spool until it is killed: groups of records, one after the other, to the log and two
 * lanes, removing the older half of what was acknowledged. Prints a line of JSON per group: what was acknowledged or
 * removed, or why not.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { GatewayError } from '../../src/errors.ts';
import { LOG_LANE, type RecordRef } from '../../src/model/spool.ts';
import { tableKey } from '../../src/model/table.ts';
import { openSpoolDisk } from '../../src/spool/disk.ts';
import { createSystemClock } from '../../src/util/clock.ts';
import { SILENT } from './duckdb.ts';
import { countingMetrics, laneName, newRecord } from './spool-disk.ts';

/** A line of the child. `removed`: asked for; `kept`: acknowledged; both numbers of records. */
export interface ChildLine {
  readonly opened?: true;
  readonly kept?: readonly number[];
  readonly removed?: readonly number[];
  readonly failed?: string;
  readonly failing?: string | undefined;
  /** Records of the log that could be read while appends failed. */
  readonly readable?: number;
}

const [path = '', bytes = '2000'] = process.argv.slice(2);
// Writing beyond RLIMIT_FSIZE shall fail, not kill.
process.on('SIGXFSZ', () => undefined);

function print(line: ChildLine): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

const { metrics } = countingMetrics();
const options = { path, minFreeBytes: 0, maxPendingBytes: 2 ** 26 };
const disk = await openSpoolDisk(options, { logger: SILENT, clock: createSystemClock(), metrics });
print({ opened: true });
const text = 'x'.repeat(Number(bytes));
const names = [LOG_LANE, laneName('a'), laneName('b')];
const acknowledged: { readonly table: number; readonly ref: RecordRef }[] = [];

async function appendGroup(): Promise<void> {
  const append = names.flatMap((lane) => [newRecord(lane, text), newRecord(lane, text)]);
  try {
    const { seqs, done } = disk.commit({ append });
    await done;
    print({ kept: seqs });
    for (const [i, seq] of seqs.entries()) {
      acknowledged.push({ table: i >> 1, ref: { seq, rows: 1, bytes: text.length } });
    }
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    const readable = (await disk.read(LOG_LANE, 0, 2 ** 20).catch(() => [])).length;
    print({ failed: error.code, failing: disk.stats().failing, readable });
    await sleep(20);
  }
}

function removeOlder(): void {
  const removed = acknowledged.splice(0, acknowledged.length >> 1);
  // Printed first: from here on they may be gone.
  print({ removed: removed.map(({ ref }) => ref.seq) });
  for (const { table, ref } of removed) {
    const lane = table === 0 ? LOG_LANE : disk.laneOf(tableKey(laneName(table === 1 ? 'a' : 'b')))?.id;
    if (lane !== undefined) disk.commit({ remove: [{ lane, records: [ref] }] });
  }
}

for (let group = 1; ; group++) {
  await appendGroup();
  if (group % 50 === 0) removeOlder();
}
