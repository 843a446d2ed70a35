/**
 * Parser throughput beside `JSON.parse` alone, on the same points, in one run: `npm run bench`.
 * Rounds alternate between the subjects and the medians of CPU time are compared, because absolute times are noisy.
 */
import { cpus } from 'node:os';
import { PointBatch } from '../../src/model/point-batch.ts';
import { createLineParser } from '../../src/protocol/line-protocol.ts';
import { createOpenTsdbParser } from '../../src/protocol/opentsdb-json.ts';
import { SeriesDictionary } from '../../src/protocol/series-dictionary.ts';
import { createTelnetParser } from '../../src/protocol/telnet-put.ts';
import { DEFAULT_LIMITS, DEFAULT_RULES } from '../helpers/parsers.ts';
import { benchBodies } from './bodies.ts';

const ROUNDS = 15;
const POINTS_PER_ROUND = 200_000;
const BATCH = 100;

const bodies = benchBodies({ files: 64, batch: BATCH, metrics: 20, hosts: 200 });
const dictionary = new SeriesDictionary({ maxSeries: 500_000, maxBytes: 256 * 2 ** 20 }, 42);
const opentsdb = createOpenTsdbParser(dictionary, { limits: DEFAULT_LIMITS, ...DEFAULT_RULES });
const line = createLineParser(dictionary, { limits: DEFAULT_LIMITS });
const telnet = createTelnetParser(dictionary, { limits: DEFAULT_LIMITS, ...DEFAULT_RULES });
const batch = new PointBatch();

const subjects: Record<string, (i: number) => number> = {
  jsonParse: (i) => (JSON.parse((bodies.opentsdb[i % 64] as Buffer).toString('utf8')) as unknown[]).length,
  opentsdb: (i) => {
    batch.reset(bodies.opentsdb[i % 64] as Buffer, 'public');
    const parsed = opentsdb.parse(batch);
    return parsed.kind === 'parsed' ? parsed.good : 0;
  },
  line: (i) => {
    batch.reset(bodies.line[i % 64] as Buffer, 'public');
    return line.parse(batch, 'ns', 0).good;
  },
  telnet: (i) => {
    batch.reset(bodies.telnet[i % 64] as Buffer, 'public');
    return telnet.parse(batch).good;
  },
};

function cpuSecondsPerMillion(run: (i: number) => number): number {
  const before = process.cpuUsage();
  let points = 0;
  for (let i = 0; points < POINTS_PER_ROUND; i++) points += run(i);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / points;
}

const rounds = new Map(Object.keys(subjects).map((name) => [name, [] as number[]]));
for (let round = 0; round <= ROUNDS; round++) {
  for (const [name, run] of Object.entries(subjects)) {
    const cost = cpuSecondsPerMillion(run);
    if (round > 0) rounds.get(name)?.push(cost); // round 0 warms up
  }
}
const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] as number;
const cost = (name: string): number => median(rounds.get(name) as number[]);
const round3 = (value: number): number => Number(value.toPrecision(3));
const result = {
  bench: 'parsers',
  node: process.version,
  cpu: cpus()[0]?.model,
  pointsPerRequest: BATCH,
  cpuSecondsPerMillionPoints: Object.fromEntries(Object.keys(subjects).map((n) => [n, round3(cost(n))])),
  pointsPerCpuSecond: Object.fromEntries(Object.keys(subjects).map((n) => [n, Math.round(1e6 / cost(n))])),
  opentsdbVsJsonParse: round3(cost('jsonParse') / cost('opentsdb')),
  lineVsOpentsdb: round3(cost('opentsdb') / cost('line')),
  telnetVsLine: round3(cost('line') / cost('telnet')),
  lineVsJsonParse: round3(cost('jsonParse') / cost('line')),
};
console.log(JSON.stringify(result));
