/**
 * What keeping rows on disk costs: `npm run bench:spool [MIB]` (1024). In one run, on the disk of the temporary folder:
 * (1) synced records, 1 to 64 at a time, beside raw fdatasync of the same bytes; (2) memory while a spool of MIB
 * mebibytes drains into DuckDB; (3) requests of a healthy table alone and beside a drain. One line of JSON for each.
 */
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { measureCommits, measureRawSyncs } from './spool-commits.ts';
import { measureDrain, measureHealthyBeside } from './spool-drain.ts';

const MIB = 2 ** 20;
const drainMib = Number(process.argv[2] ?? 1_024);
const RECORD_BYTES = 8_192;
const CLIENTS = [1, 8, 64];

const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-spool-'));
try {
  for (const clients of CLIENTS) await compareSyncs(clients);
  print('drain', await measureDrain(join(folder, 'drain'), drainMib * MIB));
  print('healthy', await measureHealthyBeside(join(folder, 'healthy')));
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function compareSyncs(clients: number): Promise<void> {
  const file: FileHandle = await open(join(folder, 'raw'), 'w');
  try {
    const raw = await measureRawSyncs(file, RECORD_BYTES);
    const spool = await measureCommits(join(folder, `commits-${clients}`), RECORD_BYTES, clients);
    const ratio = Number((spool.recordsPerSec / raw.recordsPerSec).toFixed(2));
    print('commit', { clients, recordBytes: RECORD_BYTES, raw, spool, ratio });
  } finally {
    await file.close();
  }
}

function print(bench: string, figures: object): void {
  const machine = { node: process.version, cpu: cpus()[0]?.model, cores: cpus().length };
  process.stdout.write(`${JSON.stringify({ bench: `spool ${bench}`, ...machine, ...figures })}\n`);
}
