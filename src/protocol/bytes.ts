/**
 * Scanning, hashing and comparing of byte ranges, eight or four bytes at a time. Ranges are cut at any byte, so the
 * last word of a range is masked rather than read byte by byte: branches on the length would be mispredicted.
 */

const LOW_BITS = 0x01010101;
const HIGH_BITS = 0x80808080 | 0;
/** By number of bytes to keep, 0 to 8: the mask for the first and for the second word of eight bytes. */
const FIRST_MASK = Int32Array.of(0, 0xff, 0xffff, 0xffffff, -1, -1, -1, -1, -1);
const SECOND_MASK = Int32Array.of(0, 0, 0, 0, 0, 0xff, 0xffff, 0xffffff, -1);

/** A view over the same bytes, to read unaligned words. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Where `hashUntil` leaves the hash. */
export const hashed = { hash: 0 };

/**
 * Position of the first byte `stop` from `start` on, or the end of the view; the hash of the bytes before it is left
 * in `hashed.hash`. One pass, two lanes, so that the multiplications overlap and the search is free. Not
 * collision-proof: callers compare bytes and bound probes.
 * With a `span` (1 to 128) any byte stops for which `byte ^ stop` is below it.
 */
// oxlint-disable-next-line max-params -- called per point: an options object would be allocated each time
export function hashUntil(view: DataView, start: number, stop: number, seed: number, span = 1): number {
  const pattern = Math.imul(stop, LOW_BITS);
  const below = Math.imul(span, LOW_BITS);
  const end = view.byteLength;
  let a = seed;
  let b = ~seed;
  let i = start;
  for (; i + 8 <= end; i += 8) {
    const first = view.getInt32(i, true);
    const second = view.getInt32(i + 4, true);
    // Mycroft's test: the lowest byte that is below `span` here sets its high bit.
    const x = first ^ pattern;
    const y = second ^ pattern;
    const inFirst = (x - below) & ~x & HIGH_BITS;
    const inSecond = (y - below) & ~y & HIGH_BITS;
    if ((inFirst | inSecond) !== 0) {
      const bytes = inFirst !== 0 ? lowestByte(inFirst) : 4 + lowestByte(inSecond);
      a = mix(a, first & (FIRST_MASK[bytes] as number));
      b = mix(b, second & (SECOND_MASK[bytes] as number));
      hashed.hash = combine(a, b, i + bytes - start);
      return i + bytes;
    }
    a = mix(a, first);
    b = mix(b, second);
  }
  while (i < end && (view.getUint8(i) ^ stop) >= span) i++;
  hashed.hash = hashBytes(view, start, i, seed);
  return i;
}

/** The hash that `hashUntil` computes for exactly this range. */
export function hashBytes(view: DataView, start: number, end: number, seed: number): number {
  let a = seed;
  let b = ~seed;
  let i = start;
  for (; i + 8 <= end; i += 8) {
    a = mix(a, view.getInt32(i, true));
    b = mix(b, view.getInt32(i + 4, true));
  }
  a = mix(a, wordAt(view, i, end));
  b = mix(b, wordAt(view, i + 4, end));
  return combine(a, b, end - start);
}

function lowestByte(bits: number): number {
  return (31 - Math.clz32(bits & -bits)) >> 3;
}

function mix(hash: number, word: number): number {
  return Math.imul(((hash << 5) | (hash >>> 27)) ^ word, 0x9e3779b1);
}

function combine(a: number, b: number, length: number): number {
  const both = (a ^ ((b << 15) | (b >>> 17))) + length;
  const mixed = Math.imul(both ^ (both >>> 16), 0x7feb352d);
  return mixed ^ (mixed >>> 15);
}

/** The word at `i`, bytes from `end` on being 0. */
function wordAt(view: DataView, i: number, end: number): number {
  if (i >= end) return 0;
  if (i + 4 <= view.byteLength) return view.getInt32(i, true) & (FIRST_MASK[Math.min(end - i, 4)] as number);
  let word = 0;
  for (let k = i; k < end; k++) word |= view.getUint8(k) << ((k - i) * 8);
  return word;
}

/** Packs a range into words, the last one padded with zeros, at `words[at]`; returns the words used. */
// oxlint-disable-next-line max-params -- called per point: an options object would be allocated each time
export function packWords(view: DataView, start: number, end: number, words: Int32Array, at: number): number {
  let w = at;
  for (let i = start; i < end; i += 4) words[w++] = wordAt(view, i, end);
  return w - at;
}

/**
 * True when the range equals what `packWords` stored for a range of the same length. `words` must go on for two
 * words after them, whatever they hold.
 */
// oxlint-disable-next-line max-params -- as packWords
export function equalsWords(
  view: DataView,
  start: number,
  end: number,
  words: Int32Array,
  at: number,
): boolean {
  let i = start;
  let w = at;
  for (; i + 8 <= end; i += 8, w += 2) {
    if (
      (view.getInt32(i, true) ^ (words[w] as number)) |
      (view.getInt32(i + 4, true) ^ (words[w + 1] as number))
    ) {
      return false;
    }
  }
  if (i + 8 > view.byteLength) return equalsTail(view, i, end, words, w);
  const rest = end - i;
  const first = (view.getInt32(i, true) ^ (words[w] as number)) & (FIRST_MASK[rest] as number);
  const second = (view.getInt32(i + 4, true) ^ (words[w + 1] as number)) & (SECOND_MASK[rest] as number);
  return (first | second) === 0;
}

/** The last bytes of a range, so near to the view's end that whole words can't be read. */
// oxlint-disable-next-line max-params -- as packWords
function equalsTail(view: DataView, start: number, end: number, words: Int32Array, at: number): boolean {
  for (let i = start; i < end; i++) {
    if (
      view.getUint8(i) !==
      (((words[at + ((i - start) >> 2)] as number) >> (((i - start) & 3) * 8)) & 0xff)
    ) {
      return false;
    }
  }
  return true;
}

/** Words that `packWords` needs for a range of this many bytes. */
export function wordsFor(bytes: number): number {
  return (bytes + 3) >> 2;
}
