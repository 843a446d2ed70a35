/**
 * Pages of listings that change while they are read: ordered by key, each page beginning after the last key of the one
 * before. What is there all the time is listed exactly once, whatever comes and goes meanwhile. Pure.
 */

/** One page; `next` undefined: it is the last. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly next: string | undefined;
}

/** What a page is cut from. `cursor`: `next` of the page before; anything else begins somewhere, but never fails. */
export interface PageQuery {
  readonly limit: number;
  readonly cursor?: string | undefined;
}

/**
 * The `limit` items with the smallest keys beyond the cursor. Keys must be different. Items that are out of the question
 * are dropped on the way: there may be a hundred thousand.
 */
export function pageOf<T>(items: Iterable<T>, keyOf: (item: T) => string, query: PageQuery): Page<T> {
  const after = query.cursor === undefined ? undefined : decode(query.cursor);
  const wanted = query.limit + 1;
  const found: { readonly key: string; readonly item: T }[] = [];
  let last: string | undefined;
  for (const item of items) {
    const key = keyOf(item);
    if ((after !== undefined && key <= after) || (last !== undefined && key > last)) continue;
    found.push({ key, item });
    if (found.length >= 2 * wanted) last = keepFirst(found, wanted);
  }
  keepFirst(found, wanted);
  const page = found.slice(0, query.limit);
  const next = found.length > page.length ? page.at(-1)?.key : undefined;
  return { items: page.map(({ item }) => item), next: next === undefined ? undefined : encode(next) };
}

/** Leaves the smallest, in order; answers the largest key of them. */
function keepFirst(found: { readonly key: string }[], wanted: number): string | undefined {
  found.sort((a, b) => (a.key < b.key ? -1 : 1));
  found.length = Math.min(found.length, wanted);
  return found.at(-1)?.key;
}

/** UTF-16, in which different lone surrogates stay different. */
function encode(key: string): string {
  return Buffer.from(key, 'utf16le').toString('base64url');
}

function decode(cursor: string): string {
  return Buffer.from(cursor, 'base64url').toString('utf16le');
}
