/** A heap of things of some rank, smallest first; each knows its place, so that it can be moved or taken out. */

/** Something in at most one heap. `place` belongs to the heap; 0: it is in none. */
export interface Placed {
  place: number;
}

/** See the module comment. Adding, moving and removing take logarithmic time. */
export class Heap<T extends Placed> {
  /** No item ranks before its parent, the one at half its index. The first place is not used. */
  private readonly items: (T | undefined)[] = [undefined];
  private readonly rankOf: (item: T) => number;

  /** The rank of an item in the heap may only grow, and then `grew` must be called. */
  constructor(rankOf: (item: T) => number) {
    this.rankOf = rankOf;
  }

  get size(): number {
    return this.items.length - 1;
  }

  /** What has the smallest rank. */
  get first(): T | undefined {
    return this.items[1];
  }

  add(item: T): void {
    this.items.push(item);
    this.rise(item, this.items.length - 1);
  }

  /** The rank of an item in the heap has grown. */
  grew(item: T): void {
    this.sink(item, item.place);
  }

  /** Takes an item out that is in the heap. */
  remove(item: T): void {
    const { items } = this;
    const { place } = item;
    const last = items.pop() as T;
    item.place = 0;
    if (last === item) return;
    if (place > 1 && this.rankAt(place >> 1) > this.rankOf(last)) this.rise(last, place);
    else this.sink(last, place);
  }

  private rise(item: T, from: number): void {
    const rank = this.rankOf(item);
    let at = from;
    for (let up = at >> 1; up >= 1 && this.rankAt(up) > rank; up = at >> 1) {
      this.put(this.items[up] as T, at);
      at = up;
    }
    this.put(item, at);
  }

  private sink(item: T, from: number): void {
    const { items } = this;
    const rank = this.rankOf(item);
    let at = from;
    for (let down = at * 2; down < items.length; down = at * 2) {
      if (down + 1 < items.length && this.rankAt(down + 1) < this.rankAt(down)) down++;
      if (this.rankAt(down) >= rank) break;
      this.put(items[down] as T, at);
      at = down;
    }
    this.put(item, at);
  }

  private rankAt(place: number): number {
    return this.rankOf(this.items[place] as T);
  }

  private put(item: T, at: number): void {
    this.items[at] = item;
    item.place = at;
  }
}
