/**
 * Parks rows that must wait for their table or the database: one record (or more) per table, all tables of a call in
 * one change of the disk, so with one sync. Rows over a bound are refused table by table, before anything of them is
 * kept, with the bound as the reason; or they go to the dead letter, if configured so. What is larger than a bound may
 * pass when nothing else is there, or it could never pass. Called by ingest; lane-drainer.ts writes the lanes.
 */
import type { Clock } from '../model/clock.ts';
import type { PointBatch } from '../model/point-batch.ts';
import type { Series, Table } from '../model/series.ts';
import type {
  DeadLetter,
  DeadReason,
  LaneName,
  NewRecord,
  Parked,
  Parking,
  ParkRefusal,
  RecordHead,
  SpoolDisk,
} from '../model/spool.ts';
import { type CensusStats, createCensus } from './parking-census.ts';
import type { RecordEncoder } from './record.ts';

/** Bounds of the parked rows. */
export interface ParkingOptions {
  /** False: nothing new is parked; what was parked earlier is still known and written. */
  readonly enabled: boolean;
  /** Bytes of the whole spool, log included. At least 1. */
  readonly maxBytes: number;
  /** Bytes of parked rows of one tenant, and of one table. At least 1. */
  readonly maxTenantBytes: number;
  readonly maxTableBytes: number;
  /** Tables with parked rows. At least 1. */
  readonly maxTables: number;
  /**
   * With `refuse`, a table whose oldest parked row is older takes no more. With `dead-letter` the replay takes such
   * rows out instead. 0: no bound.
   */
  readonly maxAgeMs: number;
  /** What becomes of rows over a bound: refused, or acknowledged and written to the dead letter. */
  readonly whenFull: 'refuse' | 'dead-letter';
}

/** What parking counts; reasons are closed sets. */
export interface ParkingMetrics {
  /** Rows were synced, as so many bytes. */
  parked(rows: number, bytes: number): void;
  /** Rows were not kept; their sender is told. */
  refused(reason: ParkRefusal, rows: number): void;
  /** Rows went to the dead letter. */
  dead(reason: DeadReason, rows: number): void;
}

/** What parking needs. */
export interface ParkingDeps {
  readonly disk: SpoolDisk;
  readonly encoder: RecordEncoder;
  readonly deadLetter: DeadLetter;
  /** A table has parked rows that had none before. */
  readonly onLane: (tableKey: string) => void;
  readonly clock: Pick<Clock, 'now' | 'wallNow'>;
  readonly metrics: ParkingMetrics;
}

/** Numbers for gauges. */
export interface ParkingStats extends Omit<CensusStats, 'oldestAtMs'> {
  /** Age of the oldest parked row, milliseconds; 0 when there is none. */
  readonly oldestAgeMs: number;
}

/** Parking with numbers for gauges, which are at most a second old while somebody asks. */
export interface MeteredParking extends Parking {
  stats(): ParkingStats;
}

/** Makes parking on a disk. */
export function createParking(options: ParkingOptions, deps: ParkingDeps): MeteredParking {
  return new LaneParking(options, deps);
}

const TEXTS: Record<ParkRefusal, string> = {
  off: 'rows are not parked here',
  total: 'the spool is full',
  tenant: 'too much of this database waits on disk',
  table: 'too much of this table waits on disk',
  tables: 'too many tables have rows that wait on disk',
  age: 'rows of this table have waited on disk for too long',
  disk: 'the spool takes no rows',
};

type Refusal = NonNullable<Parked['refusal']>;

/** Rows of one table. */
interface TableRows {
  readonly table: Table;
  readonly rows: number[];
}

/** A call of `park`, whose records are to be committed. */
interface Plan {
  readonly append: NewRecord[];
  readonly kept: TableRows[];
  /** Tables that get their first rows. */
  readonly newLanes: string[];
  readonly over: (TableRows & { readonly refusal: Refusal })[];
  /** Bytes of `append`. */
  bytes: number;
}

class LaneParking implements MeteredParking {
  private readonly options: ParkingOptions;
  private readonly deps: ParkingDeps;
  private readonly census: ReturnType<typeof createCensus>;

  constructor(options: ParkingOptions, deps: ParkingDeps) {
    this.options = options;
    this.deps = deps;
    this.census = createCensus(deps.disk, deps.clock);
  }

  holds(table: Table): boolean {
    return this.deps.disk.laneOf(table.key) !== undefined;
  }

  /** Whatever is to be committed is so before the first wait, so that `holds` is true when this returns. */
  async park(batch: PointBatch, rows: readonly number[], head: RecordHead): Promise<Parked> {
    if (rows.length === 0) return { parked: [], refusal: undefined };
    if (!this.options.enabled) return this.refuse(refusalOf('off'), rows.length);
    const plan = this.plan(batch, rows, head);
    const [unkept, ...others] = await Promise.all([
      this.commit(plan),
      ...plan.over.map((over) => this.divert(over, batch, head)),
    ]);
    const parked = unkept === undefined ? plan.kept.map((kept) => kept.rows) : [];
    let refusal = unkept;
    for (const [i, { rows: over }] of plan.over.entries()) {
      if (others[i] === undefined) parked.push(over);
      else refusal ??= others[i];
    }
    if (refusal === undefined) return { parked: rows, refusal };
    return { parked: parked.flat().sort((a, b) => a - b), refusal };
  }

  stats(): ParkingStats {
    const { oldestAtMs, ...stats } = this.census.stats();
    const oldestAgeMs = oldestAtMs === undefined ? 0 : Math.max(0, this.deps.clock.wallNow() - oldestAtMs);
    return { ...stats, oldestAgeMs };
  }

  /** Checks the bounds table by table. */
  private plan(batch: PointBatch, rows: readonly number[], head: RecordHead): Plan {
    const plan: Plan = { append: [], kept: [], newLanes: [], over: [], bytes: 0 };
    for (const group of byTable(batch, rows)) {
      const refusal = this.add(plan, group, batch, head);
      if (refusal === undefined) plan.kept.push(group);
      else plan.over.push({ ...group, refusal: refusalOf(refusal) });
    }
    return plan;
  }

  /** Adds the rows to the plan, unless a bound speaks against it. Tables that are full cost no encoding. */
  private add(plan: Plan, group: TableRows, batch: PointBatch, head: RecordHead): ParkRefusal | undefined {
    const { table, rows } = group;
    const name: LaneName = { tenant: table.database, database: table.database, table: table.name };
    const early = this.checkLane(plan, table.key) ?? this.checkBytes(plan, name, table.key, 1);
    if (early !== undefined) return early;
    const records = this.deps.encoder.encode(batch, rows, head);
    let bytes = 0;
    for (const record of records) bytes += record.bytes.length;
    const late = this.checkBytes(plan, name, table.key, bytes);
    if (late !== undefined) return late;
    if (!this.holds(table)) plan.newLanes.push(table.key);
    for (const record of records) plan.append.push({ lane: name, atMs: head.atMs, ...record });
    plan.bytes += bytes;
    this.census.add(name.tenant, bytes);
    return undefined;
  }

  private checkLane({ newLanes }: Plan, key: string): ParkRefusal | undefined {
    const { maxAgeMs, maxTables, whenFull } = this.options;
    const { disk, clock } = this.deps;
    const lane = disk.laneOf(key);
    if (lane === undefined) return disk.stats().lanes + newLanes.length >= maxTables ? 'tables' : undefined;
    if (maxAgeMs === 0 || whenFull !== 'refuse' || lane.oldestAtMs === undefined) return undefined;
    return clock.wallNow() - lane.oldestAtMs > maxAgeMs ? 'age' : undefined;
  }

  private checkBytes(plan: Plan, { tenant }: LaneName, key: string, bytes: number): ParkRefusal | undefined {
    const { maxBytes, maxTenantBytes, maxTableBytes } = this.options;
    const { disk } = this.deps;
    const isOver = (used: number, max: number): boolean => used > 0 && used + bytes > max;
    if (isOver(disk.laneOf(key)?.bytes ?? 0, maxTableBytes)) return 'table';
    if (isOver(this.census.tenantBytes(tenant), maxTenantBytes)) return 'tenant';
    return isOver(disk.stats().bytes + plan.bytes, maxBytes) ? 'total' : undefined;
  }

  /** Answers why nothing was kept. */
  private async commit({ append, kept, newLanes, bytes }: Plan): Promise<Refusal | undefined> {
    if (append.length === 0) return undefined;
    const { disk, metrics, onLane } = this.deps;
    const rows = countRows(kept);
    try {
      const { done } = disk.commit({ append });
      for (const key of newLanes) onLane(key);
      await done;
    } catch (error) {
      const refusal = refusalOf('disk', error instanceof Error ? error.message : String(error));
      metrics.refused('disk', rows);
      return refusal;
    }
    metrics.parked(rows, bytes);
    return undefined;
  }

  /** Puts rows that are over a bound where they belong; answers why they were not kept. */
  private async divert(
    { rows, refusal }: Plan['over'][number],
    batch: PointBatch,
    head: RecordHead,
  ): Promise<Refusal | undefined> {
    const { deadLetter, metrics } = this.deps;
    if (this.options.whenFull === 'dead-letter') {
      try {
        await deadLetter.add({ ...head, batch, rows, reason: 'full', message: refusal.message });
        metrics.dead('full', rows.length);
        return undefined;
      } catch {
        // It counts that itself; the sender is told why the rows were to go there.
      }
    }
    metrics.refused(refusal.reason, rows.length);
    return refusal;
  }

  private refuse(refusal: Refusal, rows: number): Parked {
    this.deps.metrics.refused(refusal.reason, rows);
    return { parked: [], refusal };
  }
}

/** Two table objects may stand for one table. */
function byTable(batch: PointBatch, rows: readonly number[]): Iterable<TableRows> {
  const groups = new Map<string, TableRows>();
  let last: TableRows | undefined;
  for (const row of rows) {
    const { table } = (batch.series[row] as Series).tagSet;
    if (last?.table !== table) {
      last = groups.get(table.key);
      if (last === undefined) groups.set(table.key, (last = { table, rows: [] }));
    }
    last.rows.push(row);
  }
  return groups.values();
}

function countRows(groups: readonly TableRows[]): number {
  let rows = 0;
  for (const group of groups) rows += group.rows.length;
  return rows;
}

function refusalOf(reason: ParkRefusal, cause?: string): Refusal {
  return { reason, message: cause === undefined ? TEXTS[reason] : `${TEXTS[reason]}: ${cause}` };
}
