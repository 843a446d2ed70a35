/** Keys of the guard's maps and caches. Names hold no NUL, so the three kinds below never meet. */
import { createHash } from 'node:crypto';
import type { DdlTarget } from '../model/ddl-queue.ts';
import { tableKey } from '../model/table.ts';

const MAX_KEY = 256;

/** What a DDL task makes: `tableKey` of a table, or a key of the database itself. */
export function targetKey({ database, table }: Pick<DdlTarget, 'database' | 'table'>): string {
  return table === undefined ? `${database}\u0000\u0000` : tableKey({ database, table });
}

/**
 * For caches bounded in bytes, since a client chooses how long its names are: the key itself, or for more than 256
 * characters its SHA-256 (of UTF-16, in which different lone surrogates stay different).
 */
export function shortKey(key: string): string {
  return key.length <= MAX_KEY
    ? key
    : `\u0000\u0000${createHash('sha256').update(key, 'utf16le').digest('base64')}`;
}
