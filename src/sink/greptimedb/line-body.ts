/**
 * Rows as line protocol, written into one growing buffer per database and time unit. The bytes of a series are spelled
 * once and kept at the series; numbers are text in this protocol, so each costs a short string.
 */
import { spellFloat, spellName, spellString } from '../../model/line-text.ts';
import type { PointBatch } from '../../model/point-batch.ts';
import type { Field, Series } from '../../model/series.ts';
import type { TimeUnit } from './layout.ts';
import { isSpellable } from './names.ts';

const NANOS: Readonly<Record<TimeUnit, bigint>> = { s: 1_000_000_000n, ms: 1_000_000n, us: 1_000n, ns: 1n };
const FIRST_BYTES = 64 * 1024;

/** A body that grows. */
export class LineBody {
  #bytes = Buffer.allocUnsafe(FIRST_BYTES);
  length = 0;

  /** What was written. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.length);
  }

  put(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  text(text: string): void {
    this.#reserve(text.length * 3);
    this.length += this.#bytes.write(text, this.length);
  }

  #reserve(bytes: number): void {
    if (this.length + bytes <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.length + bytes));
    grown.set(this.bytes);
    this.#bytes = grown;
  }
}

/** Table and tags as they begin a line; undefined: a tag value can't be spelled. */
export function seriesBytes(series: Series): Uint8Array | undefined {
  if (series.storageKey !== undefined) return series.storageKey;
  const { tagSet, values } = series;
  if (!values.every(isSpellable)) return undefined;
  const tags = tagSet.keys.map((key, i) => `,${spellName(key)}=${spellName(values[i] as string)}`);
  series.storageKey = Buffer.from(spellName(tagSet.table.name) + tags.join(''));
  return series.storageKey;
}

/** Rows of a table, from `row` of the batch on, to be written with times in this unit. */
export interface RowsFrom {
  readonly batch: PointBatch;
  /** Follow `PointBatch.nextRow` from it. */
  readonly row: number;
  readonly unit: TimeUnit;
}

/** Appends rows that are not skipped until the body has so many bytes; answers the row to go on with, or -1. */
export function writeRows(body: LineBody, { batch, row: first, unit }: RowsFrom, maxBytes: number): number {
  for (let row = first; row >= 0; row = batch.nextRow[row] as number) {
    if (body.length >= maxBytes) return row;
    const key = batch.skip[row] === 0 ? seriesBytes(batch.series[row] as Series) : undefined;
    if (key === undefined) continue;
    body.put(key);
    const end = batch.firstCell[row + 1] as number;
    for (let cell = batch.firstCell[row] as number, mark = ' '; cell < end; cell++, mark = ',') {
      body.text(`${mark}${spellName((batch.cellField[cell] as Field).name)}=`);
      body.text(valueText(batch, cell));
    }
    body.text(` ${timeText(batch, row, unit)}\n`);
  }
  return -1;
}

/** True when the time of a row is a whole number of units. */
export function isWhole(batch: PointBatch, row: number, unit: TimeUnit): boolean {
  return unit === 'ns' || (batch.timeNs[row] as bigint) % NANOS[unit] === 0n;
}

function valueText(batch: PointBatch, cell: number): string {
  const { type } = batch.cellField[cell] as Field;
  // Parsers let no NaN and no infinity in.
  if (type === 'float64') return spellFloat(batch.cellFloat[cell] as number) ?? '0';
  if (type === 'int64') return `${batch.cellInt[cell] as bigint}i`;
  if (type === 'uint64') return `${BigInt.asUintN(64, batch.cellInt[cell] as bigint)}u`;
  if (type === 'bool') return batch.cellFloat[cell] === 1 ? 'true' : 'false';
  return spellString(batch.stringAt(cell));
}

/** The time in units; it must be whole. */
function timeText(batch: PointBatch, row: number, unit: TimeUnit): string {
  const nanos = batch.timeNs[row] as bigint;
  return String(unit === 'ns' ? nanos : nanos / NANOS[unit]);
}
