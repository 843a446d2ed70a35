/** Who may use etcd: users and tokens, certificates, and what the log says when it does not work. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readEtcdFiles } from '../../src/ddl/etcd-files.ts';
import type { EtcdStoreOptions } from '../../src/ddl/etcd-options.ts';
import { createCertificates } from '../helpers/certificates.ts';
import { type Etcd, ROOT, startEtcd } from '../helpers/etcd.ts';
import { openStore, recordLog, untilAnswers, watchEnd } from '../helpers/etcd-rig.ts';
import { temporaryFolder } from '../helpers/gateway.ts';
import { freePorts } from '../helpers/ports.ts';
import { put, read, refused, signal } from '../helpers/store-fixture.ts';
import { startTcpProxy } from '../helpers/tcp-proxy.ts';
import { recordWatch } from '../helpers/watch-recorder.ts';

const USER = { name: 'sluice', password: 'secret', prefix: '/test/' };
const AS_USER = { username: USER.name, password: USER.password };
const CHILD = fileURLToPath(new URL('../helpers/etcd-child.js', import.meta.url));

describe('a store with a user', () => {
  it('gets a new token when etcd has forgotten it, for calls and for watches', async (t) => {
    // etcd grants tokens anew when it replays its log: only what came before a change on disk is forgotten.
    const etcd = await startEtcd(t, { flags: ['--backend-batch-limit', '1'] });
    await etcd.enableAuth(USER);
    const [caller, watcher] = [openStore(t, etcd, AS_USER), openStore(t, etcd, AS_USER)];
    await put(watcher, '/test/a', '0');
    const { rev } = await put(caller, '/test/a', '1');
    await put(watcher, '/test/b', '0');
    await etcd.restart();
    await put(caller, '/test/a', '2');
    assert.equal(await watchEnd(watcher, '/test/', rev + 1), 'lost');
    const watch = recordWatch(watcher, '/test/', rev + 1);
    await watch.until(({ batches }) => batches.length > 0);
    assert.equal((await read(watcher, '/test/a'))[0]?.value, '2');
  });

  it('is refused what it has no permission for, and that spoils nothing else', async (t) => {
    const etcd = await startEtcd(t);
    await etcd.enableAuth(USER);
    const { logger, messages } = recordLog();
    const store = openStore(t, etcd, AS_USER, logger);
    const { rev } = await put(store, '/test/a', '1');
    await refused('denied', read(store, '/other/'));
    await refused('denied', put(store, '/other/a', '1'));
    const first = await watchEnd(store, '/other/', 1);
    assert.equal(first === 'lost' ? await watchEnd(store, '/other/', 1) : first, 'reset');
    const watch = recordWatch(store, '/test/', rev);
    await watch.until(({ batches }) => batches.length > 0);
    assert.ok(messages.some((message) => message.includes('the user may not do this; grant a role')));
  });

  it('works before authentication is turned on, and after', async (t) => {
    const etcd = await startEtcd(t);
    const { logger, messages } = recordLog();
    const store = openStore(t, etcd, AS_USER, logger);
    await put(store, '/test/a', '1');
    assert.match(messages.join('\n'), /authentication is not enabled in etcd/);
    await etcd.enableAuth(USER);
    await put(store, '/test/a', '2');
    await etcd.ctl(['auth', 'disable'], ROOT);
    await put(store, '/test/a', '3');
  });
});

describe('a store with certificates', () => {
  it('reads, watches and learns the quota over mutual TLS', async (t) => {
    const certificates = createCertificates(temporaryFolder(t));
    const etcd = await startEtcd(t, { certificates, quotaBytes: 50_000_000 });
    const tls = readEtcdFiles({
      caFile: certificates.caFile,
      certFile: certificates.clientCertFile,
      keyFile: certificates.clientKeyFile,
    });
    const store = openStore(t, etcd, { tls, endpoints: [`localhost:${etcd.port}`] });
    const { rev } = await put(store, '/test/a', '1');
    const watch = recordWatch(store, '/test/', rev);
    await watch.until(({ batches }) => batches.length > 0);
    assert.equal((await store.status(signal)).quotaBytes, 50_000_000);
    await checkTlsMessages(etcd, certificates);
  });

  async function checkTlsMessages(
    etcd: Etcd,
    { caFile, strangerCaFile }: { caFile: string; strangerCaFile: string },
  ): Promise<void> {
    const [ca, stranger] = [readFileSync(caFile), readFileSync(strangerCaFile)];
    const cases: readonly [Partial<EtcdStoreOptions>, RegExp][] = [
      [{ tls: { ca: stranger } }, /certificate is not of an authority trusted here; set etcd.caFile/],
      [{ tls: { ca } }, /asks for one; set etcd.certFile and etcd.keyFile/],
      [{ endpoints: [`http://127.0.0.1:${etcd.port}`] }, /the port speaks TLS \(write https:\/\//],
    ];
    for (const [options, message] of cases) await firstLook(etcd, options, message);
  }
});

describe('a first look at an etcd that cannot be used', () => {
  it('says that nothing listens', async () => {
    const [port] = await freePorts(1);
    await firstLook(
      { url: `http://127.0.0.1:${port}` },
      {},
      /nothing listens there; start etcd, or correct etcd.endpoints/,
    );
  });

  it('says that there is no TLS', async (t) => {
    const etcd = await startEtcd(t);
    await firstLook(
      etcd,
      { endpoints: [`https://127.0.0.1:${etcd.port}`] },
      /does not speak TLS there; write http:/,
    );
  });

  it('says which credentials are wrong or missing', async (t) => {
    const etcd = await startEtcd(t);
    await etcd.enableAuth(USER);
    await firstLook(
      etcd,
      { ...AS_USER, password: 'wrong' },
      /refuses user name or password; correct etcd.username/,
    );
    await firstLook(etcd, {}, /etcd asks for a user; set etcd.username and etcd.password/);
  });

  it('says that there is no answer', async (t) => {
    const { url } = await startSilent(t);
    await firstLook(
      { url },
      { requestTimeoutMs: 300 },
      /no answer within 300 ms; check etcd.endpoints and firewall/,
    );
  });

  it('makes few connections to a server that never says anything', async (t) => {
    const silent = await startSilent(t);
    const store = openStore(t, silent, { requestTimeoutMs: 20 });
    for (let calls = 0; calls < 20; calls++) {
      await refused('unavailable', put(store, '/test/a', '1'));
      await refused('unavailable', store.keepAlive('1', signal));
      assert.equal(await watchEnd(store, '/test/', 1), 'lost');
    }
    // Two, and two more after the first call without an answer.
    assert.ok(silent.sockets.size <= 4, String(silent.sockets.size));
  });

  it('says when it is over', async (t) => {
    const etcd = await startEtcd(t);
    await etcd.kill9();
    const { logger, messages } = recordLog();
    const store = openStore(t, etcd, {}, logger);
    await store.check(signal);
    await store.check(signal);
    await etcd.restart();
    await untilAnswers(store);
    assert.match(messages.join('\n'), /^etcd at .*: nothing listens there.*\netcd answers again$/);
  });
});

describe('a process that has closed its store', () => {
  it('ends, whether etcd answers, is paused, is away or is a black hole', async (t) => {
    const etcd = await startEtcd(t);
    const proxy = await startTcpProxy(t, etcd.port);
    await runChild(etcd.url, 'answers');
    proxy.drop();
    await runChild(`http://127.0.0.1:${proxy.port}`, 'silent');
    etcd.pause();
    await runChild(etcd.url, 'silent');
    await etcd.kill9();
    await runChild(etcd.url, 'silent');
  });

  async function runChild(url: string, expected: 'answers' | 'silent'): Promise<void> {
    const child = spawn(process.execPath, [CHILD, url, expected], { stdio: ['ignore', 'pipe', 'inherit'] });
    let out = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    const [code] = (await once(child, 'close')) as [number | null];
    assert.deepEqual([code, out], [0, 'closed\n']);
  }
});

/** A server that takes connections and then nothing. */
async function startSilent(
  t: TestContext,
): Promise<{ readonly url: string; readonly sockets: ReadonlySet<Socket> }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => void sockets.add(socket.on('error', () => undefined)));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sockets };
}

/** The first line that a store with these options logs. */
async function firstLook(
  etcd: Pick<Etcd, 'url'>,
  options: Partial<EtcdStoreOptions>,
  expected: RegExp,
): Promise<void> {
  const { logger, messages } = recordLog();
  const done: (() => Promise<void> | void)[] = [];
  const store = openStore({ after: (fn) => void done.push(fn) }, etcd, options, logger);
  await store.check(signal);
  for (const fn of done) await fn();
  assert.match(messages[0] ?? 'nothing', expected);
}
