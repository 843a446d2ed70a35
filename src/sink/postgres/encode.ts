/** Writes the columns of a sheet as binary arrays, in the order of its statement's parameters. */
import { isUtf8 } from 'node:buffer';
import type { ValueType } from '../../model/column.ts';
import type { PointBatch } from '../../model/point-batch.ts';
import type { Series } from '../../model/series.ts';
import { BATCH, HIGH, LOW, type Sheet, type SheetField } from './sheet.ts';
import { OID, type Wire } from './wire.ts';

const TWO_32 = 4_294_967_296;
/** PostgreSQL counts microseconds from 2000-01-01. */
const EPOCH_US = 946_684_800_000_000;
/** Below, all sums of `microseconds` are exact in a double: until the year 2116. */
const EXACT_HIGH = 2 ** 30;

const OIDS: Readonly<Record<ValueType, number>> = {
  float64: OID.float8,
  int64: OID.int8,
  uint64: OID.numeric,
  bool: OID.bool,
  string: OID.text,
};

/** Writes the statement's execution with all rows of the sheet. */
export function encodeSheet(wire: Wire, name: string, sheet: Sheet, batches: readonly PointBatch[]): void {
  const tags = sheet.tagKeys();
  wire.bind(name, 3 + tags.length + sheet.fields.length);
  encodeKeys(wire, sheet);
  for (const tag of tags) encodeTag(wire, sheet, tag);
  for (const column of sheet.fields) encodeField(wire, sheet, column, batches);
  wire.execute();
}

function encodeKeys(wire: Wire, { series, timeHigh, timeLow }: Sheet): void {
  const rows = series.length;
  const rest: number[] = [];
  wire.beginArray(OID.timestamptz, rows);
  for (let slot = 0; slot < rows; slot++) {
    rest.push(encodeTime(wire, timeHigh[slot] as number, (timeLow[slot] as number) >>> 0));
  }
  wire.endArray();
  wire.beginArray(OID.uuid, rows);
  for (const { storageKey } of series) wire.raw(storageKey as Uint8Array);
  wire.endArray();
  wire.beginArray(OID.int2, rows);
  for (const nanos of rest) wire.two(nanos);
  wire.endArray();
}

/** Writes the whole microseconds and answers the nanoseconds that are left, 0 to 999. */
function encodeTime(wire: Wire, high: number, low: number): number {
  if (high >= -EXACT_HIGH && high < EXACT_HIGH) {
    // 2^32 is 4294967 * 1000 + 296.
    const small = high * 296 + low;
    const thousands = Math.floor(small / 1_000);
    wire.wholeNumber(high * 4_294_967 + thousands - EPOCH_US);
    return small - thousands * 1_000;
  }
  const nanos = BigInt(high) * BigInt(TWO_32) + BigInt(low);
  const rest = ((nanos % 1_000n) + 1_000n) % 1_000n;
  const micros = (nanos - rest) / 1_000n - BigInt(EPOCH_US);
  wire.eight(Number(micros >> 32n), Number(BigInt.asIntN(32, micros)));
  return Number(rest);
}

function encodeTag(wire: Wire, { series, tagSets }: Sheet, tag: string): void {
  const single = tagSets.length === 1 ? tagSets[0]?.keys.indexOf(tag) : undefined;
  wire.beginArray(OID.text, series.length);
  for (const one of series) {
    const value = one.values[single ?? one.tagSet.keys.indexOf(tag)];
    if (value === undefined) wire.null();
    else wire.text(value);
  }
  wire.endArray();
}

function encodeField(
  wire: Wire,
  { series }: { readonly series: readonly Series[] },
  { field, cells }: SheetField,
  batches: readonly PointBatch[],
): void {
  wire.beginArray(OIDS[field.type], series.length);
  for (let slot = 0; slot < series.length; slot++) {
    const cell = cells[slot] ?? -1;
    if (cell < 0) wire.null();
    else encodeCell(wire, field.type, batches[Math.floor(cell / BATCH)] as PointBatch, cell % BATCH);
  }
  wire.endArray();
}

function encodeCell(wire: Wire, type: ValueType, batch: PointBatch, cell: number): void {
  const { cellHalf } = batch;
  switch (type) {
    case 'float64':
    case 'int64':
      return wire.eight(cellHalf[cell * 2 + HIGH] as number, cellHalf[cell * 2 + LOW] as number);
    case 'uint64':
      return wire.unsigned(cellHalf[cell * 2 + HIGH] as number, cellHalf[cell * 2 + LOW] as number);
    case 'bool':
      return wire.one(batch.cellFloat[cell] as number);
    case 'string':
      return wire.raw(stringBytes(batch, cell));
  }
}

/** PostgreSQL refuses bytes that are not UTF-8, so those go through the decoder, which replaces them. */
function stringBytes(batch: PointBatch, cell: number): Uint8Array {
  const offset = batch.cellHalf[cell * 2] as number;
  const length = batch.cellHalf[cell * 2 + 1] as number;
  const bytes = batch.body.subarray(offset, offset + Math.max(length, 0));
  return length >= 0 && isUtf8(bytes) ? bytes : Buffer.from(batch.stringAt(cell));
}
