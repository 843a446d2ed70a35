/**
 * Compares what a group of rows needs with what a table has: which of its parts (tag sets and fields) can't be
 * written whatever is done, and which columns are missing for the others. Pure, given its rules.
 */
import type { Verdict } from '../model/admission.ts';
import type { ColumnKind, ColumnSpec, ValueType } from '../model/column.ts';
import type { TableGroup } from '../model/point-batch.ts';
import { type Field, type Table, TagSet } from '../model/series.ts';
import type { KnownTable } from './registry.ts';
import { typeConflict } from './verdict.ts';

/** A tag set or a field: the unit of which rows are refused. */
export type Part = TagSet | Field;

/** What stands between a group and its table. */
export interface Assessment {
  /** Parts that are refused, with the reason. */
  readonly parts: Map<Part, Verdict>;
  /** By name: the columns that the other parts need and the table lacks, in order of first appearance. */
  readonly missing: ReadonlyMap<string, ColumnSpec>;
  /** False: each row has a refused part, so nothing need be made. */
  readonly useful: boolean;
}

/** Judges what is new; each answers why it is refused, or undefined. */
export interface ColumnRules {
  refusesColumn(column: ColumnSpec): Verdict | undefined;
  /** `columns`: how many the table would have. */
  refusesWidth(table: Table, columns: number): Verdict | undefined;
}

/** Compares a group with its table; `known` undefined: it does not exist, or is not known to. */
export function assess(group: TableGroup, known: KnownTable | undefined, rules: ColumnRules): Assessment {
  const parts = new Map<Part, Verdict>();
  const missing = new Map<string, ColumnSpec>();
  let tagSets = 0;
  let fields = 0;
  for (const tagSet of group.tagSets) {
    if (judge(tagSet)) tagSets++;
  }
  for (const field of group.fields) {
    if (judge(field)) fields++;
  }
  return { parts, missing, useful: tagSets > 0 && fields > 0 };

  function judge(part: Part): boolean {
    const claims: ColumnSpec[] = [];
    const verdict = firstRefusal(part, claims) ?? tooWide(claims.length);
    if (verdict !== undefined) parts.set(part, verdict);
    else for (const column of claims) missing.set(column.name, column);
    return verdict === undefined;
  }

  function firstRefusal(part: Part, claims: ColumnSpec[]): Verdict | undefined {
    if (!(part instanceof TagSet)) return judgeColumn(part.name, 'field', part.type, claims);
    for (const key of part.keys) {
      const verdict = judgeColumn(key, 'tag', 'string', claims);
      if (verdict !== undefined) return verdict;
    }
    return undefined;
  }

  function judgeColumn(
    name: string,
    kind: ColumnKind,
    type: ValueType,
    claims: ColumnSpec[],
  ): Verdict | undefined {
    const existing = known?.columns.get(name) ?? missing.get(name);
    if (existing?.kind === kind && existing.type === type) return undefined;
    const column = { name, kind, type };
    if (existing !== undefined) return typeConflict(group.table.name, column, existing);
    claims.push(column);
    return rules.refusesColumn(column);
  }

  function tooWide(more: number): Verdict | undefined {
    if (more === 0) return undefined;
    return rules.refusesWidth(group.table, (known?.columns.size ?? 0) + missing.size + more);
  }
}

/** True when the part needs one of these columns. */
export function needs(part: Part, columns: ReadonlyMap<string, ColumnSpec>): boolean {
  return part instanceof TagSet ? part.keys.some((key) => columns.has(key)) : columns.has(part.name);
}
