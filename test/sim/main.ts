/**
 * `npm run sim -- --seeds 2000 --first-seed 1`: simulates one seed after the other, shows progress, and for each that
 * fails how to run it again and how its trace ended. Ends with 1 when a seed failed.
 */
import { parseArgs } from 'node:util';
import type { Mutation } from './cluster.ts';
import { MUTATIONS } from './mutations.ts';
import { type SeedReport, simulate } from './simulation.ts';

const PROGRESS_MS = 5_000;
const SHOWN_VIOLATIONS = 10;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '200' },
    'first-seed': { type: 'string', default: '1' },
    /** Plants a defect: one of `MUTATIONS`. */
    without: { type: 'string' },
  },
});
process.exitCode = await run(Number(values.seeds), Number(values['first-seed']));

async function run(seeds: number, firstSeed: number): Promise<number> {
  const began = performance.now();
  const mutation = mutationOf(values.without);
  const totals = new Map<string, number>();
  let failed = 0;
  let shown = began;
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
    const report = await simulate({ seed, mutation });
    for (const [name, count] of report.figures) totals.set(name, (totals.get(name) ?? 0) + count);
    if (report.violations.length > 0) {
      failed++;
      showFailure(report);
    }
    if (performance.now() - shown < PROGRESS_MS) continue;
    shown = performance.now();
    console.log(line(seed - firstSeed + 1, seeds, { totals, failed, began }));
  }
  for (const [name, count] of [...totals].sort(([a], [b]) => a.localeCompare(b)))
    console.log(`${String(count).padStart(10)} ${name}`);
  console.log(line(seeds, seeds, { totals, failed, began }));
  return failed === 0 ? 0 : 1;
}

function mutationOf(name: string | undefined): Mutation | undefined {
  const mutation = (MUTATIONS as Readonly<Record<string, Mutation>>)[name ?? ''];
  if (name !== undefined && mutation === undefined) {
    throw new Error(`--without takes one of: ${Object.keys(MUTATIONS).join(', ')}`);
  }
  return mutation;
}

function line(
  done: number,
  of: number,
  { totals, failed, began }: { totals: ReadonlyMap<string, number>; failed: number; began: number },
): string {
  const figure = (name: string): string => `${totals.get(name) ?? 0} ${name}`;
  const seconds = Math.round((performance.now() - began) / 1_000);
  const figures = ['tasks', 'statements', 'kills', 'freezes', 'terms'].map(figure).join(', ');
  return `${done} of ${of} seeds run in ${seconds} s: ${figures}; violations: ${failed}`;
}

function showFailure({ seed, violations, tail }: SeedReport): void {
  console.log(tail.join('\n'));
  for (const violation of violations.slice(0, SHOWN_VIOLATIONS)) console.log(`seed ${seed}: ${violation}`);
  console.log(`run it again with: npm run sim -- --seeds 1 --first-seed ${seed}`);
}
