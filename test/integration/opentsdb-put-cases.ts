/** `/api/put` by OpenTSDB's rules: what is taken, what is refused, and with which words. */
import { deflateSync, gzipSync } from 'node:zlib';
import type { ProtocolCase } from '../helpers/protocol-cases.ts';

/** One point as JSON, with some members replaced by other JSON text; an empty text leaves the member out. */
export function point(change: Readonly<Record<string, string>> = {}): string {
  const members = { metric: '"METRIC"', timestamp: '1700000000', value: '42', tags: '{"h":"a"}', ...change };
  const shown = Object.entries(members).filter(([, text]) => text !== '');
  return `{${shown.map(([name, text]) => `"${name}":${text}`).join(',')}}`;
}

/** The envelope of an error. */
export function envelope(code: number, message: string, details?: string): unknown {
  return { error: details === undefined ? { code, message } : { code, message, details } };
}

const SOME_FAILED = envelope(
  400,
  'One or more data points had errors',
  'Please see the TSD logs or append "details" to the put request',
);
const ONE = '[[42]]';
const TIMES = { columns: 'time, value' };

function taken(name: string, body: string, more: Partial<ProtocolCase> = {}): ProtocolCase {
  return { name, path: '/api/put', body, status: 204, answer: undefined, stored: ONE, ...more };
}

function stored(name: string, value: string, read: string): ProtocolCase {
  return taken(name, point({ value }), { stored: `[[${read}]]` });
}

function timed(name: string, timestamp: string, nanoseconds: string): ProtocolCase {
  return taken(name, point({ timestamp }), { ...TIMES, stored: `[[${nanoseconds},42]]` });
}

/** A point that is refused beside a good one of the same metric, which is stored. */
function refused(name: string, change: Readonly<Record<string, string>>, why: string): ProtocolCase {
  const answer = new RegExp(
    `^\\{"success":1,"failed":1,"errors":\\[\\{"datapoint":.*,"error":${escape(JSON.stringify(why))}\\}\\]\\}$`,
  );
  const body = `[${point(change)},${point()}]`;
  return { name, path: '/api/put?details', body, status: 400, answer, stored: ONE };
}

function escape(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

function whole(name: string, body: string, message: string): ProtocolCase {
  const answer = new RegExp(`^\\{"error":\\{"code":400,"message":${escape(JSON.stringify(message))}`);
  return { name, path: '/api/put', body: body.replace('GOOD', point()), status: 400, answer };
}

const NOT_JSON = 'Unable to parse the given JSON';
const NO_START = 'The JSON must start as an object or an array';
const NO_NUMBER = 'Unable to parse value to a number';
const tags = (count: number): string =>
  `{${Array.from({ length: count }, (_, i) => `"t${i}":"v"`).join(',')}}`;

const GZIP: Partial<ProtocolCase> = {
  headers: { 'content-encoding': 'gzip' },
  encode: (body) => new Uint8Array(gzipSync(body)),
};

export const VALUE_CASES: readonly ProtocolCase[] = [
  taken('takes a point', point()),
  taken('takes an array', `[${point()}\n,${point({ timestamp: '1700000001' })}]`, {
    stored: '[[42],[42]]',
  }),
  stored('takes a float', '4.25', '4.25'),
  stored('takes a negative number', '-7', '-7'),
  stored('takes an exponent', '1e3', '1000'),
  stored('takes text of an integer', '"17"', '17'),
  stored('takes text with a plus', '"+17"', '17'),
  stored('takes text with zeros in front', '"0042"', '42'),
  stored('takes text that begins with a point', '".5"', '0.5'),
  stored('takes text that ends with a point', '"5."', '5'),
  timed('reads seconds', '1700000000', '1700000000000000000'),
  timed('reads milliseconds', '1700000000123', '1700000000123000000'),
  timed('reads the last second of 32 bits', '4294967295', '4294967295000000000'),
  timed('reads the first millisecond beyond', '4294967296', '4294967296000000'),
  timed('cuts a fraction', '1700000000.987', '1700000000000000000'),
  timed('reads digits as text', '" 1700000000 "', '1700000000000000000'),
  timed('reads an exponent as time', '1.7e9', '1700000000000000000'),
  taken('takes tag values that are no strings', point({ tags: '{"h":1.50}' }), {
    columns: 'h, value',
    stored: '[["1.50",42]]',
  }),
  taken('takes letters of all alphabets', point({ tags: '{"h":"é中ª"}' }), {
    columns: 'h, value',
    stored: '[["é中ª",42]]',
  }),
  taken('takes eight tags', point({ tags: tags(8) })),
  taken('lets the last of two equal members win', point().replace('{"metric"', '{"value":1,"metric"')),
  taken('passes members it does not know', point({ extra: '{"deep":[[1,{"a":null}]]}' })),
  taken('writes the later of two equal points', `[${point({ value: '1' })},${point()}]`),
];

export const REFUSED_CASES: readonly ProtocolCase[] = [
  refused('refuses a missing metric', { metric: '' }, 'Metric name was empty'),
  refused('refuses an empty metric', { metric: '""' }, 'Metric name was empty'),
  refused('refuses a missing time', { timestamp: '' }, 'Invalid timestamp'),
  refused('refuses time 0', { timestamp: '0' }, 'Invalid timestamp'),
  refused('refuses a negative time', { timestamp: '-5' }, 'Invalid timestamp'),
  refused('refuses a missing value', { value: '' }, 'Empty value'),
  refused('refuses a value of null', { value: 'null' }, 'Empty value'),
  refused('refuses missing tags', { tags: '' }, 'Missing tags'),
  refused('refuses tags of null', { tags: 'null' }, 'Missing tags'),
  refused('refuses empty tags', { tags: '{}' }, 'Missing tags'),
  refused('refuses a word', { value: '"fast"' }, NO_NUMBER),
  refused('refuses true', { value: 'true' }, NO_NUMBER),
  refused('refuses NaN', { value: 'NaN' }, NO_NUMBER),
  refused('refuses Infinity', { value: '-Infinity' }, NO_NUMBER),
  refused('refuses a suffix of Java', { value: '"1.5f"' }, NO_NUMBER),
  refused('refuses hexadecimal', { value: '"0x10"' }, NO_NUMBER),
  refused('refuses an underscore', { value: '"1_0"' }, NO_NUMBER),
  refused('refuses an integer beyond 64 bits', { value: '9223372036854775808' }, NO_NUMBER),
  refused(
    'refuses what is too large for a float',
    { value: '1e400' },
    'value is NaN or Infinite: Infinity for metric=METRIC timestamp=1700000000',
  ),
  refused(
    'refuses microseconds',
    { timestamp: '1700000000123456' },
    'bad timestamp=1700000000123456 when trying to add value=42 to metric=METRIC, tags={h=a}',
  ),
  refused(
    'refuses a ninth tag',
    { tags: tags(9) },
    `Too many tags: 9 maximum allowed: 8, tags: ${tags(9).replaceAll('"', '').replaceAll(':', '=').replaceAll(',', ', ')}`,
  ),
  refused('refuses a semicolon', { metric: '"a;b"' }, 'Invalid metric name ("a;b"): illegal character: ;'),
  refused(
    'refuses a blank in a tag key',
    { tags: '{"k k":"v"}' },
    'Invalid tag name with value [v] ("k k"): illegal character:  ',
  ),
  refused('refuses an empty tag value', { tags: '{"k":""}' }, 'Invalid tag value with key [k]: empty string'),
  refused('refuses a tag value of null', { tags: '{"k":null}' }, 'Invalid tag value with key [k]: null'),
].map((c) => ({ ...c, answer: new RegExp((c.answer as RegExp).source.replaceAll('METRIC', '[\\w.]+')) }));

export const BODY_CASES: readonly ProtocolCase[] = [
  whole('refuses an empty body', '', 'Missing request content'),
  whole('refuses white space', ' \n\t', 'Missing request content'),
  whole('refuses an empty array', '[\n\n]\n', 'No datapoints found in content'),
  whole('refuses null', 'null', NO_START),
  whole('refuses a number', '1', NO_START),
  whole('refuses a string', '"x"', NO_START),
  whole('refuses a byte order mark', '\ufeff{}', NO_START),
  whole('refuses a second object behind the first', 'GOOD{}', NOT_JSON),
  whole('refuses an unfinished array', '[GOOD', NOT_JSON),
  whole('refuses a comma at the end', '[GOOD,]', NOT_JSON),
  whole('refuses a number in the array', '[GOOD,1]', NOT_JSON),
  whole('refuses an array in the array', '[GOOD,[]]', NOT_JSON),
  whole('refuses tags that are an array', `[GOOD,${point({ tags: '[]' })}]`, NOT_JSON),
  whole('refuses a value that is an object', `[GOOD,${point({ value: '{}' })}]`, NOT_JSON),
  whole('refuses a time that is a word', `[GOOD,${point({ timestamp: '"now"' })}]`, NOT_JSON),
  whole('refuses a time that is a fraction in quotes', `[GOOD,${point({ timestamp: '"1.5"' })}]`, NOT_JSON),
  whole('refuses a number with a zero in front', `[GOOD,${point({ value: '042' })}]`, NOT_JSON),
  whole('refuses single quotes', `[GOOD,{'metric':'m'}]`, NOT_JSON),
  whole('refuses deep nesting', `[GOOD,{"x":${'['.repeat(5_000)}${']'.repeat(5_000)}}]`, NOT_JSON),
  taken('inflates gzip', point(), GZIP),
  taken('inflates deflate', point(), {
    headers: { 'content-encoding': 'deflate' },
    encode: (body) => new Uint8Array(deflateSync(body)),
  }),
  taken('reads Latin-1', point({ tags: '{"h":"é"}' }), {
    headers: { 'content-type': 'application/json; charset=ISO-8859-1' },
    encode: (body) => new Uint8Array(Buffer.from(body, 'latin1')),
    columns: 'h',
    stored: '[["é"]]',
  }),
  taken('ignores the content type', point(), {
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  }),
  {
    ...whole('refuses what is no gzip', 'GOOD', 'gzip: invalid header'),
    headers: { 'content-encoding': 'gzip' },
    answer: /^\{"error":\{"code":400,/,
  },
  {
    ...whole('refuses an unknown encoding', 'GOOD', 'unsupported content encoding'),
    headers: { 'content-encoding': 'br' },
  },
  {
    ...whole('refuses an unknown charset', 'GOOD', 'Unsupported charset'),
    headers: { 'content-type': 'x; charset=martian' },
  },
];

/** Bodies as the agents write them. */
export const CLIENT_CASES: readonly ProtocolCase[] = [
  taken('takes what Telegraf sends', `[${point({ value: '1.5' })}\n,${point({ timestamp: '1700000001' })}]`, {
    ...GZIP,
    stored: '[[1.5],[42]]',
  }),
  taken(
    'refuses one point for a number of Telegraf beyond 64 bits',
    `[${point({ value: '18446744073709551615' })}\n,${point()}]`,
    { ...GZIP, status: 400, answer: SOME_FAILED },
  ),
  taken('takes a body in chunks', `[${point()},${point({ timestamp: '1700000001' })}]`, {
    encode: (body) => new Blob([body.slice(0, 50), body.slice(50)]).stream(),
    stored: '[[42],[42]]',
  }),
  taken('takes what netdata sends', `[\n${point()},\n${point({ timestamp: '1700000001' })}\n]\n`, {
    stored: '[[42],[42]]',
  }),
  whole('refuses the empty list of netdata', '[\n\n]\n', 'No datapoints found in content'),
  taken('takes what tcollector sends', `[${point({ value: '42.0', timestamp: '1700000000' })}]`, {
    path: '/api/put?details',
    status: 200,
    answer: { success: 1, failed: 0, errors: [] },
  }),
  taken('takes what scollector sends', `[${point()}]`, { ...GZIP, path: '/api/put' }),
];

const MIXED = `[${point({ tags: '{}' })},${point()}]`;

export const PARAMETER_CASES: readonly ProtocolCase[] = [
  taken('answers a summary', point(), {
    path: '/api/put?summary',
    status: 200,
    answer: { success: 1, failed: 0 },
  }),
  taken('answers details, whatever their value', point(), {
    path: '/api/put?details=false',
    status: 200,
    answer: { success: 1, failed: 0, errors: [] },
  }),
  taken('answers a mixed batch', MIXED, { status: 400, answer: SOME_FAILED }),
  taken('answers a mixed batch with a summary', MIXED, {
    path: '/api/put?summary=true',
    status: 400,
    answer: { success: 1, failed: 1 },
  }),
  taken('answers null among the points', `[null,${point()}]`, {
    path: '/api/put?details',
    status: 400,
    answer: {
      success: 1,
      failed: 1,
      errors: [{ datapoint: null, error: 'Unexpected null datapoint encountered in set.' }],
    },
  }),
  taken('waits with sync', point(), { path: '/api/put?sync' }),
  taken('tells of no timeouts', point(), {
    path: '/api/put?sync&sync_timeout=60000&summary',
    status: 200,
    answer: { success: 1, failed: 0, timeouts: 0 },
  }),
  taken('takes sync_timeout 0 as none', point(), { path: '/api/put?sync_timeout=0' }),
  taken('takes a negative sync_timeout as none', point(), { path: '/api/put?sync_timeout=-1' }),
  taken('takes the last of two equal parameters', point(), {
    path: '/api/put?sync_timeout=x&sync_timeout=0',
  }),
  {
    name: 'refuses a sync_timeout that is no number',
    path: '/api/put?sync_timeout=soon',
    body: point(),
    status: 400,
    answer: envelope(400, 'For input string: "soon"'),
  },
  {
    name: 'refuses another serializer',
    path: '/api/put?serializer=x',
    body: point(),
    status: 400,
    answer: envelope(400, 'Requested serializer was not found'),
  },
  taken('knows the serializer json', point(), { path: '/api/put?serializer=json' }),
  taken('calls back with a summary', point(), {
    path: '/api/put?summary&jsonp=cb.x',
    status: 200,
    answer: /^cb\.x\(\{"success":1,"failed":0\}\)$/,
  }),
  taken('calls back with an error', MIXED, {
    path: '/api/put?jsonp=cb',
    status: 400,
    answer: /^cb\(\{"error":.*\}\)$/,
  }),
  taken('does not call back with nothing', point(), { path: '/api/put?jsonp=cb' }),
  taken('ignores an empty callback', point(), {
    path: '/api/put?summary&jsonp=',
    status: 200,
    answer: { success: 1, failed: 0 },
  }),
  taken('ignores a callback that could be code', point(), {
    path: '/api/put?summary&jsonp=alert(1)//',
    status: 200,
    answer: { success: 1, failed: 0 },
  }),
  {
    name: 'refuses extra labels',
    path: '/api/put?extra_label=k=v',
    body: point(),
    status: 400,
    answer: envelope(400, 'extra_label is not supported; let the sender set the tag'),
  },
  taken('has no databases', point(), {
    path: '/api/put?db=other',
    headers: { 'x-greptime-db-name': 'other' },
  }),
];
