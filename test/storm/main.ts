/**
 * `npm run storm`: the incident that Sluice exists for, twice against a real etcd, first without and then with
 * Sluice. Takes about five minutes; writes docs/storm.md and docs/storm.svg. `--out FOLDER` writes them there.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ETCD } from '../helpers/etcd-install.ts';
import { plotOf, reportOf } from './report.ts';
import { runStorm } from './run.ts';
import { guarded, unguarded } from './targets.ts';

const { values } = parseArgs({ options: { out: { type: 'string', default: 'docs' } } });
const tell = (line: string): void => void process.stderr.write(`${line}\n`);

const runs = [await runStorm(unguarded(), tell), await runStorm(guarded(), tell)] as const;
const etcdVersion =
  /etcd Version: (\S+)/.exec(execFileSync(ETCD, ['--version']).toString())?.[1] ?? 'unknown';
const machine = `${cpus().length} cores (${cpus()[0]?.model.trim()}), Node ${process.version}, etcd ${etcdVersion}`;
writeFileSync(join(values.out, 'storm.svg'), plotOf(runs));
writeFileSync(join(values.out, 'storm.md'), reportOf(runs, machine));
tell(`written: ${join(values.out, 'storm.md')}, ${join(values.out, 'storm.svg')}`);
