import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import {
  equalsWords,
  hashBytes,
  hashed,
  hashUntil,
  packWords,
  viewOf,
  wordsFor,
} from '../../src/protocol/bytes.ts';

const bytes = fc.uint8Array({ maxLength: 40 });

describe('byte ranges', () => {
  it('hashUntil finds the first stop byte and hashes what hashBytes hashes', () => {
    fc.assert(
      fc.property(bytes, bytes, fc.integer(), fc.nat(7), (before, after, seed, skip) => {
        const clean = before.map((byte) => (byte === 0x20 ? 0x21 : byte));
        const text = new Uint8Array([...Array.from({ length: skip }, () => 1), ...clean, 0x20, ...after]);
        const view = viewOf(text);
        assert.equal(hashUntil(view, skip, 0x20, seed), skip + clean.length);
        assert.equal(hashed.hash, hashBytes(view, skip, skip + clean.length, seed));
      }),
      { numRuns: 2_000 },
    );
  });

  it('hashUntil answers the end when there is no stop byte', () => {
    const view = viewOf(Buffer.from('abcdefghijk'));
    assert.equal(hashUntil(view, 2, 0x20, 1), 11);
    assert.equal(hashed.hash, hashBytes(view, 2, 11, 1));
  });

  it('the hash depends on the range alone, not on what stands around it', () => {
    fc.assert(
      fc.property(bytes, bytes, bytes, (before, range, after) => {
        const alone = hashBytes(viewOf(range), 0, range.length, 7);
        const text = new Uint8Array([...before, ...range, ...after]);
        assert.equal(hashBytes(viewOf(text), before.length, before.length + range.length, 7), alone);
      }),
    );
  });

  it('equalsWords is true for the range packed, false when any byte differs', () => {
    fc.assert(
      fc.property(bytes, bytes, fc.nat(), (range, after, at) => {
        const words = new Int32Array(wordsFor(range.length) + 2).fill(-1);
        const view = viewOf(range);
        assert.equal(packWords(view, 0, range.length, words, 0), wordsFor(range.length));
        const text = new Uint8Array([...range, ...after]);
        assert.equal(equalsWords(viewOf(text), 0, range.length, words, 0), true);
        if (range.length === 0) return;
        text[at % range.length] = (text[at % range.length] as number) ^ 0x41;
        assert.equal(equalsWords(viewOf(text), 0, range.length, words, 0), false);
      }),
      { numRuns: 2_000 },
    );
  });
});
