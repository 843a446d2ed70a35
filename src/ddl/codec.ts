/**
 * The values of the queue's keys: JSON with a version. A value of another version, or none at all, is refused with
 * a message that says so; it is never read as something it is not.
 */
import type { ColumnSpec } from '../model/column.ts';
import type { DdlRequest, DdlTarget } from '../model/ddl-queue.ts';
import type { TableSource } from '../model/table.ts';

/** The version written, and the only one read. */
export const VALUE_VERSION = 1;

/** An open task. */
export interface TaskValue {
  readonly v: 1;
  readonly nonce: string;
  readonly slot: string;
  readonly tenantSlot: string;
  /** The gateway that asked, and when (its wall clock), for people. */
  readonly gateway: string;
  readonly atMs: number;
  readonly tenant: string;
  readonly database: string;
  /** Missing: the task is to create the database. */
  readonly table?: string;
  readonly source: TableSource;
  readonly columns: readonly ColumnSpec[];
  readonly askedBy: string;
}

/** A failure that holds for `ttlMs` from when it was written: for these wants, or, when transient, for any. */
export interface FailureValue {
  readonly class: 'permanent' | 'transient';
  readonly code: string;
  readonly message: string;
  readonly attempts: number;
  /** How often in a row it failed like this; it makes the next back-off longer. */
  readonly inRow: number;
  /** Fingerprint of the columns wanted. */
  readonly wants: string;
  readonly ttlMs: number;
}

/** How the last task of a target ended, and which failures of others before it still hold. */
export interface OutValue {
  readonly v: 1;
  /** The task that ended; it failed when there are failures, with the first of them. */
  readonly nonce: string;
  readonly failures: readonly FailureValue[];
  /** How long it all holds; `untilMs` is the same by the writer's wall clock, for people. */
  readonly ttlMs: number;
  readonly untilMs: number;
  /** Create revision of the leader's key. */
  readonly fence: number;
  readonly tenant: string;
  readonly database: string;
  readonly table?: string;
}

/** A breaker; of one tenant, or of all when `tenant` is missing. */
export interface BreakerValue {
  readonly v: 1;
  readonly code: string;
  readonly message: string;
  readonly ttlMs: number;
  readonly untilMs: number;
  readonly fence: number;
  readonly tenant?: string;
}

/** The leader's key. */
export interface LeadValue {
  readonly v: 1;
  readonly nonce: string;
  readonly gateway: string;
}

/** A slot of either kind: whose it is. */
export interface SlotValue {
  readonly v: 1;
  readonly task: string;
}

/** Creates are stopped until somebody takes the key away. */
export interface PauseValue {
  readonly v: 1;
  /** Who did it and why, for people, and when by that gateway's wall clock. */
  readonly by: string;
  readonly reason: string;
  readonly atMs: number;
}

/** Any of the values. */
export type DdlValue = TaskValue | OutValue | BreakerValue | LeadValue | SlotValue | PauseValue;

/** The text of a value. */
export function encodeValue(value: DdlValue): string {
  return JSON.stringify(value);
}

/**
 * The value of a key, which says what kind it must be.
 * @throws {Error} with a message for people, when the text is not a value of this version
 */
export function decodeValue(key: string, text: string): DdlValue {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`the value of ${key} is not JSON: another program writes under this prefix`, {
      cause: error,
    });
  }
  const version = typeof value === 'object' && value !== null && 'v' in value ? value.v : undefined;
  if (version !== VALUE_VERSION) {
    throw new Error(
      `the value of ${key} has version ${String(version)}, this gateway reads ${VALUE_VERSION}: upgrade it, or give it a prefix of its own`,
    );
  }
  return value as DdlValue;
}

/** What a value is about; a missing table stays undefined. */
export function targetOf(value: TaskValue | OutValue): DdlTarget {
  return { tenant: value.tenant, database: value.database, table: value.table };
}

/** The parts of a request that its task carries. */
export function requestFields(
  request: DdlRequest,
): Pick<TaskValue, 'tenant' | 'database' | 'table' | 'source' | 'columns' | 'askedBy'> {
  const { tenant, database, table, source, columns, askedBy } = request;
  const fields = { tenant, database, source, columns, askedBy };
  return table === undefined ? fields : { ...fields, table };
}
