import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { pageOf } from '../../src/admin/page.ts';

const itself = (key: string): string => key;

describe('pages', () => {
  it('list everything exactly once, in order, whatever the names and the size of a page', () => {
    const names = fc.uniqueArray(fc.string({ unit: 'binary' }));
    fc.assert(
      fc.property(names, fc.integer({ min: 1, max: 7 }), (keys, limit) => {
        const seen: string[] = [];
        for (let cursor: string | undefined, first = true; first || cursor !== undefined; first = false) {
          const page = pageOf(keys, itself, { limit, cursor });
          assert.ok(page.items.length <= limit);
          seen.push(...page.items);
          cursor = page.next;
        }
        assert.deepEqual(seen, [...keys].sort());
      }),
    );
  });

  it('go on after a key that is gone', () => {
    const { next } = pageOf(['a', 'b', 'c'], itself, { limit: 2 });
    assert.deepEqual(pageOf(['a', 'c', 'd'], itself, { limit: 9, cursor: next }).items, ['c', 'd']);
  });

  it('bear a cursor that nobody gave out', () => {
    fc.assert(
      fc.property(fc.string(), (cursor) => {
        assert.ok(pageOf(['a'], itself, { limit: 1, cursor }).items.length <= 1);
      }),
    );
  });
});
