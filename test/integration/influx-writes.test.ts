import { describe, it } from 'node:test';
import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { startGateway, temporaryFolder } from '../helpers/gateway.ts';
import { type InfluxCase, testInfluxCases } from '../helpers/influx-cases.ts';

const V1 = '/write?db=d';
const V2 = '/api/v2/write?bucket=d&org=o';
const V3 = '/api/v3/write_lp?db=d';

/** A write to v1 that is stored as a whole. */
function good(name: string, body: string, stored: string, more: Partial<InfluxCase> = {}): InfluxCase {
  return { name, path: V1, body, status: 204, stored, ...more };
}

/** A line that v1 refuses for this reason, between two good ones. */
function bad(text: string, reason: string): InfluxCase {
  return {
    name: `refuses ${JSON.stringify(text)}`,
    path: V1,
    body: `$m v=1 1\n$m${text}\n$m v=3 3`,
    status: 400,
    answer: `${JSON.stringify({ error: `partial write: unable to parse '$m${text}': ${reason} dropped=1` })}\n`,
    stored: '[[1],[3]]',
  };
}

const LINES: readonly InfluxCase[] = [
  good('takes a comment with an odd quote', '# x="\n$m v=1 1', '[[1]]'),
  good('takes CRLF', '$m v=1 1\r\n$m v=2 2\r\n', '[[1],[2]]'),
  good('takes leading blanks', '  \t$m v=1 1', '[[1]]'),
  good('takes a byte order mark', '\ufeff$m v=1 1', '[[1]]'),
  good(
    'takes numbers as InfluxDB does',
    '$m v=5. 1\n$m v=.5 2\n$m v=-.5 3\n$m v=0005 4\n$m v=1e-400 5',
    '[[5],[0.5],[-0.5],[5],[0]]',
  ),
  good(
    'keeps the largest integers',
    '$m v=9223372036854775807i 1\n$m v=-9223372036854775808i 2',
    '[[9223372036854775807],[-9223372036854775808]]',
  ),
  good('keeps the largest unsigned integer', '$m v=18446744073709551615u 1', '[[18446744073709551615]]'),
  good(
    'takes every spelling of booleans',
    '$m v=t 1\n$m v=True 2\n$m v=TRUE 3\n$m v=f 4\n$m v=False 5',
    '[[true],[true],[true],[false],[false]]',
  ),
  good('keeps a line break in a string', '$m v="a\nb" 1', '[["a\\nb"]]'),
  good('resolves two escapes in strings', '$m v="a\\"b\\\\c\\n" 1', '[["a\\"b\\\\c\\\\n"]]'),
  good('keeps backslashes in tags', '$m,t=\\\\srv\\x v=1 1', '[["\\\\\\\\srv\\\\x"]]', { select: 't' }),
  good('resolves escapes in tags', '$m,t=a\\ b\\,c\\=d v=1 1', '[["a b,c=d"]]', { select: 't' }),
  good('takes the last of two values', '$m v=1,v=2 1', '[[2]]'),
  good('replaces a point field by field', '$m v=1,w=1 1\n$m v=2 1', '[[2,1]]', { select: 'v, w' }),
  good('takes times before 1970', '$m v=1 -1', '[[-1]]', { select: 'ns(time)' }),
  bad(' v=', 'missing field value'),
  bad(' v', 'invalid field format'),
  bad('', 'missing fields'),
  bad(',t= v=1', 'missing tag value'),
  bad(',=x v=1', 'missing tag key'),
  bad(',t=a=b v=1', 'invalid tag format'),
  bad(',t=a,t=b v=1', 'duplicate tags'),
  bad(' v=1e400', 'invalid number'),
  bad(' v=NaN', 'invalid number'),
  bad(' v=+1', 'invalid boolean'),
  bad(' v=0x1F', 'invalid number'),
  bad(' v=1_000', 'invalid number'),
  bad(' v=-1u', 'invalid number'),
  bad(' v="a"b', 'invalid field format'),
  bad(' v=1 1.5', 'bad timestamp'),
  bad(' v=1 1e9', 'bad timestamp'),
  bad(' v=1 2 3', 'point is invalid'),
];

const PRECISIONS: readonly InfluxCase[] = (
  [
    ['', '1'],
    ['n', '1'],
    ['ns', '1'],
    ['u', '1000'],
    ['us', '1000'],
    ['ms', '1000000'],
    ['s', '1000000000'],
    ['m', '60000000000'],
    ['h', '3600000000000'],
  ] as const
).flatMap(([unit, nanos]) =>
  [V1, V2].map((path) =>
    good(`reads precision=${unit} of ${path}`, '$m v=1 1', `[[${nanos}]]`, {
      path: `${path}&precision=${unit}`,
      select: 'ns(time)',
    }),
  ),
);

const CONFLICT =
  'field type conflict: input field "v" on measurement "$m" is type string, already exists as type float';

const WHOLE: readonly InfluxCase[] = [
  {
    name: 'v1 decides conflicts by the order of lines',
    path: V1,
    body: '$m v=1 1\n$m v="x" 2\n$m v=3 3',
    status: 400,
    answer: `${JSON.stringify({ error: `partial write: ${CONFLICT} dropped=1` })}\n`,
    stored: '[[1],[3]]',
  },
  {
    name: 'v2 answers conflicts with 422',
    path: V2,
    body: '$m v=1 1\n$m v="x" 2',
    status: 422,
    answer: `${JSON.stringify({ code: 'unprocessable entity', message: `failure writing points to database: partial write: ${CONFLICT} dropped=1` })}\n`,
    stored: '[[1]]',
    replies: { 'x-platform-error-code': 'unprocessable entity' },
  },
  {
    name: 'v2 tells the number of the line',
    path: V2,
    body: '$m v=1 1\n\n$m v=\n',
    status: 400,
    answer: `{"code":"invalid","message":"unable to parse '$m v=': missing field value","line":3}\n`,
    stored: '[[1]]',
    replies: { 'x-platform-error-code': 'invalid' },
  },
  { name: 'v2 takes an empty body', path: V2, body: '', status: 204 },
  {
    name: 'v2 takes orgID',
    path: '/api/v2/write?bucket=d&orgID=1',
    body: '$m v=1 1',
    status: 204,
    stored: '[[1]]',
  },
  {
    name: 'v2 wants a bucket',
    path: '/api/v2/write?org=o',
    body: '$m v=1',
    status: 404,
    answer: '{"code":"not found","message":"bucket not found"}\n',
  },
  {
    name: 'v2 makes a database of a bucket with a policy',
    path: '/api/v2/write?bucket=d/week',
    body: '$m v=1 1',
    status: 204,
    stored: '[[1]]',
    database: 'd/week',
  },
  {
    name: 'v2 refuses an unknown precision',
    path: `${V2}&precision=day`,
    body: '$m v=1',
    status: 400,
    answer: /^\{"code":"invalid","message":"invalid precision/,
  },
  {
    name: 'v1 refuses an unknown precision',
    path: `${V1}&precision=day`,
    body: '$m v=1',
    status: 400,
    answer: /^\{"error":"invalid precision/,
    replies: { 'x-influxdb-error': 'invalid precision "day" (use n, u, ms, s, m or h)' },
  },
  {
    name: 'v1 wants a database',
    path: '/write',
    body: '$m v=1',
    status: 400,
    answer: '{"error":"database is required"}\n',
  },
  ...['any', 'one', 'quorum', 'all'].map((level) =>
    good(`v1 takes consistency ${level}`, '$m v=1 1', '[[1]]', { path: `${V1}&consistency=${level}` }),
  ),
  {
    name: 'v1 refuses another consistency',
    path: `${V1}&consistency=most`,
    body: '$m v=1',
    status: 400,
    answer: '{"error":"invalid consistency level"}\n',
  },
  ...['autogen', 'default', "''"].map((rp) =>
    good(`v1 takes rp=${rp} for the database`, '$m v=1 1', '[[1]]', { path: `${V1}&rp=${rp}` }),
  ),
  good('v1 makes a database of a policy', '$m v=1 1', '[[1]]', { path: `${V1}&rp=week`, database: 'd/week' }),
];

const LINE = (table: string): string => `${table} v=1 1\n`;

/** One body of two lines in each encoding, to each version. `e` begins the names, as the cases are run below. */
const ENCODED = [V1, V2, V3].flatMap((path, p) =>
  (
    [
      ['gzip', (text: string) => gzipSync(text)],
      ['x-gzip', (text: string) => Buffer.concat([gzipSync(text), gzipSync(text.replace('1 1', '2 2'))])],
      ['GZIP', (text: string) => gzipSync(text)],
      ['deflate', (text: string) => deflateSync(text)],
      ['deflate', (text: string) => deflateRawSync(text)],
      ['identity', (text: string) => Buffer.from(text)],
    ] as const
  ).map(
    ([encoding, encode], i): InfluxCase => ({
      name: `${encoding} ${i} to ${path}`,
      path,
      body: encode(LINE(`e${p * 6 + i}`)),
      headers: { 'content-encoding': encoding },
      status: 204,
      stored: encoding === 'x-gzip' ? '[[1],[2]]' : '[[1]]',
    }),
  ),
);

const BOMB = gzipSync(Buffer.alloc(2 ** 20, 0x0a));
const TRUNCATED = gzipSync(LINE('x')).subarray(0, -4);
const REFUSED: readonly InfluxCase[] = (
  [
    [
      'gzip',
      BOMB,
      413,
      [
        /^\{"error":"Request Entity Too Large"\}\n$/,
        /"code":"request too large"/,
        /^max request size \(65536 bytes\) exceeded$/,
      ],
    ],
    [
      'gzip',
      TRUNCATED,
      400,
      [
        /^\{"error":"unexpected EOF"\}\n$/,
        /"code":"invalid","message":"unexpected EOF"/,
        /^\{"error":"unexpected EOF"\}\n$/,
      ],
    ],
    [
      'br',
      Buffer.from(LINE('x')),
      400,
      [
        /^\{"error":"unsupported content encoding"\}\n$/,
        /"code":"invalid"/,
        /^\{"error":"unsupported content encoding"\}\n$/,
      ],
    ],
    [
      'deflate',
      Buffer.from([0xff, 0xff, 0xff]),
      400,
      [/^\{"error":"corrupt compressed body"\}\n$/, /"code":"invalid"/, /^\{"error":"corrupt/],
    ],
  ] as const
).flatMap(([encoding, body, status, answers]) =>
  [V1, V2, V3].map((path, i) => ({
    name: `${encoding} answered by ${path} with ${status}: ${answers[i]}`,
    path,
    body,
    headers: { 'content-encoding': encoding },
    status,
    answer: answers[i] as RegExp,
  })),
);

describe("InfluxDB's write endpoints on the real process", () => {
  it('answer and store as the protocol says', async (t) => {
    const env = { SLUICE_LIMITS_BODY_BYTES: '65536', SLUICE_LIMITS_INFLATED_BYTES: '65536' };
    const gateway = await startGateway(t, temporaryFolder(t), env);
    await testInfluxCases(t, gateway, 'a', LINES);
    await testInfluxCases(t, gateway, 'p', PRECISIONS);
    await testInfluxCases(t, gateway, 'w', WHOLE);
    await testInfluxCases(t, gateway, 'e', ENCODED);
    await testInfluxCases(t, gateway, 'r', REFUSED);
  });
});
