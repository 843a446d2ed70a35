import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { Heap } from '../../src/util/heap.ts';
import { createTopCounter } from '../../src/util/top-counter.ts';

interface Item {
  rank: number;
  place: number;
}

describe('a heap', () => {
  it('has the same first item as a sorted list, whatever is added, moved and removed', () => {
    const step = fc.oneof(
      fc.record({ add: fc.integer({ min: 0, max: 20 }) }),
      fc.record({ remove: fc.nat({ max: 50 }) }),
      fc.record({ grow: fc.nat({ max: 50 }), by: fc.integer({ min: 1, max: 20 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const heap = new Heap<Item>(({ rank }) => rank);
        const items: Item[] = [];
        for (const one of steps) {
          if ('add' in one) {
            const item = { rank: one.add, place: 0 };
            heap.add(item);
            items.push(item);
          } else if ('grow' in one && items.length > 0) {
            const item = items[one.grow % items.length] as Item;
            item.rank += one.by;
            heap.grew(item);
          } else if ('remove' in one && items.length > 0) {
            const [item] = items.splice(one.remove % items.length, 1);
            heap.remove(item as Item);
            assert.equal(item?.place, 0);
          }
          assert.equal(heap.size, items.length);
          const least = items.length === 0 ? undefined : Math.min(...items.map(({ rank }) => rank));
          assert.equal(heap.first?.rank, least);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('a counter of what occurs most', () => {
  it('is never too low, is too high by its excess at most, and has every key that occurs often', () => {
    const keys = fc.array(
      fc.oneof(fc.constantFrom('a', 'b', 'c'), fc.integer({ min: 0, max: 30 }).map(String)),
      { maxLength: 300 },
    );
    fc.assert(
      fc.property(keys, fc.integer({ min: 1, max: 8 }), (stream, max) => {
        const counter = createTopCounter(max);
        const truth = new Map<string, number>();
        for (const key of stream) {
          counter.add(key);
          truth.set(key, (truth.get(key) ?? 0) + 1);
        }
        const found = counter.top(max);
        assert.ok(found.length <= max && counter.stats().size === found.length);
        const bound = stream.length / max;
        for (const { key, count, excess } of found) {
          const times = truth.get(key) ?? 0;
          assert.ok(count >= times && count - excess <= times && excess <= bound, key);
        }
        const names = new Set(found.map(({ key }) => key));
        for (const [key, times] of truth) assert.ok(times <= bound || names.has(key), key);
        assert.equal(
          found.reduce((sum, { count }) => sum + count, 0),
          stream.length,
        );
      }),
      { numRuns: 500 },
    );
  });

  it('gives the most first, as many as are wanted', () => {
    const counter = createTopCounter(3);
    for (const key of ['x', 'y', 'y', 'z', 'y', 'z']) counter.add(key);
    assert.deepEqual(counter.top(2), [
      { key: 'y', count: 3, excess: 0 },
      { key: 'z', count: 2, excess: 0 },
    ]);
    assert.equal(counter.stats().replaced, 0);
  });
});
