/**
 * Identities that the series dictionary interns: table, tag set, field, series. They are shared by all
 * requests, so per point only references are stored. Each carries slots that other stages own: `admittedBy`
 * belongs to the guard (see guard/), `storageId` and `storageKey` to the sink, `stamp` to the batch being filled.
 */
import type { ValueType } from './column.ts';
import { tableKey } from './table.ts';

/** A table as named by clients. Two objects may stand for one table after the dictionary dropped the first. */
export class Table {
  readonly database: string;
  readonly name: string;
  /** `tableKey` of both names. */
  readonly key: string;
  /** The batch that has a group for this table, and which one (see PointBatch). */
  stamp: object | undefined = undefined;
  groupIndex = 0;
  /** Owned by the guard: the registry entry that admitted this table, or undefined. */
  admittedBy: object | undefined = undefined;
  /** Owned by the guard: how rows of this table were refused last, or undefined. */
  refusedBy: object | undefined = undefined;

  constructor(database: string, name: string) {
    this.database = database;
    this.name = name;
    this.key = tableKey({ database, table: name });
  }
}

/** The tag keys of a series, in ascending order of their UTF-16 code units; interned per table. */
export class TagSet {
  readonly table: Table;
  readonly keys: readonly string[];
  stamp: object | undefined = undefined;
  /** Owned by the guard: the registry entry that has all these tag columns, or undefined. */
  admittedBy: object | undefined = undefined;

  constructor(table: Table, keys: readonly string[]) {
    this.table = table;
    this.keys = keys;
  }
}

/** A field of a table with one type; the same name with another type is another Field. Interned per table. */
export class Field {
  readonly table: Table;
  readonly name: string;
  readonly type: ValueType;
  stamp: object | undefined = undefined;
  /** Owned by the guard: the registry entry that has this column with this type, or undefined. */
  admittedBy: object | undefined = undefined;
  /** Owned by the sink: its own number for this column, or -1 when it has none yet. */
  storageId = -1;

  constructor(table: Table, name: string, type: ValueType) {
    this.table = table;
    this.name = name;
    this.type = type;
  }
}

/** One time series: a table and the values of its tags. */
export class Series {
  readonly tagSet: TagSet;
  /** Values in the order of `tagSet.keys`; never empty strings. */
  readonly values: readonly string[];
  /** Owned by the sink: its own number for this series, or -1 when it has none yet. */
  storageId = -1;
  /** Owned by the sink: the bytes by which the database knows this series, where it has such; else undefined. */
  storageKey: Uint8Array | undefined = undefined;

  constructor(tagSet: TagSet, values: readonly string[]) {
    this.tagSet = tagSet;
    this.values = values;
  }
}
