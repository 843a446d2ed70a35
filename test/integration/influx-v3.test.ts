import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { post, startGateway, temporaryFolder } from '../helpers/gateway.ts';
import { type InfluxCase, testInfluxCases } from '../helpers/influx-cases.ts';

const V3 = '/api/v3/write_lp?db=d';
const PARTIAL = 'partial write of line protocol occurred';
const PARSING = 'line protocol parsing error';

function lines(error: string, data: unknown): string {
  return `${JSON.stringify({ error, data })}\n`;
}

function line(message: string, number: number, start: string): object {
  return { error_message: message, line_number: number, original_line: start };
}

const TIMES: readonly InfluxCase[] = (
  [
    ['', '1700000000', '1700000000000000000'],
    ['', '1700000000123', '1700000000123000000'],
    ['', '1700000000123456', '1700000000123456000'],
    ['', '1700000000123456789', '1700000000123456789'],
    ['auto', '4999999999', '4999999999000000000'],
    ['auto', '5000000000', '5000000000000000'],
    ['s', '5', '5000000000'],
    ['second', '5', '5000000000'],
    ['ms', '5', '5000000'],
    ['millisecond', '5', '5000000'],
    ['u', '5', '5000'],
    ['us', '5', '5000'],
    ['microsecond', '5', '5000'],
    ['n', '5', '5'],
    ['ns', '5', '5'],
    ['nanosecond', '5', '5'],
    ['nanosecond', '-5', '-5'],
  ] as const
).map(([precision, time, nanos]) => ({
  name: `reads ${time} in ${precision || 'no precision'} as ${nanos}`,
  path: `${V3}&precision=${precision}`,
  body: `$m v=1 ${time}`,
  status: 204,
  select: 'ns(time)',
  stored: `[[${nanos}]]`,
}));

const PARAMETERS: readonly InfluxCase[] = [
  { name: 'stores all', path: V3, body: '$m v=1 1\n$m v=2 2', status: 204, stored: '[[1],[2]]' },
  {
    name: 'wants db',
    path: '/api/v3/write_lp',
    body: '$m v=1',
    status: 400,
    answer: "missing query parameter 'db'",
  },
  {
    name: 'takes an empty db for none',
    path: '/api/v3/write_lp?db=',
    body: '$m v=1',
    status: 400,
    answer: "missing query parameter 'db'",
  },
  ...['m', 'h', 'minute', 'S', 'x'].map((precision) => ({
    name: `refuses precision ${precision}`,
    path: `${V3}&precision=${precision}`,
    body: '$m v=1',
    status: 400,
    answer: /^invalid precision/,
  })),
  ...['accept_partial', 'no_sync'].map((flag) => ({
    name: `refuses ${flag}=yes`,
    path: `${V3}&${flag}=yes`,
    body: '$m v=1',
    status: 400,
    answer: `parameter '${flag}' must be true or false`,
  })),
  ...['_d', '-d', 'd%20e', 'd%22', 'd/', 'd/e/f', '%C3%A9', 'a%00', 'x'.repeat(512)].map((name) => ({
    name: `refuses the database ${name.slice(0, 20)}`,
    path: `/api/v3/write_lp?db=${name}`,
    body: '$m v=1',
    status: 400,
    answer: /^\{"error":"invalid character in database or rp name: /,
  })),
  {
    name: 'takes a database with a policy',
    path: '/api/v3/write_lp?db=d/week',
    body: '$m v=1 1',
    status: 204,
    stored: '[[1]]',
    database: 'd/week',
  },
  ...['true', 'false'].map((value) => ({
    name: `stores with no_sync=${value}`,
    path: `${V3}&no_sync=${value}`,
    body: '$m v=1 1',
    status: 204,
    stored: '[[1]]',
  })),
  ...['GET', 'PUT', 'DELETE', 'PATCH'].map((method) => ({
    name: `refuses ${method}`,
    path: V3,
    method,
    status: 405,
    answer: '{"error":"Method not allowed"}\n',
    replies: { allow: 'POST, OPTIONS' },
  })),
  { name: 'answers OPTIONS', path: V3, method: 'OPTIONS', status: 204 },
  { name: 'answers no lines', path: V3, body: '', status: 400, answer: 'incoming write was empty' },
  {
    name: 'answers blank lines',
    path: V3,
    body: '\n\n  \n',
    status: 400,
    answer: 'incoming write was empty',
  },
  {
    name: 'answers comments only',
    path: V3,
    body: '# x="\n',
    status: 400,
    answer: 'incoming write was empty',
  },
];

const BAD: readonly InfluxCase[] = [
  {
    name: 'stores the good lines and lists the bad one',
    path: V3,
    body: '$m v=1 1\n$m v=\n$m v=3 3',
    status: 400,
    answer: lines(PARTIAL, [line('missing field value', 2, '$m v=')]),
    stored: '[[1],[3]]',
  },
  {
    name: 'counts comments and blank lines',
    path: V3,
    body: '# c\n\n$m v=1 1\n\n$m x',
    status: 400,
    answer: lines(PARTIAL, [line('invalid field format', 5, '$m x')]),
    stored: '[[1]]',
  },
  {
    name: 'lists every line when all are bad',
    path: V3,
    body: 'a\nb c',
    status: 400,
    answer: lines(PARTIAL, [line('missing fields', 1, 'a'), line('invalid field format', 2, 'b c')]),
  },
  {
    name: 'shows 20 bytes of a line',
    path: V3,
    body: `${'x'.repeat(30)} v`,
    status: 400,
    answer: lines(PARTIAL, [line('invalid field format', 1, 'x'.repeat(20))]),
  },
  {
    name: 'cuts between characters',
    path: V3,
    body: `${'x'.repeat(19)}é v`,
    status: 400,
    answer: lines(PARTIAL, [line('invalid field format', 1, 'x'.repeat(19))]),
  },
  {
    name: 'takes a return for the end of a line',
    path: V3,
    body: 'a\r\n$m v=1 1\r\n',
    status: 400,
    answer: lines(PARTIAL, [line('missing fields', 1, 'a')]),
    stored: '[[1]]',
  },
  {
    name: 'refuses a field named twice',
    path: V3,
    body: '$m v=1,v=2 1\n$m v=3 3',
    status: 400,
    answer: lines(PARTIAL, [line("multiple instances of 'v' field found", 1, '$m v=1,v=2 1')]),
    stored: '[[3]]',
  },
  {
    name: 'refuses a field named twice in a known spelling',
    path: V3,
    body: '$m v=3 3\n$m v=1,v=2 1',
    status: 400,
    answer: lines(PARTIAL, [line("multiple instances of 'v' field found", 2, '$m v=1,v=2 1')]),
    stored: '[[3]]',
  },
  {
    name: 'lists a type conflict with its line',
    path: V3,
    body: '$m v=1 1\n\n$m v="x" 2',
    status: 400,
    answer:
      /"error_message":"field type conflict: .+ type string, already exists as type float","line_number":3,"original_line":"c\d v=\\"x\\" 2"\}\]\}\n$/,
    stored: '[[1]]',
  },
  {
    name: 'sorts malformed lines and conflicts',
    path: V3,
    body: '$m v=1 1\n$m v="x" 2\n$m v=\n',
    status: 400,
    answer: /"line_number":2,.+"line_number":3,/,
    stored: '[[1]]',
  },
  {
    name: 'refuses all for a bad line',
    path: `${V3}&accept_partial=false`,
    body: '$m v=1 1\n$m v=',
    status: 400,
    answer: lines(PARSING, line('missing field value', 2, '$m v=')),
  },
  {
    name: 'stores all good lines',
    path: `${V3}&accept_partial=false`,
    body: '$m v=1 1\n$m v=2 2',
    status: 204,
    stored: '[[1],[2]]',
  },
  {
    name: 'stores nothing beside a conflict',
    path: `${V3}&accept_partial=false`,
    body: '$m v=1 1\n$m v="x" 2',
    status: 400,
    answer:
      /^\{"error":"line protocol parsing error","data":\{"error_message":"field type conflict.+"line_number":2,/,
    stored: '[]',
  },
  {
    name: 'refuses a body that is not UTF-8',
    path: V3,
    body: Buffer.from([0x6d, 0xff, 0x20, 0x76, 0x3d, 0x31]),
    status: 400,
    answer: '{"error":"body content is not valid utf8"}\n',
  },
  {
    name: 'refuses an unknown encoding',
    path: V3,
    body: '$m v=1',
    headers: { 'content-encoding': 'br' },
    status: 400,
    answer: '{"error":"unsupported content encoding"}\n',
  },
  {
    name: 'refuses what is no gzip',
    path: V3,
    body: '$m v=1',
    headers: { 'content-encoding': 'gzip' },
    status: 400,
    answer: '{"error":"gzip: invalid header"}\n',
  },
  {
    name: 'echoes no phrase that makes clients loop',
    path: V3,
    body: 'database\\ not\\ found',
    status: 400,
    answer: /missing fields/,
  },
  {
    name: 'refuses a body that is too large',
    path: V3,
    body: 'x'.repeat(65_537),
    status: 413,
    answer: 'max request size (65536 bytes) exceeded',
  },
];

describe("InfluxDB 3's write endpoint", () => {
  it('answers and stores as its documentation says', async (t) => {
    const gateway = await startGateway(t, temporaryFolder(t), { SLUICE_LIMITS_BODY_BYTES: '65536' });
    await testInfluxCases(t, gateway, 'a', TIMES);
    await testInfluxCases(t, gateway, 'b', PARAMETERS);
    await testInfluxCases(t, gateway, 'c', BAD);
    await t.test('lists 100 lines and counts the rest', async () => {
      const { text } = await post(gateway.url + V3, 'x\n'.repeat(150));
      const { data } = JSON.parse(text) as { data: { error_message: string }[] };
      assert.deepEqual([data.length, data[99]?.error_message], [100, 'missing fields (and 50 more)']);
    });
  });
});
