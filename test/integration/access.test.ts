import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { hashPassword, hashToken, newToken } from '../../src/access/secrets.ts';
import { type Gateway, runGateway, startGateway, temporaryFolder } from '../helpers/gateway.ts';

const TOKENS = { writer: newToken(), maker: newToken(), reader: newToken(), local: newToken() };
const FILE = `
- { name: writer, tokenHash: '${hashToken(TOKENS.writer)}', rights: [write] }
- { name: maker, tokenHash: '${hashToken(TOKENS.maker)}', rights: [write, create], tenant: team }
- { name: reader, tokenHash: '${hashToken(TOKENS.reader)}', rights: [read] }
- { name: local, tokenHash: '${hashToken(TOKENS.local)}', rights: [write, create, read], databases: [own] }
- { name: ann, passwordHash: '${hashPassword('s3cret')}', rights: [write, create] }
`;

interface Sent {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
}

describe('access', () => {
  async function start(t: TestContext): Promise<{ gateway: Gateway; file: string }> {
    const folder = temporaryFolder(t);
    const file = join(folder, 'users.yaml');
    writeFileSync(file, FILE);
    const gateway = await startGateway(t, folder, {
      SLUICE_ACCESS_FILE: file,
      SLUICE_ACCESS_OPEN_METRICS: 'false',
      SLUICE_LOG_LEVEL: 'trace',
    });
    return { gateway, file };
  }

  async function send(
    gateway: Gateway,
    path: string,
    token: string | undefined,
    body?: string,
  ): Promise<Sent> {
    const headers: Record<string, string> = token === undefined ? {} : { Authorization: `Token ${token}` };
    const init = body === undefined ? { headers } : { method: 'POST', headers, body };
    const response = await fetch(`${gateway.url}${path}`, init);
    return { status: response.status, text: await response.text(), headers: response.headers };
  }

  const PUT = JSON.stringify({ metric: 'm', timestamp: 1_700_000_000, value: 1, tags: { h: 'a' } });
  const SQL = `/v1/sql?db=own&sql=${encodeURIComponent('SELECT 1')}`;

  it('asks for each right on each route, in the shape of each protocol', async (t) => {
    const { gateway } = await start(t);
    const { writer, maker, reader, local } = TOKENS;
    const cases: readonly [
      path: string,
      token: string | undefined,
      body: string | undefined,
      status: number,
      text?: RegExp,
    ][] = [
      ['/write?db=d', undefined, 'm v=1 1', 401, /^\{"error":"authorization failed"\}\n$/],
      ['/write?db=d', 'wrong', 'm v=1 1', 401],
      ['/api/v2/write?bucket=d', undefined, 'm v=1 1', 401, /"code":"unauthorized"/],
      ['/api/put', undefined, PUT, 401, /"error":\{"code":401,/],
      [SQL, undefined, undefined, 401, /"code":7002/],
      ['/metrics', undefined, undefined, 401],
      ['/health', undefined, undefined, 200],
      ['/ping', undefined, undefined, 204],
      ['/write?db=d', reader, 'm v=1 1', 403, /reader has no right to write/],
      ['/api/v2/write?bucket=d', reader, 'm v=1 1', 403, /"code":"forbidden"/],
      ['/api/put', reader, PUT, 403, /"code":403/],
      [SQL, writer, undefined, 403, /"code":7005/],
      [SQL, local, undefined, 403],
      ['/metrics', writer, undefined, 403],
      ['/metrics', reader, undefined, 200],
      ['/write?db=other', local, 'm v=1 1', 403, /in database \\"other\\"/],
      ['/write?db=own', local, 'm v=1 1', 204],
      [SQL, reader, undefined, 200],
      ['/write?db=d', writer, 'fresh v=1 1', 400, /no right to create/],
      ['/write?db=d', maker, 'fresh v=1 1', 204],
      ['/write?db=d', writer, 'fresh v=2 2', 204],
      ['/write?db=d', writer, 'fresh v=2,w=1 3', 400, /no right to create/],
      ['/write?db=d', maker, 'fresh v=2,w=1 3', 204],
      ['/write?db=d&u=ann&p=s3cret', undefined, 'fresh v=1 4', 204],
      ['/write?db=d&u=ann&p=wr0ng', undefined, 'fresh v=1 4', 401],
      [`/write?db=d&u=any&p=${maker}`, undefined, 'fresh v=1 4', 204],
    ];
    for (const [path, token, body, status, text = /^/] of cases) {
      const answer = await send(gateway, path, token, body);
      const what = `${path} ${token === undefined ? 'nobody' : token.slice(0, 12)}: ${answer.text}`;
      assert.equal(answer.status, status, what);
      assert.match(answer.text, text, what);
      assert.equal(answer.headers.has('WWW-Authenticate'), status === 401, what);
    }
    const metrics = await send(gateway, '/metrics', reader);
    assert.match(metrics.text, /sluice_access_refused_total\{reason="unauthenticated"\} 7\n/);
    const log = JSON.stringify(gateway.logs);
    for (const secret of [...Object.values(TOKENS), 's3cret', 'wr0ng']) assert.ok(!log.includes(secret));
  });

  it('reads the users again on SIGHUP, and keeps the last good ones when the file is bad', async (t) => {
    const { gateway, file } = await start(t);
    const { writer, maker, reader } = TOKENS;
    assert.equal((await send(gateway, '/write?db=d', maker, 'm v=1 1')).status, 204);
    writeFileSync(file, FILE.replace(/.*name: maker.*\n/, ''));
    gateway.child.kill('SIGHUP');
    await gateway.logged('reloaded');
    assert.equal((await send(gateway, '/write?db=d', maker, 'm v=1 1')).status, 401);
    writeFileSync(file, `${FILE}\n- name: x\n  rights: [root]\n`);
    gateway.child.kill('SIGHUP');
    const line = await gateway.logged('could not reload; the last good state stays in use');
    assert.match(JSON.stringify(line), /users\.yaml:9: no such right/);
    assert.equal((await send(gateway, '/write?db=d', writer, 'm v=2 2')).status, 204);
    const metrics = await send(gateway, '/metrics', reader);
    assert.match(metrics.text, /sluice_users_stale 1\n/);
  });

  it('does not start with a bad file', async (t) => {
    const folder = temporaryFolder(t);
    writeFileSync(join(folder, 'users.yaml'), '- name: x\n');
    const { code, out } = await runGateway(folder, [], {
      SLUICE_ACCESS_FILE: 'users.yaml',
      SLUICE_LISTEN_PORT: '0',
    });
    assert.equal(code, 2);
    assert.match(out, /users\.yaml:1: rights must be a list/);
  });

  it('knows the entry that the command makes', async (t) => {
    const folder = temporaryFolder(t);
    const { code, out } = await runGateway(folder, ['access', 'token', 'new one']);
    assert.equal(code, 0);
    writeFileSync(join(folder, 'users.yaml'), out);
    const secret = /^# token: (\S+)$/m.exec(out)?.[1];
    const gateway = await startGateway(t, folder, { SLUICE_ACCESS_FILE: 'users.yaml' });
    assert.equal((await send(gateway, '/write?db=d', secret, 'm v=1 1')).status, 204);
  });
});
