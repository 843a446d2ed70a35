/**
 * The keys of the queue, under a configurable prefix that also carries the layout's version:
 * `task/{database}[/{table}]`, `out/` likewise, `slot/{n}`, `tslot/{tenant}/{n}`, `brk/all`, `brk/t/{tenant}`,
 * `lead`, `pause`. A task is keyed by the table's name and not by the tenant, so that two tenants can't make two tasks for one
 * table. Names are percent-encoded to ASCII and back; one whose code is longer than 200 bytes is replaced by
 * its hash, the full name being in the value.
 */
import { createHash } from 'node:crypto';

/** Longest encoded name in a key. */
const MAX_SEGMENT_BYTES = 200;
/** Begins a hash; never part of an encoded name. */
const HASH_MARK = '~';

/** What a key means to the queue. */
export type KeyKind = 'task' | 'out' | 'slot' | 'tslot' | 'brk' | 'lead' | 'pause' | 'unknown';

/** Makes and reads the keys under one prefix. */
export interface DdlKeys {
  /** Everything of the queue begins with it. */
  readonly prefix: string;
  readonly lead: string;
  readonly breakerAll: string;
  /** While it is there nothing is created. */
  readonly pause: string;
  /** Both for one target: where its task and where its outcome lies. `table` undefined: the database itself. */
  task(database: string, table: string | undefined): string;
  out(database: string, table: string | undefined): string;
  breaker(tenant: string): string;
  readonly slot: (index: number) => string;
  tenantSlot(tenant: string, index: number): string;
  kind(key: string): KeyKind;
  /** The number of a slot or tenant slot; NaN for other keys. */
  slotIndex(key: string): number;
}

/** Keys under `prefix` (no slash at the end). */
export function createDdlKeys(prefix: string): DdlKeys {
  const root = `${prefix}/v1/`;
  const target = (family: string, database: string, table: string | undefined): string =>
    `${root}${family}/${encodeName(database)}${table === undefined ? '' : `/${encodeName(table)}`}`;
  return {
    prefix: root,
    lead: `${root}lead`,
    breakerAll: `${root}brk/all`,
    pause: `${root}pause`,
    task: (database, table) => target('task', database, table),
    out: (database, table) => target('out', database, table),
    breaker: (tenant) => `${root}brk/t/${encodeName(tenant)}`,
    slot: (index) => `${root}slot/${String(index).padStart(4, '0')}`,
    tenantSlot: (tenant, index) => `${root}tslot/${encodeName(tenant)}/${String(index).padStart(4, '0')}`,
    kind: (key) => (key.startsWith(root) ? kindOf(key.slice(root.length)) : 'unknown'),
    slotIndex: (key) => Number(key.slice(key.lastIndexOf('/') + 1)),
  };
}

/** A name as one part of a key: ASCII without slash, different for different names. */
export function encodeName(name: string): string {
  const encoded = name.replace(/[^A-Za-z0-9._-]/gu, (char) =>
    /^[\ud800-\udfff]$/.test(char) ? `%u${hex(char.charCodeAt(0), 4)}` : percent(char),
  );
  if (encoded.length <= MAX_SEGMENT_BYTES) return encoded;
  // UTF-16 and not UTF-8, in which all lone surrogates are one.
  return HASH_MARK + createHash('sha256').update(name, 'utf16le').digest('hex');
}

/** The name that was encoded, or undefined when the part holds a hash. */
export function decodeName(segment: string): string | undefined {
  if (segment.startsWith(HASH_MARK)) return undefined;
  return segment.replace(
    /%u([0-9A-F]{4})|((?:%[0-9A-F]{2})+)/g,
    (_, unit: string | undefined, bytes: string) =>
      unit === undefined
        ? Buffer.from(bytes.replaceAll('%', ''), 'hex').toString('utf8')
        : String.fromCharCode(Number.parseInt(unit, 16)),
  );
}

function kindOf(path: string): KeyKind {
  const family = path.slice(0, path.indexOf('/') === -1 ? undefined : path.indexOf('/'));
  switch (family) {
    case 'task':
    case 'out':
    case 'slot':
    case 'tslot':
    case 'brk':
    case 'lead':
    case 'pause':
      return family;
    default:
      return 'unknown';
  }
}

function percent(char: string): string {
  return [...Buffer.from(char, 'utf8')].map((byte) => `%${hex(byte, 2)}`).join('');
}

function hex(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, '0');
}
