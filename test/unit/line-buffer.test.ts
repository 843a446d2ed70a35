import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { LineBuffer } from '../../src/tcp/line-buffer.ts';

describe('the line buffer', () => {
  it('gives whole lines only, and all bytes in their order, wherever they are cut', () => {
    const text = fc.array(fc.constantFrom('a', 'bc', '\n', '\r\n', 'é'), { maxLength: 60 });
    const cuts = fc.array(fc.nat(80), { maxLength: 20 });
    fc.assert(
      fc.property(text, cuts, (parts, places) => {
        const bytes = Buffer.from(parts.join(''));
        const ends = [...new Set([...places.filter((at) => at < bytes.length), bytes.length])].sort(
          (a, b) => a - b,
        );
        const buffer = new LineBuffer();
        const out: Buffer[] = [];
        let from = 0;
        for (const end of ends) {
          const lines = buffer.push(bytes.subarray(from, end));
          from = end;
          if (lines === undefined) continue;
          assert.equal(lines.at(-1), 0x0a);
          out.push(lines);
        }
        const pending = buffer.pending;
        const last = buffer.finish();
        assert.equal(last === undefined, pending === 0);
        if (last !== undefined) out.push(last.subarray(0, -1));
        assert.deepEqual(Buffer.concat(out), bytes);
      }),
    );
  });
});
