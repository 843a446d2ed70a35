/**
 * `npm run fuzz -- --minutes 10 --seed 1`: damaged requests and streams of every protocol against a real gateway; see
 * run.ts for what counts as a failure. `--replay FILE` sends one failed case again. Ends with 1 when anything failed.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Cleanups } from '../storm/run.ts';
import { fuzz, replay } from './run.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    replay: { type: 'string' },
  },
});
const folder = mkdtempSync(join(tmpdir(), 'sluice-fuzz-'));
const cleanup = new Cleanups();
let failures: readonly string[] = [];
try {
  if (values.replay !== undefined) {
    failures = await replay(cleanup, folder, values.replay);
    console.log(failures.length === 0 ? 'nothing failed' : failures.join('\n'));
  } else {
    const untilMs = performance.now() + Number(values.minutes) * 60_000;
    const more = (): boolean => performance.now() < untilMs;
    const report = await fuzz(cleanup, { folder, seed: Number(values.seed), more, progress: console.log });
    failures = report.failures;
    for (const failure of failures) console.log(failure);
    console.log(`${report.cases} cases, ${report.answers} distinct answers; failures: ${failures.length}`);
  }
} finally {
  await cleanup.run();
  // Failed cases are kept, to be sent again.
  if (failures.length === 0) rmSync(folder, { recursive: true, force: true });
}
process.exitCode = failures.length === 0 ? 0 : 1;
