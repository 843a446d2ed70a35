import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { describe, it } from 'node:test';
import { readCredentials } from '../../src/http/credentials.ts';
import type { Credentials } from '../../src/model/access.ts';

const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;
const password = (user: string, secret: string): Credentials => ({
  kind: 'password',
  user,
  password: secret,
});
const token = (text: string): Credentials => ({ kind: 'token', token: text });

describe('credentials of a request', () => {
  const cases: readonly [url: string, headers: IncomingMessage['headers'], Credentials | undefined][] = [
    ['/write?db=x', {}, undefined],
    ['/write?u=ann&p=s%26x', {}, password('ann', 's&x')],
    ['/write?p=x', {}, undefined],
    ['/write?u=&p=x', { authorization: 'Token t' }, token('t')],
    ['/write?u=ann&p=x', { authorization: 'Token t' }, password('ann', 'x')],
    ['/', { authorization: basic('ann:a:b') }, password('ann', 'a:b')],
    ['/', { authorization: basic('ann') }, undefined],
    ['/', { authorization: 'Token ann:tok' }, password('ann', 'tok')],
    ['/', { authorization: 'tOKEN tok' }, token('tok')],
    ['/', { authorization: 'bearer  tok' }, token('tok')],
    ['/', { authorization: 'Digest tok' }, undefined],
    ['/', { authorization: 'Token ' }, undefined],
    ['/', { 'x-greptime-auth': basic('ann:x') }, password('ann', 'x')],
    ['/', { authorization: 'Token t', 'x-greptime-auth': basic('ann:x') }, token('t')],
  ];
  for (const [url, headers, expected] of cases) {
    it(`reads ${url} ${JSON.stringify(headers)}`, () => {
      assert.deepEqual(readCredentials({ url, headers } as IncomingMessage), expected);
    });
  }
});
