/** The names that points came with, for clients that complete what a user types. */

/** What a name is of: tables, tag keys or tag values, in OpenTSDB's words. */
export type NameKind = 'metrics' | 'tagk' | 'tagv';

/** Which names are wanted. */
export interface NameQuery {
  readonly database: string;
  /** What they begin with; empty: anything. */
  readonly prefix: string;
  /** How many at most. */
  readonly max: number;
}

/** Finds names that were seen and taken. */
export interface NameIndex {
  /** In ascending order; synchronous, looks at a bounded number of names, so that very many series give only some. */
  suggest(kind: NameKind, query: NameQuery): readonly string[];
}
