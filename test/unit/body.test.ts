import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { type ErrorCode, GatewayError } from '../../src/errors.ts';
import { decodeBody } from '../../src/http/body.ts';

const TEXT = Buffer.from('cpu,host=a v=1 1700000000000000000\n'.repeat(20));
const NO_LIMITS = { maxBytes: 1_000_000, onBytes: () => {} };

function failsWith(code: ErrorCode, message?: string): (error: unknown) => boolean {
  return (error) =>
    error instanceof GatewayError &&
    error.code === code &&
    (message === undefined || error.message === message);
}

async function decode(body: Buffer, encoding: string | undefined, maxBytes = 1_000_000): Promise<Buffer> {
  return decodeBody(body, encoding, { maxBytes, onBytes: () => {} });
}

describe('decodeBody', () => {
  const good: readonly [string, Buffer, string | undefined][] = [
    ['no encoding', TEXT, undefined],
    ['an empty encoding', TEXT, ''],
    ['identity', TEXT, 'Identity'],
    ['none', TEXT, 'none'],
    ['gzip', gzipSync(TEXT), 'gzip'],
    ['GZIP with blanks', gzipSync(TEXT), ' GZIP '],
    ['x-gzip', gzipSync(TEXT), 'x-gzip'],
    [
      'gzip in two members',
      Buffer.concat([gzipSync(TEXT.subarray(0, 9)), gzipSync(TEXT.subarray(9))]),
      'gzip',
    ],
    ['deflate with a zlib header', deflateSync(TEXT), 'deflate'],
    ['deflate without one', deflateRawSync(TEXT), 'deflate'],
    ['x-deflate', deflateSync(TEXT), 'x-deflate'],
  ];
  for (const [name, body, encoding] of good) {
    it(`undoes ${name}`, async () => assert.deepEqual(await decode(body, encoding), TEXT));
  }

  it('hands a plain body on at once, the same bytes', () => {
    assert.equal(decodeBody(TEXT, undefined, NO_LIMITS), TEXT);
  });

  it('takes an empty body for empty, whatever its encoding', async () => {
    for (const encoding of ['gzip', 'deflate', 'br']) {
      assert.equal((await decode(Buffer.alloc(0), encoding)).length, 0);
    }
  });

  const bad: readonly [string, Buffer, string, ErrorCode, string?][] = [
    ['an unknown encoding', TEXT, 'br', 'encoding_unsupported'],
    ['two encodings', gzipSync(TEXT), 'gzip, gzip', 'encoding_unsupported'],
    ['what is no gzip', TEXT, 'gzip', 'body_malformed', 'gzip: invalid header'],
    ['one byte of gzip', gzipSync(TEXT).subarray(0, 1), 'gzip', 'body_malformed'],
    ['truncated gzip', gzipSync(TEXT).subarray(0, -9), 'gzip', 'body_malformed', 'unexpected EOF'],
    ['gzip without its trailer', gzipSync(TEXT).subarray(0, -1), 'gzip', 'body_malformed', 'unexpected EOF'],
    ['text after gzip', Buffer.concat([gzipSync(TEXT), TEXT]), 'gzip', 'body_malformed'],
    ['truncated deflate', deflateSync(TEXT).subarray(0, -5), 'deflate', 'body_malformed', 'unexpected EOF'],
    ['what is no deflate', Buffer.from([0xff, 0xff, 0xff]), 'deflate', 'body_malformed'],
  ];
  for (const [name, body, encoding, code, message] of bad) {
    it(`refuses ${name}`, async () => assert.rejects(decode(body, encoding), failsWith(code, message)));
  }

  it('refuses a wrong checksum', async () => {
    const body = gzipSync(TEXT);
    body.writeUInt32LE(body.readUInt32LE(body.length - 8) ^ 1, body.length - 8);
    await assert.rejects(decode(body, 'gzip'), failsWith('body_malformed'));
  });

  it('allows exactly the limit', async () => {
    assert.equal((await decode(gzipSync(TEXT), 'gzip', TEXT.length)).length, TEXT.length);
    await assert.rejects(decode(gzipSync(TEXT), 'gzip', TEXT.length - 1), failsWith('body_too_large'));
  });

  it('stops a bomb after the limit, not at its end', async () => {
    let seen = 0;
    const bomb = gzipSync(Buffer.alloc(50_000_000));
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
      async () => decodeBody(gzipSync(TEXT), 'gzip', { maxBytes: 100_000, onBytes }),
      failsWith('overload'),
    );
  });
});
