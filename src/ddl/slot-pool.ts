/**
 * Picks the slots for a new task: free in the view, and not just being taken by another submit of this process. A
 * full row is refused here, without a call to the store.
 */
import type { Random } from '../util/backoff.ts';
import type { DdlKeys } from './keys.ts';
import type { DdlView } from './view.ts';

/** A pair of slots, this process's own until `release`. */
export interface PickedSlots {
  readonly slot: string;
  readonly tenantSlot: string;
  release(): void;
}

/** See the module comment. */
export interface SlotPool {
  pick(tenant: string): PickedSlots | 'full' | 'tenant_full';
}

/** A pool of `maxOpenTasks` slots, and of `maxOpenTasksPerTenant` for each tenant. */
export function createSlotPool(
  limits: { readonly maxOpenTasks: number; readonly maxOpenTasksPerTenant: number },
  deps: { readonly keys: DdlKeys; readonly view: DdlView; readonly random: Random },
): SlotPool {
  const { keys, view, random } = deps;
  const reserved = new Set<string>();

  const pickFrom = (count: number, keyOf: (index: number) => string): string | undefined => {
    const taken = view.takenBeside(keyOf(0));
    if (taken.size >= count) return undefined;
    const first = Math.floor(random() * count);
    for (let step = 0; step < count; step++) {
      const index = (first + step) % count;
      const key = keyOf(index);
      if (!taken.has(index) && !reserved.has(key)) return key;
    }
    return undefined;
  };

  return {
    pick: (tenant) => {
      const slot = pickFrom(limits.maxOpenTasks, keys.slot);
      if (slot === undefined) return 'full';
      const tenantSlot = pickFrom(limits.maxOpenTasksPerTenant, (index) => keys.tenantSlot(tenant, index));
      if (tenantSlot === undefined) return 'tenant_full';
      reserved.add(slot).add(tenantSlot);
      return {
        slot,
        tenantSlot,
        release: () => {
          reserved.delete(slot);
          reserved.delete(tenantSlot);
        },
      };
    },
  };
}
