import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { createAdminRoutes } from '../../routes/admin.ts';
import type { Admin } from '../../src/admin/admin.ts';
import { type Access, OPEN_ACCESS, type Principal } from '../../src/model/access.ts';
import type { Cancellation } from '../../src/model/ddl-control.ts';
import { post, startGateway, temporaryFolder } from '../helpers/gateway.ts';
import { startServer } from '../helpers/http-server.ts';

type Json = Readonly<Record<string, unknown>>;

async function get(url: string, headers: Readonly<Record<string, string>> = {}) {
  const response = await fetch(url, { headers });
  return { status: response.status, json: (await response.json()) as Json };
}

async function act(url: string): Promise<{ status: number; json: Json }> {
  const { status, text } = await post(url, '');
  return { status, json: JSON.parse(text) as Json };
}

const point = (metric: string): string =>
  JSON.stringify({ metric, timestamp: 1_700_000_000, value: 1, tags: { host: 'a' } });

const ROUTES: readonly (readonly ['GET' | 'POST', string])[] = [
  ['GET', 'status'],
  ['GET', 'tasks'],
  ['GET', 'failures'],
  ['GET', 'lanes'],
  ['POST', 'forget?all=true'],
  ['POST', 'retry?database=d&table=t'],
  ['POST', 'pause?reason=r'],
  ['POST', 'resume'],
  ['POST', 'drain'],
  ['POST', 'plan?protocol=opentsdb'],
  ['GET', 'offenders'],
  ['GET', 'tables'],
  ['GET', 'policy'],
  ['POST', 'cancel?database=d&table=t'],
];

/** The routes alone. */
async function serve(t: TestContext, admin: Admin, access: Access = OPEN_ACCESS) {
  const { app } = await startServer(t, {
    access,
    routes: ({ app: server, closing: { signal }, ...rest }) => {
      const deps = { ...rest, admin, dataPlaneOk: () => true, closing: signal };
      void server.register(createAdminRoutes(deps));
    },
  });
  return app;
}

describe('the admin API', () => {
  it('refuses every route to those who lack the right, and does nothing for them', async (t) => {
    const lame: Principal = { name: 'writer', tenant: undefined, may: (right) => right === 'write' };
    for (const [principal, status] of [
      [lame, 403],
      [undefined, 401],
    ] as const) {
      const nothing = new Proxy({}, { get: () => assert.fail }) as Admin;
      const app = await serve(t, nothing, { identify: () => principal });
      for (const [method, route] of ROUTES) {
        const answer = await app.inject({ method, url: `/admin/${route}` });
        assert.equal(answer.statusCode, status, route);
      }
    }
  });

  it('pauses and resumes creates, whose rows wait on disk meanwhile', async (t) => {
    const { url, logs } = await startGateway(t, temporaryFolder(t));
    const pausing = await act(`${url}/admin/pause?reason=maintenance`);
    assert.deepEqual(pausing, { status: 200, json: { changed: true } });
    const { json } = await get(`${url}/admin/status`);
    assert.equal((json['paused'] as Json)['reason'], 'maintenance');
    assert.equal((await post(`${url}/api/put?sync`, point('held'))).status, 503);
    assert.equal((await post(`${url}/api/put`, point('held'))).status, 204);
    const lanes = (await get(`${url}/admin/lanes`)).json['items'] as readonly Json[];
    assert.deepEqual(
      lanes.map(({ table, rows }) => ({ table, rows })),
      [{ table: 'held', rows: 1 }],
    );
    assert.deepEqual((await act(`${url}/admin/resume`)).json, { changed: true });
    assert.equal((await post(`${url}/api/put?sync`, point('free'))).status, 204);
    const audits = logs.filter(({ msg }) => msg === 'admin action');
    assert.deepEqual(
      audits.map(({ action, by, result }) => ({ action, by, result })),
      [
        { action: 'pause', by: 'anonymous', result: true },
        { action: 'resume', by: 'anonymous', result: true },
      ],
    );
  });

  it('tells who asked most for what was refused, and of what', async (t) => {
    const { url } = await startGateway(t, temporaryFolder(t), { SLUICE_POLICY_DENY: 'bad.*' });
    for (const metric of ['bad.1', 'bad.2', 'bad.2', 'good'])
      await post(`${url}/api/put?sync`, point(metric));
    const listed = async (by: string) => (await get(`${url}/admin/offenders?by=${by}`)).json['items'];
    const rest = { excess: 0, database: 'public' };
    assert.deepEqual(await listed('table'), [
      { ...rest, table: 'bad.2', refused: 2 },
      { ...rest, table: 'bad.1', refused: 1 },
    ]);
    assert.deepEqual(await listed('tenant'), [{ tenant: 'public', refused: 3, excess: 0 }]);
    assert.deepEqual(await listed('client'), [{ client: 'opentsdb 127.0.0.1', refused: 3, excess: 0 }]);
  });

  it('lists the tables it knows, page by page, and what may be created', async (t) => {
    const { url } = await startGateway(t, temporaryFolder(t), { SLUICE_POLICY_DENY: 'bad.*' });
    for (const metric of ['b', 'a', 'c']) await post(`${url}/api/put?sync`, point(metric));
    const first = (await get(`${url}/admin/tables?limit=2`)).json;
    const rest = (await get(`${url}/admin/tables?limit=2&cursor=${String(first['next'])}`)).json;
    const items = [...(first['items'] as Json[]), ...(rest['items'] as Json[])];
    assert.deepEqual(
      items.map(({ database, table }) => [database, table]),
      [
        ['public', 'a'],
        ['public', 'b'],
        ['public', 'c'],
      ],
    );
    assert.deepEqual(items[0]?.['columns'], [
      { name: 'host', kind: 'tag', type: 'string' },
      { name: 'value', kind: 'field', type: 'float64' },
    ]);
    const { json } = await get(`${url}/admin/policy`);
    assert.deepEqual([json['autoCreate'], json['deny'], json['maxDatabases']], ['on', ['bad.*'], 64]);
  });

  it('says why a task was not cancelled', async (t) => {
    const answers: readonly (readonly [Cancellation, number, string])[] = [
      ['cancelled', 200, '{"cancelled":true}'],
      ['none', 200, '{"cancelled":false}'],
      ['running', 409, 'its statement runs'],
      ['elsewhere', 409, 'only the leader can: gateway-b'],
    ];
    for (const [ended, status, text] of answers) {
      const admin = {
        cancel: async () => ended,
        status: () => ({ leader: 'gateway-b' }),
      } as unknown as Admin;
      const app = await serve(t, admin);
      const answer = await app.inject({ method: 'POST', url: '/admin/cancel?database=d&table=t' });
      assert.equal(answer.statusCode, status);
      assert.ok(answer.body.includes(text), answer.body);
    }
  });

  it('describes itself by OpenAPI 3.1, with all its routes', async (t) => {
    const { url } = await startGateway(t, temporaryFolder(t));
    const { json } = await get(`${url}/openapi.json`);
    assert.equal(json['openapi'], '3.1.0');
    const paths = json['paths'] as Readonly<Record<string, Readonly<Record<string, Json>>>>;
    for (const [method, route] of ROUTES) {
      const operation = paths[`/admin/${route.replace(/\?.*/, '')}`]?.[method.toLowerCase()];
      assert.ok(operation?.['responses'], route);
    }
    assert.ok(paths['/api/put']);
  });

  it('refuses what it does not understand, and pages of other origins', async (t) => {
    const { url } = await startGateway(t, temporaryFolder(t));
    for (const query of ['', 'all=true&table=x', 'database=public&tabel=x', 'database=a&table=b&prefix=c'])
      assert.equal((await act(`${url}/admin/forget?${query}`)).status, 400, query);
    assert.equal((await get(`${url}/admin/tasks?limit=0`)).status, 400);
    assert.equal((await get(`${url}/admin/status`, { Origin: 'http://example.com' })).status, 403);
    assert.deepEqual((await act(`${url}/admin/forget?all=true`)).json, { forgotten: 0 });
    assert.deepEqual((await act(`${url}/admin/drain`)).json, { drained: true, pendingBytes: 0 });
  });

  it('is not there for strangers', async (t) => {
    const env = { SLUICE_LISTEN_HOST: '0.0.0.0', SLUICE_LISTEN_ALLOW_REMOTE_UNAUTHENTICATED: 'true' };
    const { port } = await startGateway(t, temporaryFolder(t), env);
    assert.equal((await get(`http://127.0.0.1:${port}/admin/status`)).status, 404);
  });
});
