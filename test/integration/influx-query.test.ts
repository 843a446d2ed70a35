import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { Access } from '../../src/model/access.ts';
import { post, startGateway, temporaryFolder } from '../helpers/gateway.ts';
import { startServer } from '../helpers/http-server.ts';
import { type InfluxCase, testInfluxCases } from '../helpers/influx-cases.ts';

const JSON_TYPE = { 'content-type': 'application/json; charset=utf-8' };

/** As the statement is sent in the URL. */
function get(q: string, answer: string | RegExp, status = 200): InfluxCase {
  const path = `/query?q=${encodeURIComponent(q)}`;
  return { name: `answers ${q.slice(0, 60)}`, path, method: 'GET', status, answer, replies: JSON_TYPE };
}

function results(...items: object[]): string {
  return `${JSON.stringify({ results: items.map((item, id) => ({ statement_id: id, ...item })) })}\n`;
}

const MESSAGE = 'points are not read here; the statement was not executed';
const READ = { messages: [{ level: 'warning', text: MESSAGE }] };
const HERE = { series: [{ name: 'databases', columns: ['name'], values: [['d'], ['telegraf']] }] };

const STATEMENTS: readonly InfluxCase[] = [
  get('CREATE DATABASE "telegraf"', results({})),
  get('create database telegraf', results({})),
  get('CREATE DATABASE x WITH DURATION 1d REPLICATION 1 NAME "y"', results({})),
  get('CREATE DATABASE "a;b \\" c"', results({})),
  get('CREATE DATABASE "__proto__"', results({})),
  get('CREATE RETENTION POLICY "week" ON "telegraf" DURATION 7d REPLICATION 1', results({})),
  get('ALTER RETENTION POLICY week ON telegraf DURATION 8d', results({})),
  get('SHOW DATABASES', results(HERE)),
  get(' show  databases ; ', results(HERE)),
  get('-- all\nSHOW DATABASES', results(HERE)),
  get('CREATE DATABASE x; SHOW DATABASES; SELECT 1', results({}, HERE, READ)),
  get('SHOW MEASUREMENTS', results({})),
  get('SHOW RETENTION POLICIES ON telegraf', results({})),
  get('SHOW TAG KEYS FROM "cpu"', results({})),
  get('DROP DATABASE telegraf', results({})),
  get('SELECT * FROM cpu', results(READ)),
  get('select v from "cpu" where host = \'a;b\'', results(READ)),
  get('EXPLAIN SELECT 1', results(READ)),
  get('nonsense', results({})),
  get(';;', results()),
];

const WRONG: readonly InfluxCase[] = (
  [
    ['', 'missing required parameter "q"'],
    ['CREATE DATABASE', 'error parsing query: found EOF, expected identifier'],
    ['CREATE DATABASE ""', 'error parsing query: found EOF, expected identifier'],
    ["CREATE DATABASE 'x'", 'error parsing query: found a string, expected identifier'],
    ['CREATE DATABASE "x', 'error parsing query: found an unterminated string'],
    ['CREATE RETENTION POLICY week', 'error parsing query: expected ON'],
    ['x;'.repeat(101), 'error parsing query: more than 100 statements'],
  ] as const
).map(([q, error]) => ({
  ...get(q, `${JSON.stringify({ error })}\n`, 400),
}));

const FORMS: readonly InfluxCase[] = [
  {
    name: "takes Telegraf's form",
    path: '/query',
    body: 'q=CREATE+DATABASE+%22telegraf%22',
    status: 200,
    answer: results({}),
  },
  {
    name: 'takes a form in gzip',
    path: '/query',
    body: gzipSync('q=SHOW+DATABASES'),
    headers: { 'content-encoding': 'gzip' },
    status: 200,
    answer: results(HERE),
  },
  {
    name: 'prefers the form',
    path: '/query?q=SHOW+DATABASES',
    body: 'q=SELECT+1',
    status: 200,
    answer: results(READ),
  },
  {
    name: 'takes the URL of a POST',
    path: '/query?q=SHOW+DATABASES',
    body: '',
    status: 200,
    answer: results(HERE),
  },
  {
    name: 'wants q in a POST',
    path: '/query',
    body: 'x=1',
    status: 400,
    answer: '{"error":"missing required parameter \\"q\\""}\n',
  },
  {
    name: 'refuses a long query',
    path: '/query',
    body: `q=${'x'.repeat(65_536)}`,
    status: 413,
    answer: '{"error":"Request Entity Too Large"}\n',
  },
  { name: 'answers OPTIONS', path: '/query', method: 'OPTIONS', status: 204 },
  { name: 'answers GET /ping', path: '/ping', method: 'GET', status: 204 },
  { name: 'answers HEAD /ping', path: '/ping', method: 'HEAD', status: 204 },
  {
    name: 'answers a verbose ping',
    path: '/ping?verbose=true',
    method: 'GET',
    status: 200,
    answer: '{"version":"1.8.10"}\n',
  },
  {
    name: 'echoes the id of a request',
    path: '/ping',
    method: 'GET',
    status: 204,
    headers: { 'x-request-id': 'mine' },
    replies: { 'x-request-id': 'mine', 'request-id': 'mine' },
  },
  {
    name: 'cuts a long id',
    path: '/ping',
    method: 'GET',
    status: 204,
    headers: { 'request-id': 'x'.repeat(200) },
    replies: { 'x-request-id': 'x'.repeat(128) },
  },
];

describe('/query and /ping', () => {
  it('answer what clients send before they write', async (t) => {
    const gateway = await startGateway(t, temporaryFolder(t));
    await t.test('has no databases at first', async () => {
      const { text } = await post(`${gateway.url}/query`, 'q=SHOW+DATABASES');
      assert.equal(text, results({ series: [{ name: 'databases', columns: ['name'] }] }));
    });
    await post(`${gateway.url}/write?db=telegraf`, 'm v=1');
    await testInfluxCases(t, gateway, 'a', STATEMENTS);
    await testInfluxCases(t, gateway, 'b', WRONG);
    await testInfluxCases(t, gateway, 'c', FORMS);
  });

  const access: Access = {
    identify: (credentials) =>
      credentials === undefined
        ? undefined
        : { name: 'me', tenant: undefined, may: (right, db) => right === 'write' && db !== 'theirs' },
  };
  const mine = { authorization: 'Token mine' };

  it('list only what the sender may use, and refuse to create without the right', async (t) => {
    const server = await startServer(t, { access, databases: ['theirs', 'b', 'a'] });
    const ask = async (q: string, headers = {}): Promise<[number, string, string | null]> => {
      const reply = await fetch(`${server.url}/query?q=${encodeURIComponent(q)}`, { headers });
      return [reply.status, await reply.text(), reply.headers.get('www-authenticate')];
    };
    const own = { series: [{ name: 'databases', columns: ['name'], values: [['a'], ['b']] }] };
    assert.deepEqual(await ask('SHOW DATABASES', mine), [200, results(own), null]);
    assert.equal((await ask('CREATE DATABASE a', mine))[0], 403);
    assert.deepEqual(await ask('SHOW DATABASES'), [
      401,
      '{"error":"authorization failed"}\n',
      'Basic realm="InfluxDB"',
    ]);
  });

  it('ask to try again while the databases are not known', async (t) => {
    const server = await startServer(t);
    const reply = await fetch(`${server.url}/query?q=SHOW+DATABASES`);
    assert.deepEqual(
      [reply.status, await reply.text()],
      [503, '{"error":"service unavailable, try again"}\n'],
    );
    assert.equal((await fetch(`${server.url}/query?q=CREATE+DATABASE+x`)).status, 200);
  });

  const refusals: readonly [string, Record<string, string>, number, string][] = [
    ['/write?db=d', {}, 401, '{"error":"authorization failed"}\n'],
    ['/write?db=theirs', mine, 403, '{"error":"me has no right to write in database \\"theirs\\""}\n'],
    ['/api/v2/write?bucket=d', {}, 401, '{"code":"unauthorized","message":"unauthorized access"}\n'],
    [
      '/api/v2/write?bucket=theirs',
      mine,
      403,
      '{"code":"forbidden","message":"insufficient permissions for write"}\n',
    ],
    ['/api/v3/write_lp?db=d', {}, 401, '{"error":"the request was not authenticated"}\n'],
    [
      '/api/v3/write_lp?db=theirs',
      mine,
      403,
      '{"error":"me has no right to write in database \\"theirs\\""}\n',
    ],
  ];
  for (const [path, headers, status, text] of refusals) {
    it(`leave ${path} to those who may: ${status}`, async (t) => {
      const server = await startServer(t, { access });
      const reply = await fetch(server.url + path, { method: 'POST', body: 'm v=1', headers });
      assert.deepEqual([reply.status, await reply.text()], [status, text]);
      const realm = path.startsWith('/write') ? 'InfluxDB' : 'sluice';
      const challenge = status === 401 ? `Basic realm="${realm}"` : null;
      assert.equal(reply.headers.get('www-authenticate'), challenge);
      assert.equal(server.ingest.submissions.length, 0);
    });
  }
});
