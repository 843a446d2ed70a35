/**
 * A row as a line of line protocol, for people, for curl and for `sluice dead-letter replay`. What is answered reads
 * back as exactly the same series, fields, types, values and time, whatever the row came from. Line protocol has no
 * spelling for some names, and none for NaN; such rows get none here, nor do a few whose spelling readers see
 * differently (a backslash ahead of a comma, blank or equals sign in a field's name). Used by the dead letter; the
 * spellings of names and values also by the sink whose database takes line protocol.
 */
import { isUtf8 } from 'node:buffer';
import type { PointBatch } from './point-batch.ts';
import type { Field, Series } from './series.ts';

/** Line breaks end a line, NUL is refused; lone surrogates are no UTF-8; a backslash at the end escapes what follows. */
const NEVER = /[\n\0\p{Cs}]|\\$/u;
/** Blanks are skipped ahead of a line, `#` makes it a comment, a byte order mark is left out at the start of a body. */
const NO_LINE_START = /^[\t#\ufeff]/;
/** What follows such a backslash is escaped by it for one reader and not for the other. */
const BACKSLASH_AHEAD = /\\[,= ]/;
/** InfluxDB's bound on measurement, tags and one field's name together, with what it adds to them. */
const MAX_KEY_BYTES = 65_535;
const KEY_EXTRA_BYTES = 4;
/** Times beyond are refused (models.MinNanoTime, MaxNanoTime of InfluxDB). */
const MAX_TIME = 9_223_372_036_854_775_806n;

/** The line without its line break, time in nanoseconds; undefined when there is none that reads back the same. */
export function lineText(batch: PointBatch, row: number): string | undefined {
  const time = batch.timeNs[row] as bigint;
  if (time > MAX_TIME || time < -MAX_TIME) return undefined;
  const key = seriesKey(batch.series[row] as Series);
  if (key === undefined) return undefined;
  const maxNameBytes = MAX_KEY_BYTES - KEY_EXTRA_BYTES - Buffer.byteLength(key);
  const fields: string[] = [];
  const end = batch.firstCell[row + 1] as number;
  for (let cell = batch.firstCell[row] as number; cell < end; cell++) {
    const { name } = batch.cellField[cell] as Field;
    const value = valueText(batch, cell);
    if (value === undefined || !isFieldName(name)) return undefined;
    const spelled = spellName(name);
    if (Buffer.byteLength(spelled) > maxNameBytes) return undefined;
    fields.push(`${spelled}=${value}`);
  }
  return `${key} ${fields.join()} ${time}`;
}

/** Measurement and tags, or undefined when one can't be spelled. */
function seriesKey({ tagSet: { table, keys }, values }: Series): string | undefined {
  if (!isName(table.name) || NO_LINE_START.test(table.name)) return undefined;
  let key = spellName(table.name);
  for (const [i, tag] of keys.entries()) {
    const value = values[i] as string;
    if (!isName(tag) || tag === 'time' || !isName(value)) return undefined;
    key += `,${spellName(tag)}=${spellName(value)}`;
  }
  return key;
}

function isName(text: string): boolean {
  return text !== '' && !NEVER.test(text);
}

function isFieldName(name: string): boolean {
  return isName(name) && name !== 'time' && !BACKSLASH_AHEAD.test(name);
}

/** A name or tag value as it is spelled within a line. */
export function spellName(name: string): string {
  return name.replace(/[,= ]/g, '\\$&');
}

function valueText(batch: PointBatch, cell: number): string | undefined {
  const { type } = batch.cellField[cell] as Field;
  if (type === 'float64') return spellFloat(batch.cellFloat[cell] as number);
  if (type === 'int64') return `${batch.cellInt[cell] as bigint}i`;
  if (type === 'uint64') return `${BigInt.asUintN(64, batch.cellInt[cell] as bigint)}u`;
  if (type === 'bool') return batch.cellFloat[cell] === 1 ? 'true' : 'false';
  return stringText(batch, cell);
}

/** The shortest text that reads back as this number; undefined: NaN and infinities have none. */
export function spellFloat(value: number): string | undefined {
  if (!Number.isFinite(value)) return undefined;
  return Object.is(value, -0) ? '-0' : String(value);
}

function stringText(batch: PointBatch, cell: number): string | undefined {
  const offset = batch.cellHalf[cell * 2] as number;
  const length = Math.abs(batch.cellHalf[cell * 2 + 1] as number);
  if (!isUtf8(batch.body.subarray(offset, offset + length))) return undefined;
  return spellString(batch.stringAt(cell));
}

/** A text in quotes, as the value of a field. */
export function spellString(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}
