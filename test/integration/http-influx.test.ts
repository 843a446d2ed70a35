import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { deferAll, rejectFirst, type Script, storeAll } from '../helpers/fake-ingest.ts';
import { MAX_BODY_BYTES, startServer } from '../helpers/http-server.ts';

const V1 = '/write?db=d';
const V2 = '/api/v2/write?bucket=b';
const GOOD = 'cpu,h=a v=1 1700000000000000000\n';
const BAD = 'cpu v=\n';

interface WriteCase {
  readonly name: string;
  readonly path: string;
  readonly body?: string | Buffer;
  readonly headers?: Record<string, string>;
  readonly script?: Script;
  readonly strict?: boolean;
  readonly status: number;
  /** The whole answer, or a pattern of its text. */
  readonly json?: unknown;
  readonly text?: RegExp;
  readonly rows: number;
  readonly database?: string;
}

const CASES: readonly WriteCase[] = [
  { name: 'v1 answers stored lines with 204', path: V1, body: GOOD, status: 204, rows: 1, database: 'd' },
  { name: 'v1 answers an empty body with 204', path: V1, body: '', status: 204, rows: 0 },
  { name: 'v1 answers a comment with 204', path: V1, body: '# x="\n', status: 204, rows: 0 },
  {
    name: 'v1 stores the good lines beside a bad one',
    path: V1,
    body: BAD + GOOD,
    status: 400,
    text: /^\{"error":"partial write: unable to parse 'cpu v=': .+ dropped=1"\}\n$/,
    rows: 1,
  },
  {
    name: 'v1 lists every line when none is good',
    path: V1,
    body: `${BAD}cpu\n`,
    status: 400,
    text: /^\{"error":"unable to parse 'cpu v=': [^\\]+\\nunable to parse 'cpu': [^\\]+"\}\n$/,
    rows: 0,
  },
  {
    name: 'v1 answers a refused row with 400',
    path: V1,
    body: GOOD + GOOD,
    script: rejectFirst('field type conflict: x'),
    status: 400,
    json: { error: 'partial write: field type conflict: x dropped=1' },
    rows: 2,
  },
  {
    name: 'v1 asks to try again when rows are held back, without a word that makes Telegraf drop them',
    path: V1,
    body: BAD + GOOD,
    script: deferAll('database not found: partial write', 1),
    status: 503,
    json: { error: 'service unavailable, try again' },
    rows: 1,
  },
  {
    name: 'v1 wants a database',
    path: '/write',
    body: GOOD,
    status: 400,
    json: { error: 'database is required' },
    rows: 0,
  },
  {
    name: 'v1 takes an empty database for none',
    path: '/write?db=',
    body: GOOD,
    status: 400,
    json: { error: 'database is required' },
    rows: 0,
  },
  {
    name: 'v1 refuses NUL in a database',
    path: '/write?db=a%00b',
    body: GOOD,
    status: 400,
    json: { error: 'invalid database name' },
    rows: 0,
  },
  {
    name: 'v1 looks at the precision first',
    path: '/write?precision=x%22',
    body: GOOD,
    status: 400,
    json: { error: 'invalid precision "x\\"" (use n, u, ms, s, m or h)' },
    rows: 0,
  },
  {
    name: 'v1 checks the consistency',
    path: `${V1}&consistency=most`,
    body: GOOD,
    status: 400,
    json: { error: 'invalid consistency level' },
    rows: 0,
  },
  {
    name: 'v1 keeps the default policy out of the name',
    path: `${V1}&rp=autogen`,
    body: GOOD,
    status: 204,
    rows: 1,
    database: 'd',
  },
  {
    name: 'v1 makes a database of another policy',
    path: `${V1}&rp=week`,
    body: GOOD,
    status: 204,
    rows: 1,
    database: 'd/week',
  },
  {
    name: 'v1 ignores credentials',
    path: `${V1}&u=me&p=secret`,
    body: GOOD,
    status: 204,
    rows: 1,
    database: 'd',
  },
  {
    name: 'v1 never reads the body as a form',
    path: V1,
    body: GOOD,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    status: 204,
    rows: 1,
  },
  {
    name: 'v1 takes gzip of several members',
    path: V1,
    body: Buffer.concat([gzipSync(GOOD), gzipSync(GOOD)]),
    headers: { 'content-encoding': 'x-gzip' },
    status: 204,
    rows: 2,
  },
  {
    name: 'v1 answers what is no gzip with 400',
    path: V1,
    body: GOOD,
    headers: { 'content-encoding': 'gzip' },
    status: 400,
    json: { error: 'gzip: invalid header' },
    rows: 0,
  },
  {
    name: 'v1 answers a body that is too large with 413',
    path: V1,
    body: Buffer.alloc(MAX_BODY_BYTES + 1, 0x0a),
    status: 413,
    json: { error: 'Request Entity Too Large' },
    rows: 0,
  },
  {
    name: 'v1 echoes no phrase that makes Telegraf loop',
    path: V1,
    body: 'database not found v=\n',
    status: 400,
    text: /^\{"error":"unable to parse '\(redacted\) v=': .+"\}\n$/,
    rows: 0,
  },
  { name: 'v2 answers stored lines with 204', path: V2, body: GOOD, status: 204, rows: 1, database: 'b' },
  {
    name: 'v2 takes db for a missing bucket',
    path: '/api/v2/write?db=x&org=o',
    body: GOOD,
    status: 204,
    rows: 1,
    database: 'x',
  },
  {
    name: 'v2 takes a bucket with the default policy',
    path: '/api/v2/write?bucket=d/autogen',
    body: GOOD,
    status: 204,
    rows: 1,
    database: 'd',
  },
  {
    name: 'v2 takes a bucket with another policy',
    path: '/api/v2/write?bucket=d%2Fweek',
    body: GOOD,
    status: 204,
    rows: 1,
    database: 'd/week',
  },
  {
    name: 'v2 wants a bucket',
    path: '/api/v2/write',
    body: GOOD,
    status: 404,
    json: { code: 'not found', message: 'bucket not found' },
    rows: 0,
  },
  {
    name: 'v2 refuses an unknown precision',
    path: `${V2}&precision=d`,
    body: GOOD,
    status: 400,
    json: { code: 'invalid', message: 'invalid precision; valid precision units are ns, us, ms, and s' },
    rows: 0,
  },
  {
    name: 'v2 tells the first bad line and stores the good ones',
    path: V2,
    body: `${GOOD}\n${BAD}${GOOD}`,
    status: 400,
    text: /^\{"code":"invalid","message":"unable to parse 'cpu v=': .+","line":3\}\n$/,
    rows: 2,
  },
  {
    name: 'v2 stores nothing beside a bad line when it is strict',
    path: V2,
    body: GOOD + BAD,
    strict: true,
    status: 400,
    text: /^\{"code":"invalid","message":"unable to parse 'cpu v=': .+","line":2\}\n$/,
    rows: 0,
  },
  {
    name: 'v2 answers a refused row with 422',
    path: V2,
    body: GOOD + GOOD,
    script: rejectFirst('field type conflict: x'),
    status: 422,
    json: {
      code: 'unprocessable entity',
      message: 'failure writing points to database: partial write: field type conflict: x dropped=1',
    },
    rows: 2,
  },
  {
    name: 'v2 asks to try again when rows are held back',
    path: V2,
    body: GOOD,
    script: deferAll('table m is being created', 1),
    status: 503,
    json: { code: 'unavailable', message: 'service unavailable, try again: table m is being created' },
    rows: 1,
  },
  {
    name: 'v2 answers a body that is too large with 413',
    path: V2,
    body: Buffer.alloc(MAX_BODY_BYTES + 1, 0x0a),
    status: 413,
    json: { code: 'request too large', message: 'unable to read data: points batch is too large' },
    rows: 0,
  },
];

describe('the write endpoints of InfluxDB', () => {
  for (const c of CASES) {
    it(c.name, async (t) => {
      const server = await startServer(t, { strictBatches: c.strict ?? false });
      server.ingest.script = c.script ?? storeAll;
      const reply = await fetch(server.url + c.path, {
        method: 'POST',
        ...(c.body === undefined ? {} : { body: c.body }),
        ...(c.headers === undefined ? {} : { headers: c.headers }),
      });
      const text = await reply.text();
      assert.equal(reply.status, c.status, text);
      if (c.status === 204) assert.deepEqual([text, reply.headers.get('content-length')], ['', '0']);
      else if (c.text !== undefined) assert.match(text, c.text);
      else assert.equal(text, `${JSON.stringify(c.json)}\n`);
      assert.equal(server.ingest.submissions.flatMap((s) => s.rows).length, c.rows);
      if (c.database !== undefined) assert.equal(server.ingest.submissions[0]?.database, c.database);
      assert.equal(server.ingest.lent, 0);
      assert.equal(reply.headers.get('retry-after'), c.status === 503 ? '1' : null);
      assert.equal(reply.headers.get('x-influxdb-version'), '1.8.10');
      assert.equal(reply.headers.get('x-influxdb-build'), 'OSS');
      assert.match(reply.headers.get('x-request-id') ?? '', /^[0-9a-f-]{36}$/);
      const code =
        c.status >= 400 && c.path.startsWith('/api') ? (JSON.parse(text) as { code: string }).code : null;
      assert.equal(reply.headers.get('x-platform-error-code'), code);
      assert.equal(reply.headers.has('x-influxdb-error'), c.status >= 400 && !c.path.startsWith('/api'));
    });
  }

  const precisions: readonly [string, bigint][] = [
    ['', 5n],
    ['n', 5n],
    ['ns', 5n],
    ['u', 5_000n],
    ['us', 5_000n],
    ['%C2%B5', 5_000n],
    ['ms', 5_000_000n],
    ['s', 5_000_000_000n],
    ['m', 300_000_000_000n],
    ['h', 18_000_000_000_000n],
  ];
  for (const [precision, time] of precisions) {
    it(`read precision=${precision} on both versions`, async (t) => {
      const server = await startServer(t);
      for (const path of [V1, V2]) {
        await fetch(`${server.url}${path}&precision=${precision}`, { method: 'POST', body: 'm v=1 5' });
      }
      assert.deepEqual(
        server.ingest.submissions.flatMap((s) => s.rows.map((row) => row.time)),
        [time, time],
      );
    });
  }

  it('give a line without a time the time of the request', async (t) => {
    const server = await startServer(t);
    await fetch(`${server.url}${V1}`, { method: 'POST', body: 'm v=1' });
    assert.equal(server.ingest.submissions[0]?.rows[0]?.time, BigInt(server.clock.wallNow()) * 1_000_000n);
  });

  it('echo the id of a request', async (t) => {
    const server = await startServer(t);
    const reply = await fetch(`${server.url}${V1}`, { method: 'POST', headers: { 'x-request-id': 'mine' } });
    assert.deepEqual([reply.headers.get('x-request-id'), reply.headers.get('request-id')], ['mine', 'mine']);
  });

  it('give no Retry-After to the client that reads it as milliseconds', async (t) => {
    const server = await startServer(t);
    server.ingest.script = deferAll('wait', 5_000);
    const send = async (agent: string): Promise<string | null> => {
      const options = { method: 'POST', body: GOOD, headers: { 'user-agent': agent } };
      return (await fetch(server.url + V2, options)).headers.get('retry-after');
    };
    assert.equal(await send('influxdb-client-js/1.33.2'), null);
    assert.equal(await send('Telegraf/1.30.0'), '5');
  });

  it('tell the reason for a 503 of v1 in a header, redacted', async (t) => {
    const server = await startServer(t);
    server.ingest.script = deferAll('é unable to parse\nx', 1);
    const reply = await fetch(server.url + V1, { method: 'POST', body: GOOD });
    assert.equal(reply.headers.get('x-influxdb-error'), 'service unavailable, try again:   (redacted) x');
  });

  it('answer OPTIONS with 204 and other methods with 405', async (t) => {
    const server = await startServer(t);
    for (const path of ['/write', '/api/v2/write']) {
      assert.equal((await fetch(server.url + path, { method: 'OPTIONS' })).status, 204);
      for (const method of ['GET', 'PUT', 'DELETE', 'PATCH', 'HEAD']) {
        const reply = await fetch(server.url + path, { method });
        assert.deepEqual([method, reply.status, reply.headers.get('allow')], [method, 405, 'POST, OPTIONS']);
        await reply.arrayBuffer();
      }
    }
  });
});

describe('/ping', () => {
  for (const [method, query, status] of [
    ['GET', '', 204],
    ['HEAD', '', 204],
    ['OPTIONS', '', 204],
    ['GET', '?verbose=0', 204],
    ['GET', '?verbose=false', 204],
    ['GET', '?verbose=true', 200],
  ] as const) {
    it(`answers ${method} /ping${query} with ${status}`, async (t) => {
      const server = await startServer(t);
      const reply = await fetch(`${server.url}/ping${query}`, { method });
      assert.equal(reply.status, status);
      assert.equal(await reply.text(), status === 200 ? '{"version":"1.8.10"}\n' : '');
      assert.equal(reply.headers.get('x-influxdb-version'), '1.8.10');
    });
  }
});
