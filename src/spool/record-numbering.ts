/**
 * Numbers for the tag sets and fields of one table in one record, in order of appearance. Rows mostly repeat them in
 * the same order, so the one after the last is guessed; few are searched in order, many through a map, or a request
 * with a new field in each of its rows would cost the square of their number. Nothing is allocated for few.
 */

const FEW = 8;
const MAX_GUESSED = 1_024;

/** Numbers of the things seen since `clear`. */
export class Numbering<T extends object> {
  size = 0;
  private readonly items: (T | undefined)[] = [];
  private readonly numbers = new Map<T, number>();
  private next = 0;

  clear(): void {
    if (this.size > FEW) {
      this.numbers.clear();
      this.items.length = 0;
    } else for (let i = 0; i < this.size; i++) this.items[i] = undefined;
    this.size = this.next = 0;
  }

  /** The number of the item: what `size` was before when the item is new. */
  of(item: T): number {
    const guess = this.next < this.size ? this.next : 0;
    const number = this.items[guess] === item ? guess : this.search(item);
    this.next = number + 1;
    return number;
  }

  private search(item: T): number {
    const few = Math.min(this.size, FEW);
    for (let i = 0; i < few; i++) if (this.items[i] === item) return i;
    const known = this.size > FEW ? this.numbers.get(item) : undefined;
    if (known !== undefined) return known;
    const number = this.size++;
    if (number < MAX_GUESSED) this.items[number] = item;
    if (number >= FEW) this.numbers.set(item, number);
    return number;
  }
}
