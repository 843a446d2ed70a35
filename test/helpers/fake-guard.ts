/**
 * A guard that knows every table until a test says otherwise, and answers what it is told to. It keeps the
 * contract: what was admitted is ready until it is invalidated, and `admit` rejects only when its signal aborts.
 */
import type { Admission, AdmitContext, Guard, Verdict } from '../../src/model/admission.ts';
import type { TableGroup } from '../../src/model/point-batch.ts';
import type { Field, TagSet } from '../../src/model/series.ts';
import { type TableId, tableKey } from '../../src/model/table.ts';
import { unlessAborted } from '../../src/util/abort.ts';

/** All rows of the group may be written. */
export const ADMIT: Admission = { refused: undefined, parts: new Map() };

/** A refusal for good, told apart by its message. */
export function reject(message: string): Verdict {
  return { kind: 'rejected', reason: 'denied_name', message };
}

/** A refusal for now, told apart by its message. */
export function defer(message: string, retryAfterMs = 1_000): Verdict {
  return { kind: 'deferred', reason: 'ddl_pending', message, retryAfterMs };
}

/** No row of the group may be written. */
export function all(refused: Verdict): Admission {
  return { refused, parts: new Map() };
}

/** Rows with these parts may not be written. */
export function some(...parts: readonly (readonly [TagSet | Field, Verdict])[]): Admission {
  return { refused: undefined, parts: new Map(parts) };
}

/** See the module comment. */
export class FakeGuard implements Guard {
  /** Tables that `admit` was asked about, and those invalidated, in order. */
  readonly asked: string[] = [];
  /** Waiting times that `admit` was given, where it was. */
  readonly waits: number[] = [];
  readonly invalidated: string[] = [];
  /** Tables that are not ready before they are admitted; undefined: none is. */
  readonly unknown = new Set<string>();
  /** What `admit` answers. */
  answer: (group: TableGroup, context: AdmitContext) => Admission | Promise<Admission> = () => ADMIT;

  isReady(group: TableGroup): boolean {
    return !this.unknown.has(group.table.name);
  }

  recall(): Admission | undefined {
    return undefined;
  }

  async admit(group: TableGroup, context: AdmitContext): Promise<Admission> {
    const { name } = group.table;
    this.asked.push(name);
    if (context.waitMs !== undefined) this.waits.push(context.waitMs);
    const admission = await unlessAborted(Promise.resolve(this.answer(group, context)), context.signal);
    if (admission.refused === undefined && admission.parts.size === 0) this.unknown.delete(name);
    return admission;
  }

  invalidate({ database, name }: { database: string; name: string }): void {
    const id: TableId = { database, table: name };
    this.invalidated.push(tableKey(id).replace('\u0000', '.'));
    this.unknown.add(name);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
