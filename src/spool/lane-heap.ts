/** A heap of things that are due at some time; each knows its place, so that it can be taken out before. */

/** Something in at most one heap. `place` belongs to the heap; 0: it is in none. */
export interface Timed {
  dueMs: number;
  place: number;
}

/** See the module comment. Adding and removing take logarithmic time. */
export class TimedHeap<T extends Timed> {
  /** No item is due before its parent, the one at half its index. The first place is not used. */
  private readonly items: (T | undefined)[] = [undefined];

  get size(): number {
    return this.items.length - 1;
  }

  /** What is due first. */
  get first(): T | undefined {
    return this.items[1];
  }

  add(item: T): void {
    this.items.push(item);
    this.rise(item, this.items.length - 1);
  }

  /** Takes an item out that is in the heap. */
  remove(item: T): void {
    const { items } = this;
    const { place } = item;
    const last = items.pop() as T;
    item.place = 0;
    if (last === item) return;
    if (place > 1 && (items[place >> 1] as T).dueMs > last.dueMs) this.rise(last, place);
    else this.sink(last, place);
  }

  private rise(item: T, from: number): void {
    let at = from;
    for (let up = at >> 1; up >= 1 && (this.items[up] as T).dueMs > item.dueMs; up = at >> 1) {
      this.put(this.items[up] as T, at);
      at = up;
    }
    this.put(item, at);
  }

  private sink(item: T, from: number): void {
    const { items } = this;
    let at = from;
    for (let down = at * 2; down < items.length; down = at * 2) {
      if (down + 1 < items.length && (items[down + 1] as T).dueMs < (items[down] as T).dueMs) down++;
      if ((items[down] as T).dueMs >= item.dueMs) break;
      this.put(items[down] as T, at);
      at = down;
    }
    this.put(item, at);
  }

  private put(item: T, at: number): void {
    this.items[at] = item;
    item.place = at;
  }
}
