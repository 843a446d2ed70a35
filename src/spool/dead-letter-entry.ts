/**
 * The form of a dead letter's entries. An entry is a comment line, `# ` and one line of JSON, and behind it what it
 * tells of: rows of one table as line protocol, so that a file can be posted as it is; or, as comments of base64, rows
 * that line protocol can't spell (form `rows`, a record of record.ts) and records that can't be read (form `raw`).
 * The head says how many bytes follow, so nothing that a client wrote into a name or a string is ever taken for a head.
 */
import { crc32 } from 'node:zlib';
import { lineText } from '../model/line-text.ts';
import type { PointBatch } from '../model/point-batch.ts';
import type { Series, Table } from '../model/series.ts';
import type { DeadReason, DeadRows } from '../model/spool.ts';
import type { TableSource } from '../model/table.ts';
import type { RecordEncoder } from './record.ts';

/** What follows the head: lines, or base64 of a record of rows, or base64 of an unreadable record. */
export type EntryForm = 'lines' | 'rows' | 'raw';

/** All reasons, for checks and counters. */
export const DEAD_REASONS: readonly DeadReason[] = ['rejected', 'unreadable', 'expired', 'full'];

/** What the JSON of a head holds. Of a raw entry all that is not known is left out. */
export interface EntryHead {
  readonly v: 1;
  /** When it came here and when it was accepted; ISO 8601. */
  readonly time: string;
  readonly accepted?: string;
  readonly reason: DeadReason;
  readonly message: string;
  readonly askedBy?: string;
  readonly source?: TableSource;
  readonly database?: string;
  readonly table?: string;
  readonly rows: number;
  readonly form: EntryForm;
  /** Bytes that follow the head's line, and their CRC-32. */
  readonly bytes: number;
  readonly crc: number;
}

/** An entry, ready to be written. */
export interface NewEntry {
  readonly bytes: Buffer;
  readonly rows: number;
}

type EntryFacts = Omit<EntryHead, 'v' | 'bytes' | 'crc'>;

/** An entry that reached this size takes no further row. */
const ENTRY_BYTES = 2 ** 20;
/** Messages and the like are cut to this many characters. */
const MAX_TEXT = 1_024;
/** Control characters beyond those that JSON escapes, other ends of lines, and marks that reorder text. */
const TREACHEROUS = /[\u007f-\u009f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;

/** Rows as entries, table by table; of each table the order is kept. */
export function entriesOf(dead: DeadRows, nowMs: number, encoder: RecordEncoder): NewEntry[] {
  const { batch, source, askedBy, atMs } = dead;
  return [...rowsByTable(batch, dead.rows)].flatMap(([table, rows]) => {
    const facts = {
      time: isoTime(nowMs),
      accepted: isoTime(atMs),
      reason: dead.reason,
      message: cut(dead.message),
      askedBy: cut(askedBy),
      source,
      database: table.database,
      table: table.name,
    };
    const unspelled: number[] = [];
    const entries = lineEntries(batch, rows, facts, unspelled);
    for (const record of encoder.encode(batch, unspelled, dead))
      entries.push(commentEntry({ ...facts, rows: record.rows, form: 'rows' }, record.bytes));
    return entries;
  });
}

/** The entry of a record that can't be read. */
export function rawEntry(raw: Uint8Array, message: string, nowMs: number): NewEntry {
  const facts: EntryFacts = {
    time: isoTime(nowMs),
    reason: 'unreadable',
    message: cut(message),
    rows: 0,
    form: 'raw',
  };
  return commentEntry(facts, raw);
}

/** The head that a line (without its line break) spells, or undefined when it is none. */
export function readEntryHead(line: string): EntryHead | undefined {
  if (!line.startsWith('# {')) return undefined;
  try {
    const head = JSON.parse(line.slice(2)) as Partial<EntryHead>;
    const { v, time, reason, message, rows, form, bytes, crc } = head;
    const known =
      v === 1 &&
      typeof time === 'string' &&
      typeof message === 'string' &&
      DEAD_REASONS.includes(reason as DeadReason) &&
      ['lines', 'rows', 'raw'].includes(form as EntryForm) &&
      [rows, bytes, crc].every((number) => Number.isSafeInteger(number) && Number(number) >= 0);
    const texts = [head.accepted, head.askedBy, head.source, head.database, head.table];
    const sendable = form !== 'lines' || head.database !== undefined;
    const plain = texts.every((text) => text === undefined || typeof text === 'string');
    return known && sendable && plain ? (head as EntryHead) : undefined;
  } catch {
    return undefined;
  }
}

/** JSON in one line, without a character that a terminal or an editor takes for more than text. */
export function plainJson(value: unknown): string {
  return JSON.stringify(value).replace(
    TREACHEROUS,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Entries of the rows that can be spelled; the others are added to `unspelled`. */
function lineEntries(
  batch: PointBatch,
  rows: readonly number[],
  facts: Omit<EntryFacts, 'rows' | 'form'>,
  unspelled: number[],
): NewEntry[] {
  const entries: NewEntry[] = [];
  let lines: string[] = [];
  let size = 0;
  const finish = (): void => {
    if (lines.length > 0)
      entries.push(entry({ ...facts, rows: lines.length, form: 'lines' }, `${lines.join('\n')}\n`));
    lines = [];
    size = 0;
  };
  for (const row of rows) {
    const line = lineText(batch, row);
    if (line === undefined) unspelled.push(row);
    else {
      lines.push(line);
      size += line.length;
      if (size >= ENTRY_BYTES) finish();
    }
  }
  finish();
  return entries;
}

function commentEntry(facts: EntryFacts, bytes: Uint8Array): NewEntry {
  const base64 = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
  return entry(facts, `# base64 ${base64}\n`);
}

function entry(facts: EntryFacts, text: string): NewEntry {
  const body = Buffer.from(text);
  const head: EntryHead = { v: 1, ...facts, bytes: body.length, crc: crc32(body) };
  return { bytes: Buffer.concat([Buffer.from(`# ${plainJson(head)}\n`), body]), rows: facts.rows };
}

function rowsByTable(batch: PointBatch, rows: readonly number[]): Map<Table, number[]> {
  const tables = new Map<Table, number[]>();
  for (const row of rows) {
    const { table } = (batch.series[row] as Series).tagSet;
    const known = tables.get(table);
    if (known === undefined) tables.set(table, [row]);
    else known.push(row);
  }
  return tables;
}

function cut(text: string): string {
  return text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT)}…`;
}

/** Out of the range of dates: the beginning of time. */
function isoTime(unixMs: number): string {
  return new Date(Math.abs(unixMs) <= 8.64e15 ? unixMs : 0).toISOString();
}
