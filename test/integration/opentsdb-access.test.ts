/** Who may see what of OpenTSDB's endpoints, once there are users. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Access, Right } from '../../src/model/access.ts';
import { startServer } from '../helpers/http-server.ts';

/** One who writes, one who reads, and nobody without a token. */
const ACCESS: Access = {
  identify(credentials) {
    if (credentials?.kind !== 'token') return undefined;
    const right = credentials.token as Right;
    return {
      name: right,
      tenant: undefined,
      may: (wanted, database) => wanted === right && database === 'public',
    };
  },
};

const READABLE = [
  '/api/config',
  '/api/config/filters',
  '/api/stats',
  '/stats',
  '/api/dropcaches',
  '/dropcaches',
];
const SUGGESTIONS = ['/api/suggest?type=metrics', '/suggest?type=metrics', '/api/v1/suggest?type=tagv'];
const OPEN = ['/api/version', '/version', '/api/aggregators', '/aggregators', '/api/status'];

it('asks for the right to read where something is told of data or settings', async (t) => {
  const { url } = await startServer(t, { access: ACCESS });
  const statusOf = async (path: string, token?: string): Promise<number> => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const reply = await fetch(url + path, { headers });
    const text = await reply.text();
    if (reply.status >= 400)
      assert.equal((JSON.parse(text) as { error: { code: number } }).error.code, reply.status);
    return reply.status;
  };
  for (const path of [...READABLE, ...SUGGESTIONS]) {
    assert.deepEqual(
      [await statusOf(path), await statusOf(path, 'write'), await statusOf(path, 'read')],
      [401, 403, 200],
      path,
    );
  }
  for (const path of OPEN) assert.equal(await statusOf(path), 200, path);
});

it('asks for the right to write at every place that takes points', async (t) => {
  const { url, ingest } = await startServer(t, { access: ACCESS });
  for (const path of ['/api/put', '/api/v1/put', '/api/rollup']) {
    const body = '{"metric":"m","timestamp":1,"value":1,"tags":{"h":"a"}}';
    const headers = { authorization: 'Bearer read' };
    assert.equal((await fetch(url + path, { method: 'POST', body, headers })).status, 403, path);
    assert.equal((await fetch(url + path, { method: 'POST', body })).status, 401, path);
  }
  assert.equal(ingest.submissions.length, 0);
});
