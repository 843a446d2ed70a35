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

/** The `limit` items with the smallest keys beyond the cursor. Keys must be different. */
export function pageOf<T>(items: Iterable<T>, keyOf: (item: T) => string, query: PageQuery): Page<T> {
  const after = query.cursor === undefined ? undefined : decode(query.cursor);
  const found: { readonly key: string; readonly item: T }[] = [];
  for (const item of items) {
    const key = keyOf(item);
    if (after === undefined || key > after) found.push({ key, item });
  }
  found.sort((a, b) => (a.key < b.key ? -1 : 1));
  const page = found.slice(0, query.limit);
  const last = page.at(-1);
  const next = found.length > page.length && last !== undefined ? encode(last.key) : undefined;
  return { items: page.map(({ item }) => item), next };
}

/** UTF-16, in which different lone surrogates stay different. */
function encode(key: string): string {
  return Buffer.from(key, 'utf16le').toString('base64url');
}

function decode(cursor: string): string {
  return Buffer.from(cursor, 'base64url').toString('utf16le');
}
