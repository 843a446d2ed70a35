/** The paths of GreptimeDB and VictoriaMetrics: where a write goes, and what differs from the protocols' own paths. */
import type { ProtocolCase } from '../helpers/protocol-cases.ts';
import { envelope, point } from './opentsdb-put-cases.ts';

const PUTS = ['/v1/opentsdb/api/put', '/opentsdb/api/put'];
const INFLUX = ['/v1/influxdb', '/influx'];
const LINE = 'METRIC value=42 1700000000000000000';
const HEADER = 'x-greptime-db-name';
const NO_LABELS = 'extra_label is not supported; let the sender set the tag';

/** What the protocol's write is, and a database beside it. */
interface Target {
  readonly name: string;
  readonly parameters: string;
  readonly header?: string;
  readonly database: string;
}

const TARGETS: readonly Target[] = [
  { name: 'writes to the default database', parameters: '', database: 'public' },
  { name: 'writes to the database of db', parameters: '?db=d1', database: 'd1' },
  { name: 'writes to the database of the header', parameters: '', header: 'd2', database: 'd2' },
  { name: 'believes the header before db', parameters: '?db=d1', header: 'd2', database: 'd2' },
  { name: 'decodes db', parameters: '?db=d%C3%A9%201', database: 'dé 1' },
  { name: 'reads the header as UTF-8', parameters: '', header: 'd\u00c3\u00a9', database: 'dé' },
  { name: 'does not split at a hyphen', parameters: '?db=greptime-d1', database: 'greptime-d1' },
  { name: 'passes an empty db', parameters: '?db=', database: 'public' },
];

function written(path: string, body: string, target: Target): ProtocolCase {
  return {
    name: `${path}: ${target.name}`,
    path: path + target.parameters,
    body,
    ...(target.header === undefined ? {} : { headers: { [HEADER]: target.header } }),
    status: 204,
    answer: undefined,
    stored: '[[42]]',
    database: target.database,
  };
}

const DEFAULT = TARGETS[0] as Target;

export const PUT_ALIAS_CASES: readonly ProtocolCase[] = PUTS.flatMap((path) => [
  ...TARGETS.map((target) => written(path, point(), target)),
  written(path, point({ tags: '{}' }), { ...DEFAULT, name: 'takes empty tags' }),
  written(path, point({ tags: '' }), { ...DEFAULT, name: 'takes missing tags' }),
  written(path, point({ tags: '{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9}' }), {
    ...DEFAULT,
    name: 'takes nine tags',
  }),
  {
    name: `${path}: answers a summary as OpenTSDB does`,
    path: `${path}?summary`,
    body: `[${point()},${point({ value: '"x"' })}]`,
    status: 400,
    answer: { success: 1, failed: 1 },
    stored: '[[42]]',
  },
  {
    name: `${path}: refuses NUL in a database`,
    path: `${path}?db=a%00b`,
    body: point(),
    status: 400,
    answer: envelope(400, 'invalid database name'),
  },
  {
    name: `${path}: refuses extra labels`,
    path: `${path}?extra_label=k=v`,
    body: point(),
    status: 400,
    answer: envelope(400, NO_LABELS),
  },
  {
    name: `${path}: refuses GET`,
    method: 'GET',
    path,
    status: 405,
    answer: envelope(405, 'Method not allowed', 'The HTTP method [GET] is not permitted for this endpoint'),
  },
]);

export const INFLUX_ALIAS_CASES: readonly ProtocolCase[] = INFLUX.flatMap((prefix) => [
  ...TARGETS.map((target) => written(`${prefix}/write`, LINE, target)),
  ...TARGETS.map((target) => written(`${prefix}/api/v2/write`, LINE, target)),
  written(`${prefix}/api/v2/write`, LINE, {
    name: 'writes to the database of the bucket',
    parameters: '?bucket=b1&org=o',
    database: 'b1',
  }),
  written(`${prefix}/api/v2/write`, LINE, {
    name: 'believes db before the bucket',
    parameters: '?bucket=b1&db=d1',
    database: 'd1',
  }),
  written(`${prefix}/write`, LINE, {
    name: 'has no buckets in v1',
    parameters: '?bucket=b1',
    database: 'public',
  }),
  written(`${prefix}/write`, 'METRIC value=42 1700000000', {
    name: 'reads the unit of time',
    parameters: '?precision=s&rp=x',
    database: 'public',
  }),
  {
    name: `${prefix}: refuses extra labels in v1`,
    path: `${prefix}/write?extra_label=k=v`,
    body: LINE,
    status: 400,
    answer: { error: NO_LABELS },
  },
  {
    name: `${prefix}: refuses extra labels in v2`,
    path: `${prefix}/api/v2/write?extra_label=k=v&extra_label=l=w`,
    body: LINE,
    status: 400,
    answer: { code: 'invalid', message: NO_LABELS },
  },
  {
    name: `${prefix}: refuses extra labels in v3`,
    path: `${prefix}/api/v3/write_lp?extra_label=k=v`,
    body: LINE,
    status: 400,
    answer: /extra_label is not supported/,
  },
  {
    name: `${prefix}: refuses an unknown unit`,
    path: `${prefix}/write?precision=x`,
    body: LINE,
    status: 400,
    answer: { error: 'invalid precision "x" (use n, u, ms, s, m or h)' },
  },
  {
    name: `${prefix}: stores the good lines beside a bad one`,
    path: `${prefix}/write`,
    body: `${LINE}\nbad`,
    status: 400,
    answer: /^\{"error":"partial write: unable to parse 'bad': /,
    stored: '[[42]]',
  },
  {
    name: `${prefix}: answers a ping`,
    method: 'GET',
    path: `${prefix}/ping`,
    status: 204,
    answer: undefined,
  },
  {
    name: `${prefix}: answers a query`,
    method: 'GET',
    path: `${prefix}/query?q=CREATE+DATABASE+x`,
    status: 200,
    answer: { results: [{ statement_id: 0 }] },
  },
]);

export const PROBE_CASES: readonly ProtocolCase[] = [
  { name: 'is healthy as GreptimeDB', method: 'GET', path: '/v1/health', status: 200, answer: {} },
  {
    name: 'is healthy as GreptimeDB for InfluxDB',
    method: 'GET',
    path: '/v1/influxdb/health',
    status: 200,
    answer: undefined,
  },
  {
    name: 'is healthy as VictoriaMetrics',
    method: 'GET',
    path: '/influx/health',
    status: 200,
    answer: /^\{"name":"sluice","message":"[^"]+","status":"pass"/,
  },
  {
    name: 'still refuses untagged points at OpenTSDB`s own path',
    path: '/api/put',
    body: point({ metric: '"untagged"', tags: '{}' }),
    status: 400,
  },
];
