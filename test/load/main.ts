/**
 * `npm run load -- --seconds 60 --connections 1000`: keep-alive, pipelined and telnet senders at once; prints what was
 * acknowledged and compares it with what is stored. Ends with 1 when a point is missing or something stays open.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Cleanups } from '../storm/run.ts';
import { runLoad } from './run.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    connections: { type: 'string', default: '1000' },
  },
});
const folder = mkdtempSync(join(tmpdir(), 'sluice-load-'));
const cleanup = new Cleanups();
try {
  const untilMs = performance.now() + Number(values.seconds) * 1_000;
  const { acknowledged, others, peakRssBytes, faults } = await runLoad(cleanup, {
    folder,
    connections: Number(values.connections),
    kinds: ['keep-alive', 'pipelined'],
    more: () => performance.now() < untilMs,
    progress: console.log,
  });
  for (const fault of faults.slice(0, 20)) console.log(fault);
  const other =
    [...others].map(([status, count]) => `${count} answers ${status}`).join(', ') || 'no other answers';
  console.log(
    `${acknowledged} points acknowledged over ${values.connections} connections, ${other}, ` +
      `at most ${Math.round(peakRssBytes / 1024 ** 2)} MiB; faults: ${faults.length}`,
  );
  process.exitCode = faults.length === 0 ? 0 : 1;
} finally {
  await cleanup.run();
  rmSync(folder, { recursive: true, force: true });
}
