/** What comes over a connection when nobody is kind: broken framing, odd but legal requests, bodies without an end. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import { openRaw, post, startServer } from '../helpers/http-server.ts';

const LINE = 'm v=1';
const POINT = '{"metric":"m","timestamp":1700000000,"value":1,"tags":{"h":"a"}}';

/** A write with these header lines and this text after them. */
function write(headers: string, rest: string, path = '/write?db=d'): Buffer {
  return Buffer.from(`POST ${path} HTTP/1.1\r\nHost: x\r\n${headers}\r\n\r\n${rest}`, 'latin1');
}

const chunked = 'Transfer-Encoding: chunked';
const chunks = `5\r\n${LINE}\r\n0\r\n\r\n`;

describe('a request whose end is open to doubt is refused, nothing of it is stored, and the connection ends', () => {
  const refused: [string, Buffer, number?][] = [
    ['a length and chunks', write(`Content-Length: 5\r\n${chunked}`, chunks)],
    ['two lengths', write('Content-Length: 5\r\nContent-Length: 6', `${LINE}\n`)],
    ['the same length twice', write('Content-Length: 5\r\nContent-Length: 5', LINE)],
    ['a length with a sign', write('Content-Length: +5', LINE)],
    ['a length below 0', write('Content-Length: -1', LINE)],
    ['a length in hexadecimal', write('Content-Length: 0x5', LINE)],
    ['a length beyond 64 bits', write('Content-Length: 99999999999999999999999', LINE)],
    ['a blank before the colon', write('Content-Length : 5', LINE)],
    ['an unknown transfer encoding', write('Transfer-Encoding: xchunked', chunks)],
    ['chunks that are not the last encoding', write('Transfer-Encoding: chunked, identity', chunks)],
    ['two transfer encodings', write(`${chunked}\r\nTransfer-Encoding: identity`, chunks)],
    ['a chunk size that is no number', write(chunked, `zz\r\n${LINE}\r\n0\r\n\r\n`)],
    ['a chunk longer than its size', write(chunked, `3\r\n${LINE}\r\n0\r\n\r\n`)],
    ['a chunk size beyond 64 bits', write(chunked, `ffffffffffffffffff\r\n${LINE}\r\n0\r\n\r\n`)],
    [
      'lines that end without CR',
      Buffer.from(`POST /write?db=d HTTP/1.1\nHost: x\nContent-Length: 5\n\n${LINE}`),
    ],
    ['a body of HTTP/1.0 without a length', Buffer.from(`POST /write?db=d HTTP/1.0\r\n\r\n${LINE}`)],
    ['no host', Buffer.from(`POST /write?db=d HTTP/1.1\r\nContent-Length: 5\r\n\r\n${LINE}`)],
    ['a telnet put', Buffer.from('put m 1700000000 1 h=a\n')],
    ['a telnet put in capitals', Buffer.from('PUT m 1700000000 1 h=a\n')],
    ['HTTP/2', Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')],
    ['TLS', Buffer.from([0x16, 3, 1, 0, 0xa5, 1, 0, 0, 0xa1, 3, 3])],
    ['a header of 20,000 bytes', write(`X: ${'y'.repeat(20_000)}`, ''), 431],
  ];
  for (const [what, bytes, status = 400] of refused) {
    it(what, async (t) => {
      const server = await startServer(t);
      const client = await openRaw(t, server.port);
      client.socket.write(bytes);
      await once(client.socket, 'end');
      const [head = '', body = ''] = client.received().split('\r\n\r\n');
      assert.match(head, new RegExp(`^HTTP/1.1 ${status} `));
      assert.match(head, /\r\nConnection: close/i);
      // Telegraf sends again for ever what was refused with a body that is neither JSON nor empty.
      if (/\r\nContent-Length: /i.test(head)) JSON.parse(body);
      else assert.equal(body, '0');
      assert.equal(client.received().split('HTTP/1.1').length, 2, 'one answer');
      assert.deepEqual(server.ingest.submissions, []);
      assert.equal(server.bodies.stats().bodyBytes, 0);
    });
  }
});

describe('an odd but legal request is taken', () => {
  const taken: [string, Buffer, string][] = [
    [
      'chunk extensions and trailers',
      write(chunked, `5;a=b\r\n${LINE}\r\n0\r\nX: y\r\n\r\n`),
      'HTTP/1.1 204',
    ],
    [
      'HTTP/1.0',
      Buffer.from(`POST /write?db=d HTTP/1.0\r\nContent-Length: 5\r\n\r\n${LINE}`),
      'HTTP/1.1 204',
    ],
    [
      'an upgrade to HTTP/2 that is not taken up',
      write(
        'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\nContent-Length: 5',
        LINE,
      ),
      'HTTP/1.1 204',
    ],
    [
      'Expect: 100-continue',
      write('Expect: 100-continue\r\nContent-Length: 5', LINE),
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204',
    ],
    ['a whole URL', post('http://gateway:4242/write?db=d', LINE), 'HTTP/1.1 204'],
    ['a whole URL with a version', post('http://gateway:4242/API/v1/Put', POINT), 'HTTP/1.1 204'],
    [
      'bytes beyond ASCII in a request id',
      post('/write?db=d', LINE, { 'X-Request-Id': '\xe9\xff' }),
      '\xe9\xff',
    ],
    ['a parameter that is not well encoded', post('/write?db=%zz', LINE), 'HTTP/1.1 204'],
    [
      'a body byte by byte',
      write(
        chunked,
        [...LINE.split(''), '\n', '#'.repeat(9)]
          .map((part) => `${part.length.toString(16)}\r\n${part}\r\n`)
          .join('') + '0\r\n\r\n',
      ),
      'HTTP/1.1 204',
    ],
  ];
  for (const [what, bytes, answer] of taken) {
    it(what, async (t) => {
      const server = await startServer(t);
      const client = await openRaw(t, server.port);
      client.socket.write(bytes);
      await client.waitFor(answer);
      assert.equal(server.ingest.submissions[0]?.rows.length, 1);
    });
  }
});

describe('a method that is not POST', () => {
  const cases: [string, string, number][] = [
    ['HEAD', '/ping', 204],
    ['HEAD', '/version', 200],
    ['HEAD', '/write', 405],
    ['HEAD', '/api/v2/write', 405],
    ['HEAD', '/api/put', 405],
    ['HEAD', '/api/nothing', 404],
    ['OPTIONS', '/write', 204],
    ['OPTIONS', '/api/v2/write', 204],
    ['OPTIONS', '/ping', 204],
    ['OPTIONS', '/api/put', 405],
    ['TRACE', '/write', 404],
  ];
  for (const [method, path, status] of cases) {
    it(`${method} ${path} is answered with ${status}, without a body after HEAD`, async (t) => {
      const server = await startServer(t);
      const client = await openRaw(t, server.port);
      client.socket.write(
        `${method} ${path} HTTP/1.1\r\nHost: x\r\n\r\nGET /ping?verbose=1 HTTP/1.1\r\nHost: x\r\n\r\n`,
      );
      await client.waitFor('{"version":"1.8.10"}');
      const [first = ''] = client.received().split('\r\n\r\n');
      assert.match(first, new RegExp(`^HTTP/1.1 ${status} `));
      if (method === 'HEAD') assert.match(client.received().slice(first.length + 4), /^HTTP\/1.1 200 /);
    });
  }
});

describe('a body that nobody wants', () => {
  /** Sends chunks until the connection ends. */
  async function sendForEver(socket: Socket): Promise<void> {
    const chunk = `10000\r\n${'#'.repeat(65_536)}\r\n`;
    while (!socket.destroyed) {
      if (socket.write(chunk)) continue;
      await Promise.race([once(socket, 'drain'), once(socket, 'close')]).catch(() => undefined);
    }
  }

  const cases: [string, string, string][] = [
    ['is too large', '/write?db=d', 'HTTP/1.1 413'],
    ['was refused by its parameters', '/write?db=d&precision=x', 'HTTP/1.1 400'],
    ['is for OpenTSDB', '/api/put', 'HTTP/1.1 413'],
    ['is for no endpoint', '/nothing', 'HTTP/1.1 404'],
  ];
  for (const [what, path, answer] of cases) {
    it(`is answered, and its sender cut off when it does not end: ${what}`, async (t) => {
      const server = await startServer(t);
      const client = await openRaw(t, server.port);
      client.socket.setMaxListeners(0);
      client.socket.write(write(chunked, '', path));
      const answered = client.waitFor(answer);
      await Promise.all([answered, sendForEver(client.socket)]);
      assert.equal(server.bodies.stats().bodyBytes, 0);
      assert.deepEqual(server.ingest.submissions, []);
    });
  }
});

describe('a request that does not come in time', () => {
  it('gets no answer, because Telegraf throws away what is answered with 408', async (t) => {
    const server = await startServer(t);
    const accepted = once(server.app.server, 'connection');
    const client = await openRaw(t, server.port);
    const [socket] = (await accepted) as [Socket];
    const arrived = once(server.app.server, 'request');
    client.socket.write(post('/write?db=d', LINE).subarray(0, -1));
    await arrived;
    const ended = once(client.socket, 'end');
    const late = Object.assign(new Error('late'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' });
    server.app.server.emit('clientError', late, socket);
    await ended;
    assert.equal(client.received(), '');
    assert.deepEqual(server.ingest.submissions, []);
  });
});
