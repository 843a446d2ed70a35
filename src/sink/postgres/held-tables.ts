/**
 * Tables that a write has failed on for a reason of their own: locked by somebody for long, a constraint or trigger
 * that was added, rights that were taken. Each failure costs all the others a second flush, a lock even the wait for
 * it; so for a while, which grows, nothing is sent to such a table at all.
 */
import { type TableId, tableKey } from '../../model/table.ts';

/** Why a table is held. */
export interface Held {
  readonly kind: 'transient' | 'denied';
  readonly code: string;
  readonly message: string;
}

/** See the module comment. */
export interface HeldTables {
  /** The tables that are held, and why the first of them is; undefined: none. */
  among(ids: readonly TableId[]): (Held & { readonly tables: readonly TableId[] }) | undefined;
  /** These tables have failed. */
  failed(ids: readonly TableId[], why: Held): void;
  /** A write to these tables has succeeded. */
  succeeded(ids: readonly TableId[]): void;
  readonly size: number;
}

const MIN_HOLD_MS = 1_000;
const MAX_HOLD_MS = 30_000;
/** Beyond, the oldest is forgotten. */
const MAX_TABLES = 10_000;

interface Entry {
  readonly why: Held;
  readonly holdMs: number;
  readonly untilMs: number;
}

/** Creates an empty set; `clock` is monotonic. */
export function createHeldTables(clock: { now(): number }): HeldTables {
  const entries = new Map<string, Entry>();
  return {
    get size() {
      return entries.size;
    },
    among(ids) {
      if (entries.size === 0) return undefined;
      const nowMs = clock.now();
      const held = ids.flatMap((id) => {
        const entry = entries.get(tableKey(id));
        return entry !== undefined && nowMs < entry.untilMs ? [{ id, why: entry.why }] : [];
      });
      return held[0] && { ...held[0].why, tables: held.map(({ id }) => id) };
    },
    failed(ids, why) {
      for (const id of ids) {
        const key = tableKey(id);
        const holdMs = Math.min(MAX_HOLD_MS, (entries.get(key)?.holdMs ?? MIN_HOLD_MS / 2) * 2);
        entries.delete(key);
        entries.set(key, { why, holdMs, untilMs: clock.now() + holdMs });
        const [oldest] = entries.keys();
        if (entries.size > MAX_TABLES && oldest !== undefined) entries.delete(oldest);
      }
    },
    succeeded(ids) {
      if (entries.size > 0) for (const id of ids) entries.delete(tableKey(id));
    },
  };
}
