/** The columns of a table, as clients ask for them and as databases have them. */

/** Types of values a point can carry. OpenTSDB values are always `float64`. */
export type ValueType = 'float64' | 'int64' | 'uint64' | 'bool' | 'string';

/** A tag column identifies the series (always `string`); a field column holds a value. */
export type ColumnKind = 'tag' | 'field';

/** One column besides the time column, which every table has and which is never listed. */
export interface ColumnSpec {
  readonly name: string;
  readonly kind: ColumnKind;
  readonly type: ValueType;
}

/** What distinguishes two wanted columns: `cpu` as a tag, as a float and as an integer are three. */
export function columnKey(column: ColumnSpec): string {
  return `${column.kind}\u0000${column.type}\u0000${column.name}`;
}

/** Why no table can have these columns, or undefined: a tag and a field can't share a name. */
export function wantedTwice(columns: readonly ColumnSpec[]): string | undefined {
  const names = new Set<string>();
  for (const { name } of columns) {
    if (names.has(name)) return `column '${name}' is wanted twice`;
    names.add(name);
  }
  return undefined;
}
