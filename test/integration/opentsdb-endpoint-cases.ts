/** Where OpenTSDB's endpoints are found, and what those answer that take no points. */
import type { ProtocolCase } from '../helpers/protocol-cases.ts';
import { envelope, point } from './opentsdb-put-cases.ts';

const NOT_FOUND = envelope(404, 'Endpoint not found');
const NO_VERSION = envelope(501, 'Requested API version is greater than the max implemented');

function put(name: string, path: string): ProtocolCase {
  return { name, path, body: point(), status: 204, answer: undefined, stored: '[[42]]' };
}

function missing(path: string, answer: unknown = { error: 'not found' }): ProtocolCase {
  return { name: `does not know ${path}`, path, body: point(), status: 404, answer };
}

function get(name: string, path: string, answer: unknown, status = 200): ProtocolCase {
  return { name, method: 'GET', path, status, answer };
}

function method(name: string, path: string): ProtocolCase {
  const details = `The HTTP method [${name}] is not permitted for this endpoint`;
  const answer = name === 'HEAD' ? undefined : envelope(405, 'Method not allowed', details);
  return { name: `refuses ${name} at ${path}`, method: name, path, status: 405, answer };
}

export const ROUTE_CASES: readonly ProtocolCase[] = [
  put('takes any case', '/API/Put'),
  put('takes a slash at the end', '/api/put/'),
  put('takes further segments', '/api/put/x/y'),
  put('takes version 1', '/api/v1/put'),
  put('takes version 1 in any case', '/api/V1/PUT/'),
  missing('/api/x', NOT_FOUND),
  missing('/api/', NOT_FOUND),
  missing('/api/v/put', NOT_FOUND),
  missing('/api//put', NOT_FOUND),
  missing('//api/put'),
  missing('/put'),
  { name: 'does not know version 2', path: '/api/v2/put', body: point(), status: 501, answer: NO_VERSION },
  { name: 'does not know version 99', path: '/api/v99/x', body: point(), status: 501, answer: NO_VERSION },
  ...['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD'].map((name) => method(name, '/api/put')),
  method('DELETE', '/api/version'),
  method('POST', '/api/dropcaches'),
  method('GET', '/api/rollup'),
  ...['/s/x.js', '/q', '/', '/favicon.ico', '/logs', '/diediedie', '/api/diediedie'].map((path) => ({
    ...missing(path, path.startsWith('/api/') ? NOT_FOUND : { error: 'not found' }),
    method: 'GET',
    body: undefined as never,
  })),
].map(({ body, ...c }) => (body === undefined ? c : { ...c, body }));

const ROLLUP = { interval: '"1h"', aggregator: '"sum"' };

function rollup(name: string, change: Readonly<Record<string, string>>, why: string): ProtocolCase {
  const answer = new RegExp(`^\\{"success":0,"failed":1,"errors":\\[.*"error":"${why}"\\}\\]\\}$`);
  return { name, path: '/api/rollup?details', body: point({ ...ROLLUP, ...change }), status: 400, answer };
}

export const REFUSED_POINT_CASES: readonly ProtocolCase[] = [
  rollup('refuses a rollup', {}, 'No rollup or aggregations were configured'),
  rollup('refuses a rollup without interval', { interval: '' }, 'Missing interval'),
  rollup('refuses a rollup with an empty interval', { interval: '""' }, 'Missing interval'),
  rollup('refuses a rollup without aggregator', { aggregator: 'null' }, 'Missing aggregator'),
  rollup(
    'refuses a pre-aggregate',
    { interval: '', aggregator: '', groupByAggregator: '"sum"' },
    'No rollup or aggregations were configured',
  ),
  rollup('names what is wrong with the point first', { value: '', interval: '' }, 'Empty value'),
  {
    name: 'never acknowledges a rollup',
    path: '/api/v1/rollup',
    body: `[${point(ROLLUP)}]`,
    status: 400,
    answer: envelope(
      400,
      'One or more data points had errors',
      'Please see the TSD logs or append "details" to the put request',
    ),
  },
  { name: 'refuses a rollup that is no JSON', path: '/api/rollup', body: '[{]', status: 400 },
  {
    name: 'refuses histograms',
    path: '/api/histogram',
    body: '{"metric":"METRIC","timestamp":1,"tags":{"h":"a"},"id":0,"value":"x"}',
    status: 503,
    answer: envelope(
      503,
      "Histogram storage has not been enabled. Check the 'tsd.core.histograms.config' configuration.",
    ),
  },
];

export const READ_CASES: readonly ProtocolCase[] = [
  get('tells its version', '/api/version', /^\{"version":"[^"]+",.*"timestamp":"\d+","repo_status":"MINT",/),
  get('tells its version under v1', '/api/v1/version', /^\{"version":/),
  get('tells its version to POST', '/api/version?jsonp=f', /^f\(\{"version":/),
  get(
    'tells its version as text',
    '/version',
    /^net\.opentsdb\.tools \S+ built at revision .*\nBuilt on .*\n$/,
  ),
  get('tells its version as JSON', '/version?json', /^\{"version":/),
  get('lists aggregators', '/api/aggregators', /^\["avg",.*"sum",/),
  get('lists aggregators at the old path', '/aggregators', /^\["avg",/),
  get('tells its settings', '/api/config', /^\{"tsd\.core\.auto_create_metrics":"true",/),
  get('tells no filters', '/api/config/filters', {}),
  get('tells that it is well', '/api/status', { status: 'ok' }),
  get('drops no caches', '/api/dropcaches', /^\{"status":"200","message":"/),
  { ...get('drops no caches by DELETE', '/api/dropcaches', /"status":"200"/), method: 'DELETE' },
  get('drops no caches at the old path', '/dropcaches', /^No caches to drop/),
  get(
    'tells statistics',
    '/api/stats',
    /^\[\{"metric":"tsd\.http\.requests","timestamp":\d+,"value":"\d+","tags":\{"host":"[^"]+"/,
  ),
  get('tells statistics as text', '/stats', /^tsd\.http\.requests \d+ \d+ host=\S+ route=\S+ status=\d+\n/),
  get('tells statistics as lines in JSON', '/stats?json', /^\["tsd\.http\.requests \d+ /),
  get(
    'refuses a serializer it has not',
    '/api/version?serializer=x',
    envelope(400, 'Requested serializer was not found'),
    400,
  ),
];

const SUGGEST = '/api/suggest';
const MISSING_TYPE = envelope(400, 'Missing parameter <code>type</code>');

/** After `SEED` was put. */
export const SEED = `[${['sys.cpu', 'sys.mem', 'net.rx']
  .map((metric, i) =>
    point({ metric: `"seed.${metric}"`, tags: `{"seedkey${i}":"seedvalue.${i}","seedhost":"seedvalue.a"}` }),
  )
  .join(',')}]`;

export const SUGGEST_CASES: readonly ProtocolCase[] = [
  get('suggests metrics', `${SUGGEST}?type=metrics&q=seed.sys`, ['seed.sys.cpu', 'seed.sys.mem']),
  get('suggests tag keys', `${SUGGEST}?type=tagk&q=seed`, ['seedhost', 'seedkey0', 'seedkey1', 'seedkey2']),
  get('suggests tag values', `${SUGGEST}?type=tagv&q=seedvalue.&max=2`, ['seedvalue.0', 'seedvalue.1']),
  get('suggests at the old path', '/suggest?type=metrics&q=seed.net', ['seed.net.rx']),
  get('suggests nothing for what it has not seen', `${SUGGEST}?type=metrics&q=seed.x`, []),
  get('tells big and small letters apart', `${SUGGEST}?type=metrics&q=Seed`, []),
  get('suggests as many as usual for max 0', `${SUGGEST}?type=metrics&q=seed.net&max=0`, ['seed.net.rx']),
  get('suggests to no callback', `${SUGGEST}?type=metrics&q=seed.net&jsonp=f`, ['seed.net.rx']),
  {
    name: 'suggests to POST',
    path: SUGGEST,
    body: '{"type":"metrics","q":"seed.","max":1}',
    status: 200,
    answer: ['seed.net.rx'],
  },
  get('wants a type', SUGGEST, MISSING_TYPE, 400),
  {
    name: 'wants a type in POST',
    path: SUGGEST,
    body: '{"__proto__":{"type":"metrics"}}',
    status: 400,
    answer: MISSING_TYPE,
  },
  get('wants a known type', `${SUGGEST}?type=x`, envelope(400, "Invalid 'type' parameter:x"), 400),
  get(
    'wants a number for max',
    `${SUGGEST}?type=metrics&max=x`,
    envelope(400, "Unable to parse 'max' as a number"),
    400,
  ),
  {
    name: 'wants JSON in POST',
    path: SUGGEST,
    body: '{',
    status: 400,
    answer: envelope(400, 'Unable to parse the given JSON'),
  },
];
