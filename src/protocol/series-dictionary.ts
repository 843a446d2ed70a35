/**
 * The series dictionary: turns the bytes that name a series into the one `Series` object that stands for it,
 * whatever its spelling (order of tags, escapes, protocol). Bounded by two generations: when the young one is full
 * it becomes the old one and the old one is dropped; what is used moves to the young one, a table without the names
 * of its fields. What is forgotten is simply made again, so beyond the bound everything still works, only slower.
 */
import type { ValueType } from '../model/column.ts';
import { type Field, Series, type Table } from '../model/series.ts';
import type { SeriesInterner } from '../model/spool.ts';
import { tableKey } from '../model/table.ts';
import { hashBytes, viewOf } from './bytes.ts';
import { SeriesGeneration, type Spelling } from './series-generation.ts';
import { TableEntry } from './table-entry.ts';

/** How a spelled series is written: the same bytes mean different things in different forms. */
export const SpellingKind = { line: 0, opentsdb: 1, canonical: 2, alias: 3, telnet: 4 } as const;

/** Bounds of the dictionary, both generations together. */
export interface SeriesDictionaryOptions {
  /** Spelled series, at least 2. */
  readonly maxSeries: number;
  /** Estimated bytes of keys and objects, at least 2. */
  readonly maxBytes: number;
}

const MAX_DATABASES = 4_096;

/** See the module comment. */
export class SeriesDictionary implements SeriesInterner {
  /** Start value of every hash, so that nobody outside can prepare collisions. */
  readonly seed: number;
  private readonly options: SeriesDictionaryOptions;
  private young = new SeriesGeneration();
  private old = new SeriesGeneration();
  private readonly databases = new Map<string, number>();
  private nextDatabase = 0;
  private rotations = 0;

  constructor(options: SeriesDictionaryOptions, seed: number) {
    this.options = options;
    this.seed = seed | 0;
  }

  /** Numbers for gauges: spelled series, estimated bytes, and how often a generation was dropped. */
  stats(): { series: number; bytes: number; rotations: number } {
    return {
      series: this.young.size + this.old.size,
      bytes: this.young.bytes + this.old.bytes,
      rotations: this.rotations,
    };
  }

  /** The number that stands for a database and kind in `Spelling.scope`. */
  scope(database: string, kind: number): number {
    let id = this.databases.get(database);
    if (id === undefined) {
      if (this.databases.size >= MAX_DATABASES) this.databases.clear();
      id = this.nextDatabase++;
      this.databases.set(database, id);
    }
    return (id * 8 + kind) | 0;
  }

  /** The series spelled so, or undefined when it is not remembered. Learns the order in which series come. */
  find(view: DataView, spelling: Spelling): Series | undefined {
    const record = this.young.locate(view, spelling);
    return record !== 0 ? this.young.follow(record) : this.promote(view, spelling);
  }

  /**
   * The generation to ask for a guess: senders repeat their series in the same order, so comparing with the one that
   * followed last time is mostly right, and cheaper than hashing. Ask anew for each point.
   */
  get guesses(): SeriesGeneration {
    return this.young;
  }

  /** Remembers a spelling of a series. */
  addSpelling(view: DataView, spelling: Spelling, series: Series): void {
    if (this.young.locate(view, spelling) === 0) this.insert(view, spelling, series, 0);
  }

  /** The table of this name. */
  table(database: string, name: string): TableEntry {
    const key = tableKey({ database, table: name });
    const known = this.young.tables.get(key);
    if (known !== undefined) return known;
    const table = this.old.tables.get(key) ?? new TableEntry(database, name, this.grew);
    this.adopt(table);
    return table;
  }

  /** The series with these tags, which come in any order, without duplicates or empty values. */
  series(database: string, name: string, tags: readonly (readonly [key: string, value: string])[]): Series {
    const sorted = [...tags].sort(([a], [b]) => (a < b ? -1 : 1));
    const canonical = Buffer.from([name, ...sorted.flat()].join('\u0000'), 'utf8');
    const view = viewOf(canonical);
    const spelling: Spelling = {
      scope: this.scope(database, SpellingKind.canonical),
      hash: hashBytes(view, 0, canonical.length, this.seed),
      start1: 0,
      end1: canonical.length,
      start2: 0,
      end2: 0,
    };
    const record = this.young.locate(view, spelling);
    const known = record !== 0 ? this.young.seriesOf(record) : this.promote(view, spelling);
    if (known !== undefined) return known;
    const tagSet = this.table(database, name).tagSet(sorted.map(([key]) => key));
    const series = new Series(
      tagSet,
      sorted.map(([, value]) => value),
    );
    this.insert(view, spelling, series, 1);
    return series;
  }

  /** The field of a table that came with a series of this dictionary, also when the table itself was forgotten since. */
  field(table: Table, name: string, type: ValueType): Field {
    return (table as TableEntry).field(name).of(type);
  }

  /** The tables that are remembered, some of them twice. */
  *tables(): Iterable<Table> {
    yield* this.young.tables.values();
    yield* this.old.tables.values();
  }

  /** The series that are remembered, one as often as it was spelled. Not to be held over a change. */
  *remembered(): Iterable<Series> {
    yield* this.young.all;
    yield* this.old.all;
  }

  private promote(view: DataView, spelling: Spelling): Series | undefined {
    if (this.old.size === 0) return undefined;
    const record = this.old.locate(view, spelling);
    if (record === 0) return undefined;
    const series = this.old.seriesOf(record);
    this.insert(view, spelling, series, 1);
    return series;
  }

  /** Adds a record to the young generation, and with it what its series needs. */
  private insert(view: DataView, spelling: Spelling, series: Series, newObjects: number): void {
    if ((this.young.size + 1) * 2 > this.options.maxSeries) this.rotate();
    const table = series.tagSet.table as TableEntry;
    if (this.young.tables.get(table.key) !== table) this.adopt(table);
    table.keep(series.tagSet);
    this.young.add(view, spelling, series, newObjects);
    this.grew(0);
  }

  private adopt(table: TableEntry): void {
    this.young.tables.set(table.key, table);
    table.renew();
  }

  /** Counts bytes that tables hold; they are dropped with the generation that counted them. */
  private readonly grew = (bytes: number): void => {
    this.young.bytes += bytes;
    if (this.young.bytes * 2 > this.options.maxBytes) this.rotate();
  };

  private rotate(): void {
    this.old = this.young;
    this.young = new SeriesGeneration();
    this.rotations++;
  }
}
