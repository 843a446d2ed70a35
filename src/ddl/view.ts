/**
 * The queue's keys, decoded and indexed, as of one revision: what tasks are open, which slots are taken, which
 * outcomes and breakers hold. Fed by the reflector; turns its changes into the queue's own. How long an outcome or a breaker
 * holds is counted on this process's monotonic clock from when it was first seen, because other clocks may be wrong.
 */
import type { Clock } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';
import {
  type BreakerValue,
  type DdlValue,
  decodeValue,
  type OutValue,
  type PauseValue,
  type SlotValue,
  type TaskValue,
} from './codec.ts';
import type { DdlKeys } from './keys.ts';
import type { Change } from './reflector.ts';
import type { KeyValue } from './store.ts';

/** A key with its decoded value. */
export interface Entry<T extends DdlValue> {
  readonly key: string;
  readonly create: number;
  readonly mod: number;
  readonly value: T;
}

/** An entry that holds for a while. */
export interface Lasting<T extends OutValue | BreakerValue> extends Entry<T> {
  /** When it was first seen, and until when it holds, on this process's monotonic clock. */
  readonly seenMs: number;
  readonly untilMs: number;
}

/** What happened, in the queue's terms; an outcome that replaces another comes as `out` alone. Within one revision outcomes and breakers come before the tasks they end. */
export type ViewChange =
  | { readonly kind: 'out' | 'out_gone'; readonly out: Lasting<OutValue> }
  | { readonly kind: 'breaker' | 'breaker_gone'; readonly breaker: Lasting<BreakerValue> }
  | { readonly kind: 'task' | 'task_gone'; readonly task: Entry<TaskValue> }
  | { readonly kind: 'lead' };

const ORDER: Record<ViewChange['kind'], number> = {
  out_gone: 0,
  breaker_gone: 0,
  out: 1,
  breaker: 1,
  task_gone: 2,
  task: 3,
  lead: 4,
};

/** See the module comment. */
export class DdlView {
  readonly tasks = new Map<string, Entry<TaskValue>>();
  readonly outs = new Map<string, Lasting<OutValue>>();
  readonly breakers = new Map<string, Lasting<BreakerValue>>();
  /** Slots of both kinds. */
  readonly slots = new Map<string, Entry<SlotValue>>();
  lead: KeyValue | undefined;
  /** The key that stops all creates; whether it is there decides, readable or not. */
  pauseKey: KeyValue | undefined;
  readonly #takenSlots = new Map<string, Set<number>>();
  readonly #keys: DdlKeys;
  readonly #clock: Clock;
  readonly #logger: Logger;

  constructor(keys: DdlKeys, clock: Clock, logger: Logger) {
    this.#keys = keys;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Numbers of the taken slots in the row of slots that this one belongs to. */
  takenBeside(slotKey: string): ReadonlySet<number> {
    return this.#takenSlots.get(rowOf(slotKey)) ?? NONE;
  }

  /** When an outcome or breaker just read from the store was first seen, on the monotonic clock. */
  seenMs(kv: Pick<KeyValue, 'key' | 'mod'>): number {
    const seen = this.outs.get(kv.key) ?? this.breakers.get(kv.key);
    return seen?.mod === kv.mod ? seen.seenMs : this.#clock.now();
  }

  /** What the key that stops all creates says; undefined: it is not there, or unreadable. */
  get pause(): PauseValue | undefined {
    return this.#decode<PauseValue>(this.pauseKey)?.value;
  }

  /** The breaker that holds for a tenant, its own or that of all. */
  breakerOf(tenant: string): Lasting<BreakerValue> | undefined {
    const nowMs = this.#clock.now();
    for (const key of [this.#keys.breakerAll, this.#keys.breaker(tenant)]) {
      const breaker = this.breakers.get(key);
      if (breaker !== undefined && breaker.untilMs > nowMs) return breaker;
    }
    return undefined;
  }

  /** Takes the changes of one revision (or list) over. */
  apply(changes: readonly Change[]): ViewChange[] {
    const result: ViewChange[] = [];
    for (const change of changes) this.#applyOne(change, result);
    return result.sort((a, b) => ORDER[a.kind] - ORDER[b.kind]);
  }

  #applyOne({ key, after }: Change, result: ViewChange[]): void {
    switch (this.#keys.kind(key)) {
      case 'task': {
        const [gone, task] = this.#replace(this.tasks, key, this.#decode<TaskValue>(after));
        if (gone !== undefined) result.push({ kind: 'task_gone', task: gone });
        if (task !== undefined) result.push({ kind: 'task', task });
        return;
      }
      case 'out': {
        const [gone, out] = this.#replace(this.outs, key, this.#lasting<OutValue>(after));
        if (out !== undefined) result.push({ kind: 'out', out });
        else if (gone !== undefined) result.push({ kind: 'out_gone', out: gone });
        return;
      }
      case 'brk': {
        const [gone, breaker] = this.#replace(this.breakers, key, this.#lasting<BreakerValue>(after));
        if (breaker !== undefined) result.push({ kind: 'breaker', breaker });
        else if (gone !== undefined) result.push({ kind: 'breaker_gone', breaker: gone });
        return;
      }
      case 'slot':
      case 'tslot':
        this.#takeSlot(key, after);
        return;
      case 'lead':
        this.lead = after;
        result.push({ kind: 'lead' });
        return;
      case 'pause':
        this.pauseKey = after;
        return;
      case 'unknown':
        return;
    }
  }

  #replace<T>(map: Map<string, T>, key: string, next: T | undefined): [T | undefined, T | undefined] {
    const before = map.get(key);
    if (next === undefined) map.delete(key);
    else map.set(key, next);
    return [before, next];
  }

  /** A slot is taken by its key alone, whatever its value says. */
  #takeSlot(key: string, after: KeyValue | undefined): void {
    this.#replace(this.slots, key, this.#decode<SlotValue>(after));
    const row = rowOf(key);
    const taken = this.#takenSlots.get(row) ?? new Set();
    if (after === undefined) taken.delete(this.#keys.slotIndex(key));
    else taken.add(this.#keys.slotIndex(key));
    if (taken.size === 0) this.#takenSlots.delete(row);
    else this.#takenSlots.set(row, taken);
  }

  #lasting<T extends OutValue | BreakerValue>(kv: KeyValue | undefined): Lasting<T> | undefined {
    const entry = this.#decode<T>(kv);
    if (entry === undefined) return undefined;
    const seenMs = this.#clock.now();
    return { ...entry, seenMs, untilMs: seenMs + entry.value.ttlMs };
  }

  #decode<T extends DdlValue>(kv: KeyValue | undefined): Entry<T> | undefined {
    if (kv === undefined) return undefined;
    try {
      return { key: kv.key, create: kv.create, mod: kv.mod, value: decodeValue(kv.key, kv.value) as T };
    } catch (error) {
      this.#logger.error({ err: error }, 'unreadable value in the DDL queue, left alone');
      return undefined;
    }
  }
}

const NONE: ReadonlySet<number> = new Set();

function rowOf(slotKey: string): string {
  return slotKey.slice(0, slotKey.lastIndexOf('/'));
}
