/**
 * Records back into a batch, as if a parser had filled it: the series and fields are those of the dictionary, string
 * cells point into the records' bytes. Safe for any bytes: what no encoder wrote is a RecordError. Used by whatever
 * reads the spool's disk. The format is described in record.ts.
 */
import type { ValueType } from '../model/column.ts';
import type { PointBatch } from '../model/point-batch.ts';
import type { Field, Series, Table } from '../model/series.ts';
import type { RecordHead, SeriesInterner } from '../model/spool.ts';
import { RECORD_VERSION, SOURCES, VALUE_TYPES } from './record.ts';
import { RecordError, RecordReader } from './record-reader.ts';

/** Less than the shortest row. */
const MIN_ROW_BYTES = 10;
/** Offsets in a batch's body are 32-bit; records are about 1 MiB each. */
const MAX_BODY_BYTES = 2 ** 30;

/** What was decoded. */
export interface DecodedRecords {
  /** Of the first record. All records taken have its source. */
  readonly head: RecordHead;
  /** One per record taken; `heads.length` records were taken, the first ones. */
  readonly heads: readonly RecordHead[];
  /** Per record taken: the row of the batch after its last one. */
  readonly rowEnds: readonly number[];
}

/**
 * Fills the batch with the rows of the first records: those up to the first with another source, and only as many as
 * have `maxRows` rows together, but at least one. With one record taken, string cells point into its own bytes.
 * @throws {RecordError} its `record` says which one can't be read; the batch is empty then. Without that record the
 * call can be repeated.
 */
export function decode(
  records: readonly Uint8Array[],
  batch: PointBatch,
  interner: SeriesInterner,
  maxRows = Number.POSITIVE_INFINITY,
): DecodedRecords {
  const heads = takenHeads(records, maxRows);
  const taken = records.slice(0, heads.length);
  const body = taken.length === 1 ? (taken[0] as Uint8Array) : Buffer.concat(taken);
  batch.reset(body, '');
  const filler = new BatchFiller(new RecordReader(body), batch, interner);
  const rowEnds: number[] = [];
  let index = 0;
  let end = 0;
  try {
    for (; index < taken.length; index++) {
      const start = end;
      end += (taken[index] as Uint8Array).length;
      filler.fill(start, end);
      rowEnds.push(batch.rows);
    }
  } catch (error) {
    batch.clear();
    batch.reset(new Uint8Array(0), '');
    throw placed(error, index);
  }
  return { head: heads[0] as RecordHead, heads, rowEnds };
}

/** The heads of the records to be taken. */
function takenHeads(records: readonly Uint8Array[], maxRows: number): RecordHead[] {
  const heads: RecordHead[] = [];
  let rows = 0;
  let bytes = 0;
  for (const [index, record] of records.entries()) {
    try {
      const { head, rows: more } = readHead(new RecordReader(record));
      rows += more;
      bytes += record.length;
      const tooMany = rows > maxRows || bytes > MAX_BODY_BYTES;
      if (index > 0 && (tooMany || head.source !== heads[0]?.source)) break;
      heads.push(head);
    } catch (error) {
      throw placed(error, index);
    }
  }
  if (heads.length === 0) throw new RangeError('no records to decode');
  return heads;
}

function placed(error: unknown, index: number): unknown {
  if (error instanceof RecordError) error.record = index;
  return error;
}

function readHead(reader: RecordReader): { head: RecordHead; rows: number } {
  const version = reader.byte();
  if (version !== RECORD_VERSION)
    throw new RecordError('version', `version ${version} of records is not known`);
  const source = SOURCES[reader.byte()];
  if (source === undefined) throw new RecordError('malformed', 'the source is not known');
  const rows = reader.uint32();
  const atMs = reader.float64();
  const askedBy = reader.text();
  if (rows === 0 || rows > (reader.end - reader.at) / MIN_ROW_BYTES)
    throw new RecordError('malformed', 'the number of rows is wrong');
  return { head: { source, askedBy, atMs }, rows };
}

/** A field as the record names it, and the object last used for it. */
interface NamedField {
  readonly name: string;
  readonly type: ValueType;
  field: Field | undefined;
}

class BatchFiller {
  private readonly reader: RecordReader;
  private readonly batch: PointBatch;
  private readonly interner: SeriesInterner;
  private database: string | undefined;
  private table: string | undefined;
  private tagSets: (readonly string[])[] = [];
  private fields: NamedField[] = [];

  constructor(reader: RecordReader, batch: PointBatch, interner: SeriesInterner) {
    this.reader = reader;
    this.batch = batch;
    this.interner = interner;
  }

  /** Adds the rows of the record from `start` to `end` of the body. */
  fill(start: number, end: number): void {
    const { reader, batch } = this;
    reader.at = start;
    reader.end = end;
    const last = batch.rows + readHead(reader).rows;
    this.database = this.table = undefined;
    while (reader.at < end) {
      const offset = reader.at;
      const tagSet = reader.varint();
      if (tagSet === 0) this.beginTable();
      else if (batch.rows < last) this.addRow(tagSet - 1, offset);
      else throw new RecordError('malformed', 'there are more rows than the head says');
    }
    if (batch.rows < last) throw new RecordError('malformed', 'there are fewer rows than the head says');
  }

  private beginTable(): void {
    const { reader } = this;
    if (reader.byte() === 0) this.database = reader.name();
    else if (this.database === undefined) throw new RecordError('malformed', 'a table has no database');
    this.table = reader.name();
    this.tagSets = [];
    this.fields = [];
  }

  private addRow(tagSet: number, offset: number): void {
    const { reader, batch } = this;
    const series = this.series(tagSet);
    batch.beginRow(series, offset);
    batch.setNanos(reader.int64());
    const cells = reader.varint();
    if (cells === 0) throw new RecordError('malformed', 'a row has no cells');
    for (let i = 0; i < cells; i++) this.addCell(series.tagSet.table);
    batch.endRow();
  }

  private series(tagSet: number): Series {
    const { database, table } = this;
    if (database === undefined || table === undefined)
      throw new RecordError('malformed', 'a row has no table');
    if (tagSet === this.tagSets.length) this.tagSets.push(this.readKeys());
    const keys = this.tagSets[tagSet];
    if (keys === undefined) throw new RecordError('malformed', 'a tag set is not known');
    const tags = keys.map((key): readonly [string, string] => {
      const value = this.reader.name();
      if (value === '') throw new RecordError('malformed', 'a tag has no value');
      return [key, value];
    });
    return this.interner.series(database, table, tags);
  }

  private readKeys(): readonly string[] {
    const count = this.reader.varint();
    const keys: string[] = [];
    for (let i = 0; i < count; i++) {
      const key = this.reader.name();
      if (i > 0 && key <= (keys[i - 1] as string))
        throw new RecordError('malformed', 'tag keys are not in order');
      keys.push(key);
    }
    return keys;
  }

  private addCell(table: Table): void {
    const { reader, batch } = this;
    const field = this.field(reader.varint(), table);
    switch (field.type) {
      case 'float64':
      case 'int64':
      case 'uint64': {
        // As halves, for a NaN keeps its bits then.
        const low = reader.int32();
        batch.addInt(field, reader.int32(), low);
        break;
      }
      case 'bool': {
        const value = reader.byte();
        if (value > 1) throw new RecordError('malformed', 'a boolean is neither');
        batch.addBool(field, value === 1);
        break;
      }
      case 'string': {
        const size = reader.varint();
        const length = Math.floor(size / 2);
        batch.addString(field, reader.skip(length), length, size % 2 === 1);
      }
    }
  }

  /** The field as an object of this very table: two objects may stand for one table after the dictionary dropped one. */
  private field(number: number, table: Table): Field {
    const { reader } = this;
    if (number === this.fields.length) {
      const type = VALUE_TYPES[reader.byte()];
      if (type === undefined) throw new RecordError('malformed', 'a type is not known');
      this.fields.push({ name: reader.name(), type, field: undefined });
    }
    const named = this.fields[number];
    if (named === undefined) throw new RecordError('malformed', 'a field is not known');
    if (named.field?.table !== table) named.field = this.interner.field(table, named.name, named.type);
    return named.field;
  }
}
