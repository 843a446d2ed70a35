import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { type ErrorCode, GatewayError } from '../../src/errors.ts';
import { decodeBody } from '../../src/http/body.ts';

const LINES = Buffer.from('cpu,host=a v=1 1700000000000000000\n'.repeat(20));
/** Inflated at once; inflated as a stream for what comes out; and for its length. */
const TEXTS: readonly [string, Buffer][] = [
  ['a short body', LINES],
  ['a body that is short only before', Buffer.concat(Array<Buffer>(3_000).fill(LINES))],
  ['a long body', Buffer.concat([LINES, randomBytes(100_000)])],
];
const NO_LIMITS = { maxBytes: 10_000_000, onBytes: () => {} };

function failsWith(code: ErrorCode, message?: string): (error: unknown) => boolean {
  return (error) =>
    error instanceof GatewayError &&
    error.code === code &&
    (message === undefined || error.message === message);
}

async function decode(body: Buffer, encoding: string | undefined, maxBytes = 10_000_000): Promise<Buffer> {
  return decodeBody(body, encoding, { maxBytes, onBytes: () => {} });
}

for (const [what, text] of TEXTS) describe(`decodeBody: ${what}`, () => testBody(text));

function testBody(text: Buffer): void {
  const good: readonly [string, Buffer, string | undefined][] = [
    ['no encoding', text, undefined],
    ['an empty encoding', text, ''],
    ['identity', text, 'Identity'],
    ['none', text, 'none'],
    ['gzip', gzipSync(text), 'gzip'],
    ['GZIP with blanks', gzipSync(text), ' GZIP '],
    ['x-gzip', gzipSync(text), 'x-gzip'],
    [
      'gzip in two members',
      Buffer.concat([gzipSync(text.subarray(0, 9)), gzipSync(text.subarray(9))]),
      'gzip',
    ],
    ['deflate with a zlib header', deflateSync(text), 'deflate'],
    ['deflate without one', deflateRawSync(text), 'deflate'],
    ['x-deflate', deflateSync(text), 'x-deflate'],
  ];
  for (const [name, body, encoding] of good) {
    it(`undoes ${name}`, async () => assert.deepEqual(await decode(body, encoding), text));
  }

  it('hands a plain body on at once, the same bytes', () => {
    assert.equal(decodeBody(text, undefined, NO_LIMITS), text);
  });

  it('takes an empty body for empty, whatever its encoding', async () => {
    for (const encoding of ['gzip', 'deflate', 'br']) {
      assert.equal((await decode(Buffer.alloc(0), encoding)).length, 0);
    }
  });

  const bad: readonly [string, Buffer, string, ErrorCode, string?][] = [
    ['an unknown encoding', text, 'br', 'encoding_unsupported'],
    ['two encodings', gzipSync(text), 'gzip, gzip', 'encoding_unsupported'],
    ['what is no gzip', text, 'gzip', 'body_malformed', 'gzip: invalid header'],
    ['one byte of gzip', gzipSync(text).subarray(0, 1), 'gzip', 'body_malformed'],
    ['truncated gzip', gzipSync(text).subarray(0, -9), 'gzip', 'body_malformed', 'unexpected EOF'],
    ['gzip without its trailer', gzipSync(text).subarray(0, -1), 'gzip', 'body_malformed', 'unexpected EOF'],
    ['text after gzip', Buffer.concat([gzipSync(text), text]), 'gzip', 'body_malformed'],
    ['truncated deflate', deflateSync(text).subarray(0, -5), 'deflate', 'body_malformed', 'unexpected EOF'],
    ['what is no deflate', Buffer.from([0xff, 0xff, 0xff]), 'deflate', 'body_malformed'],
  ];
  for (const [name, body, encoding, code, message] of bad) {
    it(`refuses ${name}`, async () => assert.rejects(decode(body, encoding), failsWith(code, message)));
  }

  it('refuses a wrong checksum', async () => {
    const body = gzipSync(text);
    body.writeUInt32LE((body.readUInt32LE(body.length - 8) ^ 1) >>> 0, body.length - 8);
    await assert.rejects(decode(body, 'gzip'), failsWith('body_malformed'));
  });

  it('allows exactly the limit', async () => {
    assert.equal((await decode(gzipSync(text), 'gzip', text.length)).length, text.length);
    await assert.rejects(decode(gzipSync(text), 'gzip', text.length - 1), failsWith('body_too_large'));
  });

  it('stops a bomb after the limit, not at its end', async () => {
    let seen = 0;
    const bomb = gzipSync(Buffer.concat([text, Buffer.alloc(50_000_000)]));
    const onBytes = (bytes: number): void => {
      seen += bytes;
    };
    await assert.rejects(
      async () => decodeBody(bomb, 'gzip', { maxBytes: 100_000, onBytes }),
      failsWith('body_too_large'),
    );
    assert.ok(seen <= 100_000, String(seen));
  });

  it('stops when the budget of all bodies is used up', async () => {
    const onBytes = (): void => {
      throw new GatewayError('overload', 'full');
    };
    await assert.rejects(
      async () => decodeBody(gzipSync(text), 'gzip', { ...NO_LIMITS, onBytes }),
      failsWith('overload'),
    );
  });
}
