/** docs/storm.md and its plot, from two runs: the unguarded one first. */
import { drawPlot, type Line, type Panel } from './plot.ts';
import { ETCD_FLAGS, LOAD, QUOTA_BYTES, type Run, type Sample, STORM } from './run.ts';

type Runs = readonly [Run, Run];

const COLORS = ['#c0392b', '#2471a3'];
const MIB = 2 ** 20;

/** The plot. */
export function plotOf(runs: Runs): string {
  const lines = (value: (sample: Sample) => number): Line[] =>
    runs.map(({ name, samples }, index) => ({
      name,
      color: COLORS[index] as string,
      points: samples.map((sample) => [sample.s, value(sample)]),
    }));
  const panels: Panel[] = [
    {
      title: 'etcd database, MiB',
      lines: lines(({ etcd }) => (etcd?.dbSizeBytes ?? Number.NaN) / MIB),
      limit: { name: 'quota', value: QUOTA_BYTES / MIB },
    },
    { title: 'open DDL tasks in etcd', lines: lines(({ openTasks }) => openTasks) },
    { title: 'DDL attempts per second, seen by the database', lines: lines(({ attempts }) => attempts) },
    { title: 'healthy points per second', lines: lines(({ points }) => points) },
    { title: 'healthy requests, p99 in ms', lines: lines(({ p99Ms }) => p99Ms) },
  ];
  const dead = nospaceAt(runs[0]);
  return drawPlot('The same flood of points whose tables can not be created', panels, [
    { name: 'flood', from: STORM.fromS, to: STORM.toS, color: '#b7950b' },
    ...(dead === undefined ? [] : [{ name: 'NOSPACE', from: dead.s, color: COLORS[0] as string }]),
  ]);
}

/** The page. */
export function reportOf(runs: Runs, machine: string): string {
  const [without, with_] = runs;
  const dead = nospaceAt(without);
  const row = (name: string, value: (run: Run) => string): string =>
    `| ${name} | ${value(without)} | ${value(with_)} |`;
  const rows = [
    row('etcd refuses every put (NOSPACE)', (run) => {
      const at = nospaceAt(run);
      return at === undefined
        ? 'never'
        : `${at.s - STORM.fromS} s after the flood began, at ${at.openTasks} tasks`;
    }),
    row('largest etcd database', (run) =>
      mib(Math.max(...run.samples.map(({ etcd }) => etcd?.dbSizeBytes ?? 0))),
    ),
    row('most open tasks', (run) => String(Math.max(...run.samples.map(({ openTasks }) => openTasks || 0)))),
    row('most keys in etcd', (run) => String(mostKeys(run))),
    row('DDL statements seen by the database', (run) => String(run.attempts)),
    row('most of them in one second', (run) =>
      String(Math.max(...run.samples.map(({ attempts }) => attempts))),
    ),
    row(
      'healthy points per second, before / during the flood',
      (run) => `${rate(run, false)} / ${rate(run, true)}`,
    ),
    row(
      'healthy requests, median of p99 per second, before / during',
      (run) => `${p99(run, false)} / ${p99(run, true)} ms`,
    ),
    row('healthy requests that failed', (run) =>
      String(run.samples.reduce((sum, { failed }) => sum + failed, 0)),
    ),
    row('new healthy tables asked for / made', ({ newTables }) => `${newTables.asked} / ${newTables.made}`),
    row('a table becomes creatable: until it is created, left alone (G6)', ({ healS }) => seconds(healS)),
    row('the same, failures purged by hand', (run) =>
      run === without ? 'there is nothing to purge' : seconds(run.purgedS),
    ),
    row('keys in etcd, most / at the end (G2)', (run) => `${mostKeys(run)} / ${run.end?.keys}`),
    row(
      'etcd database at the end, in use / file / file after a defragmentation (G2)',
      ({ end, defragmented }) =>
        `${mib(end?.inUseBytes)} / ${mib(end?.dbSizeBytes)} / ${mib(defragmented?.dbSizeBytes)}`,
    ),
    row('NOSPACE at the end', ({ end }) =>
      end?.nospace === true ? 'yes: until somebody deletes, compacts, defragments and disarms' : 'no',
    ),
  ];
  return `${introduction(machine)}
| | unguarded | guarded by Sluice |
|---|---|---|
${rows.join('\n')}

![etcd's size, open tasks, DDL attempts and healthy traffic over time, without and with Sluice](storm.svg)

${dead === undefined ? '' : `The unguarded run loses etcd for good at second ${dead.s}: nothing that needs a put works any more, so no new healthy table is made after it.\n`}`;
}

function introduction(machine: string): string {
  const { healthy, storm } = LOAD;
  return `# The storm

Written by \`npm run storm\`; every figure is from that run. ${machine}; clients, database, etcd and gateways share them.

The incident Sluice exists for (GreptimeDB issue 5789): clients send points whose tables can't be created. Both runs
get the same traffic against a real etcd with a quota of ${QUOTA_BYTES / MIB} MiB and \`${ETCD_FLAGS.join(' ')}\`:

- healthy: ${healthy.requestsPerSec} requests/s of ${healthy.pointsPerRequest} points to ${healthy.tables} tables that exist, and one new table each second;
- the flood, from second ${STORM.fromS} to ${STORM.toS}: ${storm.requestsPerSec} requests/s of ${storm.pointsPerRequest} points, ${storm.tables} names whose CREATE the database refuses.
  Ten more names become creatable at second ${STORM.healS}.

**Unguarded**: three processes that stand for a database which creates tables by itself and keeps one task in etcd per
attempt, failed ones for ever, as GreptimeDB v0.13 did. It is test/storm/unguarded.ts; the gateway has no such mode.
**Guarded**: three gateways with their default options, the same etcd and database.
`;
}

function nospaceAt({ samples }: Run): Sample | undefined {
  return samples.find(({ etcd }) => etcd?.nospace === true);
}

function mostKeys({ samples }: Run): number {
  return Math.max(...samples.map(({ etcd }) => etcd?.keys ?? 0));
}

function during({ samples }: Run, flood: boolean): readonly Sample[] {
  const [from, to] = flood ? [STORM.fromS + 1, STORM.toS] : [3, STORM.fromS];
  return samples.filter(({ s }) => s >= from && s <= to);
}

function rate(run: Run, flood: boolean): string {
  const samples = during(run, flood);
  return String(Math.round(samples.reduce((sum, { points }) => sum + points, 0) / samples.length));
}

function p99(run: Run, flood: boolean): string {
  const values = during(run, flood)
    .map(({ p99Ms }) => p99Ms)
    .sort((a, b) => a - b);
  return (values[values.length >> 1] ?? Number.NaN).toFixed(0);
}

function seconds(values: readonly number[]): string {
  const made = values.filter(Number.isFinite);
  if (made.length === 0) return 'never';
  const never = values.length - made.length;
  const range = `${Math.min(...made).toFixed(1)} to ${Math.max(...made).toFixed(1)} s`;
  return never === 0 ? range : `${range}, ${never} of ${values.length} never`;
}

function mib(bytes: number | undefined): string {
  return bytes === undefined ? 'unknown' : `${(bytes / MIB).toFixed(2)} MiB`;
}
