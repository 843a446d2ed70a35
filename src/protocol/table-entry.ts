/**
 * A table with its interned tag sets and fields, as the parsers need it: fields are found by the bytes they were
 * spelled with, and guessed from the field that followed last time. Bounded: a table that is sent too many distinct
 * names forgets all of them and starts again, and it tells the dictionary of the bytes that new names take.
 */
import type { ValueType } from '../model/column.ts';
import { Field, Table, TagSet } from '../model/series.ts';
import { equalsWords, hashBytes, packWords, wordsFor } from './bytes.ts';

/** More distinct tag sets or field names than this in one table are not remembered. */
const MAX_NAMES = 4_096;
/** Estimated bytes of the objects behind a table, and behind one of its names, beside the strings. */
const TABLE_BYTES = 800;
const NAME_BYTES = 400;

/** The fields of one name, one per type that was seen. */
export class FieldSlots {
  readonly table: Table;
  readonly name: string;
  /** The row that last used this name, to notice a name that comes twice in one row. */
  row = -1;
  private readonly byType = new Map<ValueType, Field>();
  float: Field | undefined = undefined;

  constructor(table: Table, name: string) {
    this.table = table;
    this.name = name;
  }

  /** The field with this name and type. */
  of(type: ValueType): Field {
    let field = this.byType.get(type);
    if (field === undefined) {
      field = new Field(this.table, this.name, type);
      this.byType.set(type, field);
      if (type === 'float64') this.float = field;
    }
    return field;
  }
}

/** One way a field name was spelled (with or without escapes). */
export interface FieldSpelling {
  readonly words: Int32Array;
  readonly length: number;
  readonly slots: FieldSlots;
  /** The spelling that came after this one in the last row. */
  next: FieldSpelling | undefined;
  /** Another spelling with the same hash. */
  readonly collision: FieldSpelling | undefined;
}

/** A table as the series dictionary keeps it. */
export class TableEntry extends Table {
  /** The first field of the last row: the guess for the next row. */
  firstField: FieldSpelling | undefined = undefined;
  /** OpenTSDB's one field, once a point of that protocol came. */
  valueField: Field | undefined = undefined;
  private readonly tagSets = new Map<string, TagSet>();
  private readonly slots = new Map<string, FieldSlots>();
  private readonly spellings = new Map<number, FieldSpelling>();
  private readonly grew: (bytes: number) => void;

  /** `grew` is told of estimated bytes each time that some are added. */
  constructor(database: string, name: string, grew: (bytes: number) => void) {
    super(database, name);
    this.grew = grew;
  }

  /** The tag set with these keys, which are sorted and free of NUL. */
  tagSet(keys: readonly string[]): TagSet {
    const key = keys.join('\u0000');
    let set = this.tagSets.get(key);
    if (set === undefined) {
      set = new TagSet(this, keys);
      this.addTagSet(key, set);
    }
    return set;
  }

  /** Begins anew, in a younger generation of the dictionary, without names. */
  renew(): void {
    this.tagSets.clear();
    this.forgetFields();
    this.grew(TABLE_BYTES + this.key.length * 2);
  }

  /** Keeps the tag set of a series that is used, so that other series with the same keys share it. */
  keep(tagSet: TagSet): void {
    const key = tagSet.keys.join('\u0000');
    if (!this.tagSets.has(key)) this.addTagSet(key, tagSet);
  }

  /** The slots of a field name. */
  field(name: string): FieldSlots {
    let slots = this.slots.get(name);
    if (slots === undefined) {
      if (this.slots.size >= MAX_NAMES) this.forgetFields();
      slots = new FieldSlots(this, name);
      this.slots.set(name, slots);
      this.grew(NAME_BYTES + name.length * 2);
    }
    return slots;
  }

  /** The spelling at `start`..`end`, or undefined when it was not seen before. */
  findSpelling(view: DataView, start: number, end: number): FieldSpelling | undefined {
    let spelling = this.spellings.get(hashBytes(view, start, end, 0));
    while (spelling !== undefined) {
      if (spelling.length === end - start && equalsWords(view, start, end, spelling.words, 0))
        return spelling;
      spelling = spelling.collision;
    }
    return undefined;
  }

  /** Remembers that the bytes `start`..`end` spell the field name of `slots`. */
  addSpelling(view: DataView, start: number, end: number, slots: FieldSlots): void {
    if (this.findSpelling(view, start, end) !== undefined) return;
    if (this.spellings.size >= MAX_NAMES) this.forgetFields();
    const words = new Int32Array(wordsFor(end - start) + 2); // equalsWords may look two words further
    packWords(view, start, end, words, 0);
    const hash = hashBytes(view, start, end, 0);
    const collision = this.spellings.get(hash);
    this.spellings.set(hash, { words, length: end - start, slots, next: undefined, collision });
    this.grew(NAME_BYTES + end - start);
  }

  private addTagSet(key: string, set: TagSet): void {
    if (this.tagSets.size >= MAX_NAMES) this.tagSets.clear();
    this.tagSets.set(key, set);
    this.grew(NAME_BYTES + key.length * 4);
  }

  private forgetFields(): void {
    this.slots.clear();
    this.spellings.clear();
    this.firstField = undefined;
    this.valueField = undefined;
  }
}
