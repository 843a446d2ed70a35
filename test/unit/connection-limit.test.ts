import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import { createConnectionLimit } from '../../src/http/connection-limit.ts';

function from(remoteAddress: string): Socket {
  return Object.assign(new EventEmitter(), { remoteAddress }) as unknown as Socket;
}

describe('the limit of connections', () => {
  it('holds for each address, and a place is free again when its connection closes', () => {
    const limit = createConnectionLimit(2);
    const first = from('a');
    assert.deepEqual(
      [first, from('a'), from('a'), from('b')].map((socket) => limit.admit(socket)),
      [true, true, false, true],
    );
    assert.deepEqual(limit.stats(), { open: 3, addresses: 2 });
    first.emit('close');
    assert.deepEqual([limit.admit(from('a')), limit.admit(from('a'))], [true, false]);
  });

  it('is none at 0', () => {
    const limit = createConnectionLimit(0);
    const admitted = Array.from({ length: 100 }, () => limit.admit(from('a')));
    assert.ok(!admitted.includes(false));
  });
});
