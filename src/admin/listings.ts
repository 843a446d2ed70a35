/** The admin API's listings: what there is, narrowed, in the API's shape and cut into pages. Nothing here changes anything. */
import type { Clock } from '../model/clock.ts';
import type { ColumnSpec } from '../model/column.ts';
import type {
  ControlledQueue,
  HeldBack,
  NegativeResult,
  OpenTask,
  TaskProgress,
} from '../model/ddl-control.ts';
import type { SpoolDisk } from '../model/spool.ts';
import type { TableId } from '../model/table.ts';
import type { Offenders } from './offenders.ts';
import { type Page, type PageQuery, pageOf } from './page.ts';
import type { FailureItem, LaneItem, OffenderItem, OffenderQuery, TableItem, TaskItem } from './schemas.ts';

/** Which items of a listing are wanted; what is undefined is not asked about. */
export interface ListQuery extends PageQuery {
  readonly database?: string | undefined;
  /** Of the table's name; a database itself has none. */
  readonly prefix?: string | undefined;
}

/** A table that the guard knows, and when the database last described it, on the monotonic clock. */
export interface Known {
  readonly id: TableId;
  readonly key: string;
  readonly columns: ReadonlyMap<string, ColumnSpec>;
  readonly seenAtMs: number;
}

/** What the listings are made from. */
export interface ListingsDeps {
  readonly queue: Pick<ControlledQueue, 'control'>;
  readonly guard: { known(): Iterable<Known> };
  /** Undefined: rows are not kept on disk. */
  readonly disk: Pick<SpoolDisk, 'lanes' | 'stats'> | undefined;
  readonly offenders: Pick<Offenders, 'top'>;
  readonly clock: Pick<Clock, 'wallNow' | 'now'>;
}

/** See the module comment. */
export interface Listings {
  tasks(query: ListQuery): Page<TaskItem>;
  tables(query: ListQuery): Page<TableItem>;
  failures(query: ListQuery & { readonly class?: string | undefined }): Page<FailureItem>;
  lanes(query: ListQuery): Page<LaneItem>;
  /** Who asked most for what was refused, most first; in one page. */
  offenders(query: OffenderQuery): Page<OffenderItem>;
}

/** Makes them; nothing of them has to be closed. */
export function createListings({
  queue: { control },
  guard,
  disk,
  offenders,
  clock,
}: ListingsDeps): Listings {
  const age = (atMs: number): number => Math.max(0, Math.round(clock.wallNow() - atMs));

  return {
    tasks: (query) =>
      pageOf(
        control
          .list()
          .tasks.filter((task) => isWanted(task, query))
          .map((task) => taskItem(task, age)),
        keyOf,
        query,
      ),
    tables(query) {
      const wanted = filter(guard.known(), ({ id }) => isWanted(id, query));
      const { items, next } = pageOf(wanted, ({ key }) => key, query);
      return { items: items.map((known) => tableItem(known, clock.now())), next };
    },
    failures: (query) =>
      pageOf(
        control
          .list()
          .negatives.filter((negative) => isWanted(negative, query))
          .map((negative) => failureItem(negative, query.class))
          .filter(({ failures }) => failures.length > 0),
        keyOf,
        query,
      ),
    lanes(query) {
      const items: LaneItem[] = [];
      for (const { name, rows, bytes, oldestAtMs } of disk?.lanes() ?? []) {
        if (name === undefined || !isWanted(name, query)) continue;
        const { tenant, database, table } = name;
        items.push({ tenant, database, table, rows, bytes, ageMs: oldestAtMs ? age(oldestAtMs) : 0 });
      }
      return pageOf(items, keyOf, query);
    },
    offenders: ({ by, limit }) => ({
      items: offenders.top(by, limit).map(({ key, count: refused, excess }) => {
        return { ...offenderOf(by, key), refused, excess };
      }),
      next: undefined,
    }),
  };
}

function taskItem({ atMs, table, progress, ...task }: OpenTask, age: (atMs: number) => number): TaskItem {
  const columns = [...task.columns];
  return { ...task, table: table ?? null, columns, ageMs: age(atMs), progress: progressOf(progress) };
}

/** `wanted`: failures of this class alone. */
function failureItem({ table, failures, ...rest }: NegativeResult, wanted: string | undefined): FailureItem {
  const listed = failures.filter((failure) => (wanted ?? failure.class) === failure.class);
  return { ...rest, table: table ?? null, failures: listed.map(failureOf) };
}

function failureOf({
  class: failureClass,
  code,
  message,
  attempts,
  leftMs,
}: HeldBack): FailureItem['failures'][number] {
  return { class: failureClass, code, message, attempts, nextTryInMs: Math.ceil(leftMs) };
}

function progressOf(progress: TaskProgress | undefined): TaskItem['progress'] {
  return progress === undefined ? null : { ...progress, lastError: progress.lastError ?? null };
}

function tableItem({ id, columns, seenAtMs }: Known, nowMs: number): TableItem {
  return { ...id, columns: [...columns.values()], seenMs: Math.round(nowMs - seenAtMs) };
}

function* filter<T>(items: Iterable<T>, isWantedOne: (item: T) => boolean): Iterable<T> {
  for (const item of items) if (isWantedOne(item)) yield item;
}

function offenderOf(by: OffenderQuery['by'], key: string): Partial<OffenderItem> {
  if (by !== 'table') return { [by]: key };
  const [database = '', table = ''] = key.split('\u0000');
  return { database, table };
}

function isWanted(item: { database: string; table: string | undefined }, query: ListQuery): boolean {
  if (query.database !== undefined && item.database !== query.database) return false;
  return query.prefix === undefined || item.table?.startsWith(query.prefix) === true;
}

/** The database itself comes before its tables; no name holds NUL. */
function keyOf({ database, table }: { readonly database: string; readonly table: string | null }): string {
  return table === null ? database : `${database}\u0000${table}`;
}
