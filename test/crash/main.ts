/**
 * `npm run crash -- --rounds 200 --seed 1`: kills a gateway under load again and again, shows progress and which steps it
 * died at, and compares the database with what was acknowledged. Ends with 1 when a point is lost, doubled or old.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { crashRounds } from './rounds.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
    'verify-every': { type: 'string', default: '10' },
  },
});
const folder = mkdtempSync(join(tmpdir(), 'sluice-crash-'));
const closings: (() => Promise<void> | void)[] = [];
const began = performance.now();
try {
  const { kills, batches, replayed, points, faults } = await crashRounds(
    { after: (close) => void closings.push(close) },
    {
      folder,
      rounds: Number(values.rounds),
      seed: Number(values.seed),
      verifyEvery: Number(values['verify-every']),
      progress: (line) => console.log(`${line} (${Math.round((performance.now() - began) / 1_000)} s)`),
    },
  );
  for (const [step, count] of [...kills].sort(([a], [b]) => a.localeCompare(b)))
    console.log(`${String(count).padStart(5)} kills at ${step}`);
  for (const fault of faults) console.log(fault);
  const total = [...kills.values()].reduce((sum, count) => sum + count, 0);
  console.log(
    `${total} kills, ${batches} batches acknowledged, ${replayed} rows replayed after kills, ${points} points compared: ${faults.length} faults`,
  );
  process.exitCode = faults.length === 0 ? 0 : 1;
} finally {
  for (const close of closings.toReversed()) await close();
  rmSync(folder, { recursive: true, force: true });
}
