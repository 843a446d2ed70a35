import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import { TelnetReplies } from '../../src/tcp/telnet-replies.ts';

/** Replies into a list; `now` is the clock. */
function rig() {
  const written: string[] = [];
  const state = { writable: true, writableLength: 0, now: 0, dropped: 0 };
  const socket = {
    get writable() {
      return state.writable;
    },
    get writableLength() {
      return state.writableLength;
    },
    write: (text: string) => written.push(text),
  } as unknown as Socket;
  const metrics = { replyDropped: (lines: number) => void (state.dropped += lines) };
  return { written, state, replies: new TelnetReplies(socket, { now: () => state.now }, metrics) };
}

describe('telnet replies', () => {
  it('are gathered within bounds while input waits, and the rest is counted', () => {
    const { replies, written, state } = rig();
    for (let i = 0; i < 10_000; i++) replies.answer('x'.repeat(99) + '\n');
    replies.flush();
    assert.ok(written.join('').length <= 65_536);
    assert.equal(written.join('').length / 100 + state.dropped, 10_000);
    replies.answer('again\n');
    replies.flush();
    assert.equal(written.at(-1), 'again\n');
  });

  it('cut what they repeat of a line, and say how many lines they leave out', () => {
    const { replies, written } = rig();
    for (let i = 0; i < 60; i++) replies.error(`put: ${'y'.repeat(5_000)}`);
    replies.error(undefined, 7);
    replies.flush();
    const lines = (written[0] ?? '').trimEnd().split('\n');
    assert.deepEqual(
      [lines.length, lines[0]?.length, lines.at(-1)],
      [51, 1_024, 'put: 17 more lines were not taken'],
    );
  });

  it('are given up when the client takes nothing, or has gone', () => {
    for (const [writable, writableLength] of [
      [true, 100_000],
      [false, 0],
    ] as const) {
      const { replies, written, state } = rig();
      Object.assign(state, { writable, writableLength });
      replies.answer('a\n');
      replies.error('b');
      replies.flush();
      assert.deepEqual([written, state.dropped], [[], 2]);
    }
  });

  it('tell more in the next second', () => {
    const { replies, written, state } = rig();
    for (const second of [1, 2]) {
      state.now = second * 1_000;
      for (let i = 0; i < 60; i++) replies.error('e');
      replies.flush();
    }
    assert.deepEqual(
      written.map((text) => text.split('\n').filter((line) => line === 'e').length),
      [50, 50],
    );
  });
});
