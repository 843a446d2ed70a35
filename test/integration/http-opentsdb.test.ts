import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { deferAll, rejectFirst, type Script, storeAll } from '../helpers/fake-ingest.ts';
import { MAX_BODY_BYTES, startServer } from '../helpers/http-server.ts';

const GOOD = '{"metric":"m","timestamp":1700000000,"value":42,"tags":{"h":"a"}}';
const NO_TAGS = '{"metric":"bad","timestamp":1700000000,"value":"42","tags":{},"extra":{"deep":[1]}}';
const SOME_FAILED = {
  error: {
    code: 400,
    message: 'One or more data points had errors',
    details: 'Please see the TSD logs or append "details" to the put request',
  },
};

interface PutCase {
  readonly name: string;
  readonly path?: string;
  readonly method?: string;
  readonly body?: string | Buffer;
  readonly headers?: Record<string, string>;
  readonly script?: Script;
  readonly status: number;
  /** The answer's JSON; undefined for no body. */
  readonly json: unknown;
  /** Rows that reach ingest. */
  readonly rows: number;
}

function envelope(code: number, message: string, details?: string): unknown {
  return { error: details === undefined ? { code, message } : { code, message, details } };
}

const CASES: readonly PutCase[] = [
  { name: 'answers a stored point with 204', body: GOOD, status: 204, json: undefined, rows: 1 },
  {
    name: 'answers a stored array with 204',
    body: `[${GOOD}\n,${GOOD}]`,
    status: 204,
    json: undefined,
    rows: 2,
  },
  {
    name: 'counts in a summary',
    path: '/api/put?summary',
    body: `[${GOOD},${GOOD}]`,
    status: 200,
    json: { success: 2, failed: 0 },
    rows: 2,
  },
  {
    name: 'takes details=false as a wish for details',
    path: '/api/put?details=false',
    body: GOOD,
    status: 200,
    json: { success: 1, failed: 0, errors: [] },
    rows: 1,
  },
  {
    name: 'stores the good points beside a bad one',
    body: `[${NO_TAGS},${GOOD}]`,
    status: 400,
    json: SOME_FAILED,
    rows: 1,
  },
  {
    name: 'names bad points in details, values as text',
    path: '/api/put?details',
    body: `[${NO_TAGS},${GOOD},null]`,
    status: 400,
    json: {
      success: 1,
      failed: 2,
      errors: [
        { datapoint: { metric: 'bad', timestamp: 1700000000, value: '42', tags: {} }, error: 'Missing tags' },
        { datapoint: null, error: 'Unexpected null datapoint encountered in set.' },
      ],
    },
    rows: 1,
  },
  {
    name: 'spoils only the point of a NaN token',
    path: '/api/put?summary',
    body: `[${GOOD.replace('42', 'NaN')},${GOOD}]`,
    status: 400,
    json: { success: 1, failed: 1 },
    rows: 1,
  },
  {
    name: 'counts a refused row as failed',
    body: `[${GOOD},${GOOD}]`,
    script: rejectFirst('denied'),
    status: 400,
    json: SOME_FAILED,
    rows: 2,
  },
  {
    name: 'names a refused row in details',
    path: '/api/put?details',
    body: `[${GOOD},${GOOD}]`,
    script: rejectFirst('denied'),
    status: 400,
    json: {
      success: 1,
      failed: 1,
      errors: [
        { datapoint: { metric: 'm', timestamp: 1700000000, value: '42', tags: { h: 'a' } }, error: 'denied' },
      ],
    },
    rows: 2,
  },
  {
    name: 'answers held back rows with 503, bad points beside them or not',
    path: '/api/put?summary',
    body: `[${NO_TAGS},${GOOD}]`,
    script: deferAll('table is being created', 2_500),
    status: 503,
    json: envelope(503, 'Service unavailable, try again', 'table is being created'),
    rows: 1,
  },
  {
    name: 'refuses an empty body',
    body: '',
    status: 400,
    json: envelope(400, 'Missing request content'),
    rows: 0,
  },
  {
    name: 'refuses white space',
    body: ' \n',
    status: 400,
    json: envelope(400, 'Missing request content'),
    rows: 0,
  },
  {
    name: 'refuses an empty array',
    body: '[\n\n]\n',
    status: 400,
    json: envelope(400, 'No datapoints found in content'),
    rows: 0,
  },
  {
    name: 'refuses what is neither object nor array',
    body: '"x"',
    status: 400,
    json: envelope(400, 'The JSON must start as an object or an array'),
    rows: 0,
  },
  {
    name: 'takes gzip',
    body: gzipSync(GOOD),
    headers: { 'content-encoding': 'gzip' },
    status: 204,
    json: undefined,
    rows: 1,
  },
  {
    name: 'refuses truncated gzip as the sender`s fault',
    body: gzipSync(GOOD).subarray(0, 30),
    headers: { 'content-encoding': 'gzip' },
    status: 400,
    json: envelope(400, 'unexpected EOF'),
    rows: 0,
  },
  {
    name: 'stops a gzip bomb',
    body: gzipSync(Buffer.alloc(MAX_BODY_BYTES * 4, 0x20)),
    headers: { 'content-encoding': 'gzip' },
    status: 413,
    json: envelope(413, 'Request Entity Too Large'),
    rows: 0,
  },
  {
    name: 'refuses an unknown encoding',
    body: GOOD,
    headers: { 'content-encoding': 'br' },
    status: 400,
    json: envelope(400, 'unsupported content encoding'),
    rows: 0,
  },
  {
    name: 'takes the largest body',
    body: GOOD.padEnd(MAX_BODY_BYTES),
    status: 204,
    json: undefined,
    rows: 1,
  },
  {
    name: 'refuses a larger body',
    body: GOOD.padEnd(MAX_BODY_BYTES + 1),
    status: 413,
    json: envelope(413, 'Request Entity Too Large'),
    rows: 0,
  },
  {
    name: 'ignores a broken content type',
    body: GOOD,
    headers: { 'content-type': ';;/' },
    status: 204,
    json: undefined,
    rows: 1,
  },
  {
    name: 'reads other charsets',
    body: Buffer.from(GOOD.replace('"m"', '"é"'), 'latin1'),
    headers: { 'content-type': 'application/json; charset=ISO-8859-1' },
    status: 204,
    json: undefined,
    rows: 1,
  },
  {
    name: 'refuses an unknown charset',
    body: GOOD,
    headers: { 'content-type': 'application/json; charset=martian' },
    status: 400,
    json: envelope(400, 'Unsupported charset'),
    rows: 0,
  },
  { name: 'takes paths in any case', path: '/API/Put', body: GOOD, status: 204, json: undefined, rows: 1 },
  { name: 'takes a trailing slash', path: '/api/put/', body: GOOD, status: 204, json: undefined, rows: 1 },
  { name: 'takes further segments', path: '/api/put/x/y', body: GOOD, status: 204, json: undefined, rows: 1 },
  { name: 'takes version 1', path: '/api/v1/put', body: GOOD, status: 204, json: undefined, rows: 1 },
  {
    name: 'does not know version 2',
    path: '/api/v2/put',
    body: GOOD,
    status: 501,
    json: envelope(501, 'Requested API version is greater than the max implemented'),
    rows: 0,
  },
  {
    name: 'takes no v without a number',
    path: '/api/v/put',
    body: GOOD,
    status: 404,
    json: envelope(404, 'Endpoint not found'),
    rows: 0,
  },
  {
    name: 'takes no empty segment',
    path: '/api//put',
    body: GOOD,
    status: 404,
    json: envelope(404, 'Endpoint not found'),
    rows: 0,
  },
  {
    name: 'does not know other endpoints',
    path: '/api/x',
    body: GOOD,
    status: 404,
    json: envelope(404, 'Endpoint not found'),
    rows: 0,
  },
  {
    name: 'does not know /put',
    path: '/put',
    body: GOOD,
    status: 404,
    json: { error: 'not found' },
    rows: 0,
  },
  ...['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'].map((method) => ({
    name: `refuses ${method}`,
    method,
    status: 405,
    json: envelope(
      405,
      'Method not allowed',
      `The HTTP method [${method}] is not permitted for this endpoint`,
    ),
    rows: 0,
  })),
  {
    name: 'refuses a sync_timeout that is no number',
    path: '/api/put?sync_timeout=soon',
    body: GOOD,
    status: 400,
    json: envelope(400, 'For input string: "soon"'),
    rows: 0,
  },
  {
    name: 'tells of no timeouts when sync_timeout was not reached',
    path: '/api/put?sync&sync_timeout=60000&summary',
    body: GOOD,
    status: 200,
    json: { success: 1, failed: 0, timeouts: 0 },
    rows: 1,
  },
  {
    name: 'refuses another serializer',
    path: '/api/put?serializer=x',
    body: GOOD,
    status: 400,
    json: envelope(400, 'Requested serializer was not found'),
    rows: 0,
  },
];

describe('POST /api/put', () => {
  for (const c of CASES) {
    it(c.name, async (t) => {
      const server = await startServer(t);
      server.ingest.script = c.script ?? storeAll;
      const reply = await fetch(server.url + (c.path ?? '/api/put'), {
        method: c.method ?? 'POST',
        ...(c.body === undefined ? {} : { body: c.body }),
        ...(c.headers === undefined ? {} : { headers: c.headers }),
      });
      const text = await reply.text();
      assert.deepEqual([reply.status, text === '' ? undefined : JSON.parse(text)], [c.status, c.json]);
      assert.equal(server.ingest.submissions.flatMap((s) => s.rows).length, c.rows);
      assert.equal(server.ingest.lent, 0);
      assert.equal(server.bodies.stats().bodyBytes, 0);
      const type = c.path === '/put' ? 'application/json; charset=utf-8' : 'application/json; charset=UTF-8';
      assert.equal(reply.headers.get('content-type'), type);
      assert.equal(reply.headers.get('content-length'), String(Buffer.byteLength(text)));
      assert.equal(reply.headers.get('retry-after'), c.status === 503 ? '3' : null);
    });
  }

  it('passes database, peer and the wish for sync on', async (t) => {
    const server = await startServer(t);
    await fetch(`${server.url}/api/put?sync`, { method: 'POST', body: GOOD });
    await fetch(`${server.url}/api/put`, { method: 'POST', body: GOOD });
    assert.deepEqual(
      server.ingest.submissions.map(({ database, context }) => [database, context.askedBy, context.sync]),
      [
        ['public', 'opentsdb 127.0.0.1', true],
        ['public', 'opentsdb 127.0.0.1', false],
      ],
    );
  });

  it('ends the wait after sync_timeout and tells which points it was about', async (t) => {
    const server = await startServer(t);
    server.ingest.script = async ({ context }) => {
      await once(context.signal, 'abort');
      throw context.signal.reason;
    };
    const send = async (flags: string): Promise<unknown[]> => {
      const reply = await fetch(`${server.url}/api/put?sync_timeout=1${flags}`, {
        method: 'POST',
        body: `[${GOOD},${NO_TAGS}]`,
      });
      return [reply.status, await reply.json()];
    };
    const message =
      'The put call has timedout with 0 successful writes, 1 failed writes and 1 timed out writes.';
    assert.deepEqual(await send(''), [400, envelope(400, message)]);
    assert.deepEqual(await send('&summary'), [400, { success: 0, failed: 1, timeouts: 1 }]);
    const [, detailed] = await send('&details');
    assert.deepEqual(
      (detailed as { errors: { error: string }[] }).errors.map((e) => e.error),
      ['Write timedout', 'Missing tags'],
    );
    assert.equal(server.ingest.lent, 0);
  });

  it('hides what went wrong inside and logs it once per interval', async (t) => {
    const server = await startServer(t);
    server.ingest.script = () => {
      throw new Error('secret');
    };
    for (let i = 0; i < 3; i++) {
      const reply = await fetch(`${server.url}/api/put`, { method: 'POST', body: GOOD });
      assert.deepEqual([reply.status, await reply.json()], [500, envelope(500, 'internal error')]);
    }
    assert.deepEqual(server.logs, ['error request failed']);
    assert.equal(server.ingest.lent, 0);
  });

  it('answers 503 when the gateway is stopping', async (t) => {
    const server = await startServer(t);
    server.ingest.script = ({ context }) => {
      server.closing.abort(new Error('stop'));
      throw context.signal.reason;
    };
    const reply = await fetch(`${server.url}/api/put`, { method: 'POST', body: GOOD });
    assert.equal(reply.status, 503);
  });

  it('counts requests and points', async (t) => {
    const server = await startServer(t);
    server.ingest.script = rejectFirst('denied');
    await fetch(`${server.url}/api/put`, { method: 'POST', body: `[${GOOD},${GOOD},${NO_TAGS}]` });
    assert.deepEqual(server.metrics, [
      'opentsdb_put malformed 1',
      'opentsdb_put stored 1',
      'opentsdb_put rejected 1',
      'opentsdb_put 400',
    ]);
  });
});
