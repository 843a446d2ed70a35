/**
 * Refusals that were given before, so that refusing the same rows again costs less than storing them: a comparison
 * of pointers and two lookups instead of the whole check. Only refusals for good are repeated, for at most a second,
 * and only while the registry and the negative cache hold what they held. Deferrals are not: each has its own time
 * to come back. A table keeps one refusal, from the second time on: names that come once cost no memory.
 */
import type { Admission } from '../model/admission.ts';
import type { TableGroup } from '../model/point-batch.ts';
import type { Field, TagSet } from '../model/series.ts';
import type { NegativeCache } from './negative-cache.ts';
import type { GuardMetrics } from './options.ts';
import type { KnownTable, Registry } from './registry.ts';

/** What a refusal rested on. */
interface Refusal {
  readonly admission: Admission;
  readonly tagSets: readonly TagSet[];
  readonly fields: readonly Field[];
  /** The registry's tick, entry and the negative cache's entry at that time. */
  readonly tick: number;
  readonly known: KnownTable | undefined;
  readonly negative: object | undefined;
}

/** What refusals are compared with. */
export interface RecallDeps {
  readonly registry: Registry;
  readonly negatives: NegativeCache;
  readonly metrics: Pick<GuardMetrics, 'rejected'>;
}

/** See the module comment. */
export interface Recall {
  /** As `Guard.recall`. */
  find(group: TableGroup): Admission | undefined;
  /** To be told of each answer that was known at once. */
  note(group: TableGroup, admission: Admission): void;
}

/** Stands for the first refusal. */
const ONCE = {};

/** Makes it; what it remembers is kept with the tables themselves. */
export function createRecall({ registry, negatives, metrics }: RecallDeps): Recall {
  return {
    find({ table, tagSets, fields }) {
      const refusal = table.refusedBy as Refusal | undefined;
      if (refusal?.tick !== registry.tick) return undefined;
      if (!isSame(refusal.tagSets, tagSets) || !isSame(refusal.fields, fields)) return undefined;
      if (registry.peek(table.key) !== refusal.known) return undefined;
      if (negatives.peek(table.key) !== refusal.negative) return undefined;
      const { refused, parts } = refusal.admission;
      if (refused?.kind === 'rejected') metrics.rejected(refused.reason);
      else
        for (const verdict of parts.values())
          if (verdict.kind === 'rejected') metrics.rejected(verdict.reason);
      return refusal.admission;
    },
    note({ table, tagSets, fields }, admission) {
      if (!isForGood(admission)) return;
      if (table.refusedBy === undefined) table.refusedBy = ONCE;
      else {
        table.refusedBy = {
          admission,
          tagSets: [...tagSets],
          fields: [...fields],
          tick: registry.tick,
          known: registry.peek(table.key),
          negative: negatives.peek(table.key),
        } satisfies Refusal;
      }
    },
  };
}

function isForGood({ refused, parts }: Admission): boolean {
  if (refused !== undefined) return refused.kind === 'rejected';
  for (const { kind } of parts.values()) if (kind !== 'rejected') return false;
  return parts.size > 0;
}

function isSame<T>(before: readonly T[], now: readonly T[]): boolean {
  if (before.length !== now.length) return false;
  for (let i = 0; i < now.length; i++) if (before[i] !== now[i]) return false;
  return true;
}
