import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { createDeferred, type Deferred } from '../../src/util/deferred.ts';
import { type FakeIngest, result, storeAll } from '../helpers/fake-ingest.ts';
import {
  MAX_BODY_BYTES,
  MAX_TOTAL_BYTES,
  MAX_WAITING,
  openRaw,
  post,
  startServer,
} from '../helpers/http-server.ts';
import { eventually } from '../helpers/wait.ts';

const POINT = '{"metric":"m","timestamp":1700000000,"value":1,"tags":{"h":"a"}}';

function count(text: string, part: string): number {
  return text.split(part).length - 1;
}

/** Lets submissions wait: each has a gate that stores its rows when opened; `arrived` resolves with the n-th. */
function gates(ingest: FakeIngest): { open(index: number): void; arrived(index: number): Promise<void> } {
  const opened: Deferred<void>[] = [];
  const arrivals: Deferred<void>[] = [];
  const at = (list: Deferred<void>[], index: number): Deferred<void> => (list[index] ??= createDeferred());
  let next = 0;
  ingest.script = async ({ rows }) => {
    const index = next++;
    at(arrivals, index).resolve();
    await at(opened, index).promise;
    return result({ stored: rows.length });
  };
  return { open: (index) => at(opened, index).resolve(), arrived: (index) => at(arrivals, index).promise };
}

describe('a connection', () => {
  it('gets its answer after it has half-closed', async (t) => {
    const server = await startServer(t);
    const gate = gates(server.ingest);
    const halfClosed = new Promise((resolve) => {
      server.app.server.once('connection', (socket: NodeJS.EventEmitter) => socket.once('end', resolve));
    });
    const client = await openRaw(t, server.port);
    client.socket.end(post('/api/put', POINT));
    await gate.arrived(0);
    await halfClosed;
    gate.open(0);
    await client.waitFor('HTTP/1.1 204');
  });

  it('stays open between requests', async (t) => {
    const server = await startServer(t);
    const client = await openRaw(t, server.port);
    client.socket.write(post('/api/put', POINT));
    await client.waitFor('HTTP/1.1 204');
    assert.match(client.received(), /keep-alive: timeout=75/i);
    client.socket.write(post('/write?db=d', 'm v=1'));
    await client.waitFor('x-influxdb-version');
    assert.equal(count(client.received(), 'HTTP/1.1 204'), 2);
  });

  it('may send a body in chunks, as Telegraf does', async (t) => {
    const server = await startServer(t);
    const body = gzipSync('m v=1\nm v=2');
    const client = await openRaw(t, server.port);
    client.socket.write(
      'POST /write?db=d HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n',
    );
    for (const part of [body.subarray(0, 7), body.subarray(7)]) {
      client.socket.write(`${part.length.toString(16)}\r\n`);
      client.socket.write(part);
      client.socket.write('\r\n');
    }
    client.socket.write('0\r\n\r\n');
    await client.waitFor('HTTP/1.1 204');
    assert.equal(server.ingest.submissions[0]?.rows.length, 2);
  });

  it('sees the 413 for a body in chunks while it is still sending, and goes on', async (t) => {
    const server = await startServer(t);
    const client = await openRaw(t, server.port);
    client.socket.write('POST /api/put HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n');
    const part = `${MAX_BODY_BYTES.toString(16)}\r\n${' '.repeat(MAX_BODY_BYTES)}\r\n`;
    client.socket.write(part + part);
    await client.waitFor('HTTP/1.1 413');
    client.socket.write(`${part}0\r\n\r\n`);
    client.socket.write(post('/api/put', POINT));
    await client.waitFor('HTTP/1.1 204');
    assert.equal(server.bodies.stats().bodyBytes, 0);
  });

  it('stores nothing of a body that was cut off', async (t) => {
    const server = await startServer(t);
    for (const cut of ['end', 'resetAndDestroy'] as const) {
      const client = await openRaw(t, server.port);
      const arrived = once(server.app.server, 'request');
      client.socket.write(post('/write?db=d', 'm v=1\nm v=2\n').subarray(0, -4));
      const [request] = (await arrived) as [NodeJS.ReadableStream];
      const ended = new Promise((resolve) => request.once('close', resolve));
      client.socket[cut]();
      await ended;
    }
    const next = await fetch(`${server.url}/ping`);
    assert.equal(next.status, 204);
    assert.deepEqual(server.ingest.submissions, []);
    assert.equal(server.bodies.stats().bodyBytes, 0);
  });

  it('may go away while its points are being stored', async (t) => {
    const server = await startServer(t);
    const gate = gates(server.ingest);
    const client = await openRaw(t, server.port);
    const accepted = once(server.app.server, 'request');
    client.socket.write(post('/api/put', POINT));
    const [request] = (await accepted) as [{ socket: NodeJS.EventEmitter }];
    await gate.arrived(0);
    const closed = new Promise((resolve) => request.socket.once('close', resolve));
    client.socket.resetAndDestroy();
    await closed;
    assert.equal(server.ingest.lent, 1);
    gate.open(0);
    assert.equal((await fetch(`${server.url}/ping`)).status, 204);
    assert.equal(server.ingest.lent, 0);
    assert.deepEqual(server.metrics, ['opentsdb_put stored 1', 'opentsdb_put 204']);
  });
});

describe('pipelined requests', () => {
  it('are stored in the order they were sent, compressed or not', async (t) => {
    const server = await startServer(t);
    const gate = gates(server.ingest);
    const client = await openRaw(t, server.port);
    const slow = gzipSync(`m v=1${' '.repeat(60_000)}`);
    client.socket.write(
      Buffer.concat([
        post('/write?db=a', slow, { 'Content-Encoding': 'gzip' }),
        post('/write?db=b', 'm v=2'),
        post('/write?db=c', 'm v=3'),
      ]),
    );
    for (const [index, database] of ['a', 'b', 'c'].entries()) {
      await gate.arrived(index);
      assert.deepEqual(
        server.ingest.submissions.map((s) => s.database),
        ['a', 'b', 'c'].slice(0, index + 1),
      );
      assert.equal(server.ingest.submissions.at(-1)?.database, database);
      gate.open(index);
    }
    // A connection that still has an answer to come is not idle, and closing the server would wait for it.
    await eventually('all answers', () => client.received().split('HTTP/1.1 204 ').length === 4);
  });

  it('do not overtake when one between them fails early', async (t) => {
    const server = await startServer(t);
    const gate = gates(server.ingest);
    const client = await openRaw(t, server.port);
    client.socket.write(
      Buffer.concat([
        post('/write?db=a', 'm v=1'),
        post('/write?db=b', 'no gzip', { 'Content-Encoding': 'gzip' }),
        post('/write?db=c', 'm v=3'),
      ]),
    );
    await gate.arrived(0);
    assert.equal((await fetch(`${server.url}/ping`)).status, 204);
    assert.deepEqual(
      server.ingest.submissions.map((s) => s.database),
      ['a'],
    );
    gate.open(0);
    gate.open(1);
    await gate.arrived(1);
    await client.waitFor('gzip: invalid header');
    assert.deepEqual(
      server.ingest.submissions.map((s) => s.database),
      ['a', 'c'],
    );
  });

  it('are stored although the client does not wait for the answers', async (t) => {
    const server = await startServer(t);
    const client = await openRaw(t, server.port);
    client.socket.end(Buffer.concat([post('/api/put', POINT), post('/api/put', POINT)]));
    await once(client.socket, 'end');
    assert.equal(server.ingest.submissions.length, 2);
  });

  it('are bounded per connection', async (t) => {
    const server = await startServer(t);
    const gate = gates(server.ingest);
    const client = await openRaw(t, server.port);
    const requests = Array.from({ length: MAX_WAITING + 2 }, () => post('/api/put', POINT));
    let seen = 0;
    const all = new Promise<void>((resolve) => {
      server.app.server.on('request', () => ++seen === requests.length && resolve());
    });
    client.socket.write(Buffer.concat(requests));
    await all;
    for (let i = 0; i <= MAX_WAITING; i++) gate.open(i);
    await client.waitFor('HTTP/1.1 503');
    assert.equal(count(client.received(), 'HTTP/1.1 204'), MAX_WAITING + 1);
    server.ingest.script = storeAll;
    client.socket.write(post('/api/put?summary', POINT));
    await client.waitFor('"success":1');
  });
});

describe('the bytes of all bodies', () => {
  it('are bounded; beyond it requests get 503 until others are done', async (t) => {
    const server = await startServer(t);
    const gate = gates(server.ingest);
    const body = POINT.padEnd(MAX_BODY_BYTES);
    const send = (): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        const request = httpRequest(`${server.url}/api/put`, { method: 'POST', agent: false }, (reply) => {
          reply.resume().on('end', () => resolve(reply.statusCode));
        });
        request.on('error', reject).end(body);
      });
    const fitting = Array.from({ length: MAX_TOTAL_BYTES / MAX_BODY_BYTES }, send);
    await Promise.all(fitting.map((_, index) => gate.arrived(index)));
    assert.equal(server.bodies.stats().bodyBytes, MAX_TOTAL_BYTES);
    assert.equal(await send(), 503);
    assert.deepEqual(server.metrics, ['body overload', 'opentsdb_put 503']);
    fitting.forEach((_, index) => gate.open(index));
    assert.deepEqual(
      await Promise.all(fitting),
      fitting.map(() => 204),
    );
    gate.open(fitting.length);
    assert.equal(await send(), 204);
  });
});
