/** The admin API's parameters and answers as JSON Schema: validation, types and /openapi.json follow from them. */
import { type Static, type TProperties, type TSchema, Type } from 'typebox';

const MAX_NAME = 4_096;
const name = (description: string) => Type.String({ maxLength: MAX_NAME, description });
const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const table = nullable(Type.String({ description: 'null: the database itself' }));

/** Parameters of every listing. */
const PAGE = {
  cursor: Type.Optional(Type.String({ maxLength: 4 * MAX_NAME, description: '`next` of the page before' })),
  limit: Type.Integer({ minimum: 1, maximum: 1_000, default: 100 }),
  database: Type.Optional(name('only this database')),
  prefix: Type.Optional(name('only tables whose name begins like this')),
};

/** Parameters of the listings. */
export const listQuery = Type.Object(PAGE);
export const failureQuery = Type.Object({
  ...PAGE,
  class: Type.Optional(Type.Union([Type.Literal('permanent'), Type.Literal('transient')])),
});

/** What is to be forgotten: all, or a table, or the tables that begin like `prefix`. */
export const forgetQuery = Type.Object({
  all: Type.Optional(Type.Literal('true')),
  database: Type.Optional(name('database of the table or prefix')),
  table: Type.Optional(name('one table')),
  prefix: Type.Optional(name('beginning of table names; empty: all of the database')),
});
export const retryQuery = Type.Object({ database: name('database of the table'), table: name('the table') });
export const cancelQuery = Type.Object({
  database: name('database of the task'),
  table: Type.Optional(name('its table; without: the database itself')),
});
export const pauseQuery = Type.Object({
  reason: Type.String({ minLength: 1, maxLength: 256, description: 'why, for people' }),
});
export const noQuery = Type.Object({});

/** How the body of a dry run is to be read. */
export const planQuery = Type.Object({
  protocol: Type.Enum(['opentsdb', 'influx']),
  db: Type.Optional(
    Type.String({
      pattern: '^[^\\u0000]+$',
      maxLength: MAX_NAME,
      description: 'database of the points; by default that of OpenTSDB, which knows none',
    }),
  ),
  precision: Type.Optional(Type.Enum(['ns', 'us', 'ms', 's', 'm', 'h', 'auto'])),
  tenant: Type.Optional(name('whose share of the creates is used; by default that of the database')),
});

/** What refused creates are to be listed by. */
export const offenderQuery = Type.Object({
  by: Type.Enum(['table', 'client', 'tenant'], { default: 'table' }),
  limit: Type.Integer({ minimum: 1, maximum: 1_000, default: 20 }),
});

const pause = Type.Object({ by: Type.String(), reason: Type.String(), since: Type.String() });

/** GET /admin/status */
export const statusAnswer = Type.Object({
  version: Type.String(),
  gateway: Type.Object({ leader: Type.Boolean(), live: Type.Boolean() }),
  leader: nullable(Type.String()),
  paused: nullable(pause),
  breakers: Type.Array(
    Type.Object({
      tenant: nullable(Type.String()),
      code: Type.String(),
      message: Type.String(),
      leftMs: Type.Integer(),
    }),
  ),
  counts: Type.Object({
    openTasks: Type.Integer(),
    maxOpenTasks: Type.Integer(),
    negativeResults: Type.Integer(),
    knownTables: Type.Integer(),
    parkedTables: Type.Integer(),
    pendingBytes: Type.Integer(),
  }),
});

const column = Type.Object({ name: Type.String(), kind: Type.String(), type: Type.String() });
const target = { tenant: Type.String(), database: Type.String(), table };

/** An item of GET /admin/tasks, /admin/tables, /admin/failures, /admin/lanes. */
export const taskItem = Type.Object({
  ...target,
  columns: Type.Array(column),
  askedBy: Type.String(),
  gateway: Type.String(),
  ageMs: Type.Integer(),
  progress: nullable(
    Type.Object(
      {
        state: Type.String(),
        attempts: Type.Integer(),
        lastError: nullable(Type.Object({ code: Type.String(), message: Type.String() })),
      },
      { description: 'null: only the leader knows' },
    ),
  ),
});
export const tableItem = Type.Object({
  database: Type.String(),
  table: Type.String(),
  columns: Type.Array(column),
  seenMs: Type.Integer({ description: 'how long ago the database described it' }),
});

/** GET /admin/policy: the options of the same names. */
const names = Type.Array(Type.String());
export const policyAnswer = Type.Object({
  autoCreate: Type.String(),
  allow: names,
  allowDatabases: names,
  deny: names,
  denyDatabases: names,
  maxDatabases: Type.Integer({ description: '0: no limit' }),
  maxTablesPerDatabase: Type.Integer({ description: '0: no limit' }),
  maxColumnsPerTable: Type.Integer({ description: '0: no limit' }),
});
export const failureItem = Type.Object({
  ...target,
  failures: Type.Array(
    Type.Object({
      class: Type.String(),
      code: Type.String(),
      message: Type.String(),
      attempts: Type.Integer(),
      nextTryInMs: Type.Integer(),
    }),
  ),
});
export const laneItem = Type.Object({
  tenant: Type.String(),
  database: Type.String(),
  table: Type.String(),
  rows: Type.Integer(),
  bytes: Type.Integer(),
  ageMs: Type.Integer(),
});

/** An item of GET /admin/offenders; which names it has is by what was asked for. */
export const offenderItem = Type.Object({
  database: Type.Optional(Type.String()),
  table: Type.Optional(Type.String()),
  client: Type.Optional(Type.String()),
  tenant: Type.Optional(Type.String()),
  refused: Type.Integer({ description: 'never too few' }),
  excess: Type.Integer({ description: 'by how many it may be too many' }),
});

/** POST /admin/plan; each list has the first `MAX_LISTED` items. */
export const planAnswer = Type.Object({
  malformed: nullable(Type.String({ description: 'why the body as a whole is refused' })),
  rows: Type.Object({
    stored: Type.Integer({ description: 'written, once the changes are made' }),
    parked: Type.Integer(),
    deferred: Type.Integer({
      description: 'held back, and not even parked: the sender is asked to come again',
    }),
    rejected: Type.Integer(),
    malformed: Type.Integer(),
  }),
  changes: Type.Array(
    Type.Object({
      kind: Type.Enum(['database', 'table', 'columns']),
      database: Type.String(),
      table,
      columns: Type.Array(column),
      statements: Type.Array(Type.String()),
    }),
  ),
  refused: Type.Array(
    Type.Object({
      offset: Type.Integer({ description: 'where in the body the point begins, in bytes' }),
      reason: Type.String(),
      message: Type.String(),
    }),
  ),
  held: Type.Array(
    Type.Object({
      database: Type.String(),
      table: Type.String(),
      reason: Type.String(),
      message: Type.String(),
    }),
  ),
});

/** A page of items. */
export function pageAnswer<T extends TSchema>(item: T) {
  return Type.Object({ items: Type.Array(item), next: nullable(Type.String()) });
}

/** What actions answer. */
export const changedAnswer = Type.Object({ changed: Type.Boolean() });
export const forgottenAnswer = Type.Object({ forgotten: Type.Integer() });
export const cancelledAnswer = Type.Object({ cancelled: Type.Boolean() });
export const drainedAnswer = Type.Object({ drained: Type.Boolean(), pendingBytes: Type.Integer() });

/** Answers as TypeScript has them. */
export type Status = Static<typeof statusAnswer>;
export type TaskItem = Static<typeof taskItem>;
export type TableItem = Static<typeof tableItem>;
export type PolicyAnswer = Static<typeof policyAnswer>;
export type FailureItem = Static<typeof failureItem>;
export type LaneItem = Static<typeof laneItem>;
export type OffenderItem = Static<typeof offenderItem>;
export type OffenderQuery = Static<typeof offenderQuery>;
export type PlanQuery = Static<typeof planQuery>;
export type PlanAnswer = Static<typeof planAnswer>;

/** Names of parameters in a query that its schema does not have. A mistyped one must not widen what is done. */
export function unknownParameters(query: object, schema: { readonly properties: TProperties }): string[] {
  return Object.keys(query).filter((key) => !Object.hasOwn(schema.properties, key));
}
