import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { MAX_BODY_BYTES, openRaw, post, startServer } from '../helpers/http-server.ts';

describe('bounds of a connection', () => {
  it('serve the connections that an address may have, and count those that are too many', async (t) => {
    const server = await startServer(t, { maxPerAddress: 2 });
    const clients = [
      await openRaw(t, server.port),
      await openRaw(t, server.port),
      await openRaw(t, server.port),
    ];
    for (const { socket } of clients)
      socket.write('GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    await Promise.all(clients.slice(0, 2).map((client) => client.waitFor('204 No Content')));
    assert.deepEqual([server.metrics, clients[2]?.received()], [['connection address'], '']);
    for (const { socket } of clients) socket.destroy();
  });

  it('refuse endless chunks with 413, each byte of them counted', async (t) => {
    const server = await startServer(t);
    const client = await openRaw(t, server.port);
    client.socket.write('POST /write?db=d HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n');
    const chunk = Buffer.concat([Buffer.from('4000\r\n'), Buffer.alloc(0x4000, 0x0a), Buffer.from('\r\n')]);
    for (let sent = 0; sent <= MAX_BODY_BYTES; sent += 0x4000) client.socket.write(chunk);
    await client.waitFor('413 Payload Too Large');
    assert.ok(server.metrics.includes('body too_large'));
    assert.equal(server.bodies.stats().bodyBytes, 0);
    client.socket.destroy();
  });

  it('refuse headers that are too long with 431', async (t) => {
    const server = await startServer(t);
    const client = await openRaw(t, server.port);
    client.socket.write(`GET /ping HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(20_000)}\r\n\r\n`);
    await client.waitFor('431 Request Header Fields Too Large');
  });

  it('stop a compressed bomb at the cap', async (t) => {
    const server = await startServer(t);
    const client = await openRaw(t, server.port);
    const bomb = gzipSync(Buffer.alloc(16 * 2 ** 20));
    client.socket.write(post('/write?db=d', bomb, { 'Content-Encoding': 'gzip' }));
    await client.waitFor('413 Payload Too Large');
    assert.equal(server.bodies.stats().bodyBytes, 0);
  });

  it('refuse a body with too many points as a whole, on either protocol', async (t) => {
    const server = await startServer(t, { pointsPerRequest: 3 });
    const cases: readonly [path: string, body: string, status: number][] = [
      ['/write?db=d', 'm v=1 1\nm v=2 2\nbad\n', 400],
      ['/write?db=d', 'm v=1 1\nm v=2 2\nbad\nm v=3 3\n', 413],
      ['/write?db=d', 'm v=1 1\n\n\n\n', 413],
      ['/api/put', '[{},{},{}]', 400],
      ['/api/put', '[{},{},{},{}]', 413],
    ];
    for (const [path, body, status] of cases) {
      const reply = await fetch(`${server.url}${path}`, { method: 'POST', body });
      assert.equal(reply.status, status, body);
      await reply.text();
    }
    assert.equal(server.metrics.filter((line) => line.endsWith('stored 2')).length, 1);
  });
});
