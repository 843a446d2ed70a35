/**
 * Counts the keys that occur most in a stream of any number of keys, in bounded memory ("space-saving", Metwally et al.
 * 2005): a key that finds no place takes that of the key counted least, and its count as its own possible excess. So
 * no count is too small, none exceeds the truth by more than its `excess`, no excess is more than `total / max`, and
 * each key that occurred more often than that is there.
 */
import { Heap, type Placed } from './heap.ts';

/** A key and how often it occurred: at most `count`, at least `count - excess` times. */
export interface TopCount {
  readonly key: string;
  readonly count: number;
  readonly excess: number;
}

/** See the module comment. */
export interface TopCounter {
  /** The key occurred once more. */
  add(key: string): void;
  /** The `limit` keys counted most, most first. */
  top(limit: number): TopCount[];
  /** Keys that have a place, how often one lost it, and all that was added. */
  stats(): { readonly size: number; readonly replaced: number; readonly total: number };
}

interface Slot extends Placed {
  key: string;
  count: number;
  excess: number;
}

/** `max`: keys that have a place; at least 1. */
export function createTopCounter(max: number): TopCounter {
  const slots = new Map<string, Slot>();
  const heap = new Heap<Slot>(({ count }) => count);
  let total = 0;
  let replaced = 0;

  function take(key: string): Slot {
    if (slots.size < max) {
      const slot = { key, count: 0, excess: 0, place: 0 };
      heap.add(slot);
      return slot;
    }
    const least = heap.first as Slot;
    slots.delete(least.key);
    least.key = key;
    least.excess = least.count;
    replaced++;
    return least;
  }

  return {
    add(key) {
      total++;
      let slot = slots.get(key);
      if (slot === undefined) slots.set(key, (slot = take(key)));
      slot.count++;
      heap.grew(slot);
    },
    top: (limit) =>
      Array.from(slots.values(), ({ key, count, excess }) => ({ key, count, excess }))
        .sort((a, b) => b.count - a.count || (a.key < b.key ? -1 : 1))
        .slice(0, limit),
    stats: () => ({ size: slots.size, replaced, total }),
  };
}
