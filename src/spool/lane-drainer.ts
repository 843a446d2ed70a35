/**
 * Writes parked rows into the database, lane by lane, each in order: when their table becomes ready, when the database
 * is back, and at the start. A lane that was given its turn is worked on for one window of bytes and goes to the end
 * of the line; a record is removed only when its rows are in the database or the dead letter. While a lane has records
 * new rows of its table join it, so it goes on until the lane is empty. One timer serves all lanes, and nothing looks
 * at all of them but a look around once a minute. Made and closed by app.ts.
 */
import type { DdlEvent } from '../model/ddl-queue.ts';
import { type LaneName, LOG_LANE } from '../model/spool.ts';
import { tableKey } from '../model/table.ts';
import { createAbortController } from '../util/abort.ts';
import { createAlarm } from './lane-alarm.ts';
import { LaneCursor } from './lane-cursor.ts';
import { createLaneGate, type LaneGate } from './lane-gate.ts';
import { LaneSchedule } from './lane-schedule.ts';
import type { LaneDrainerDeps, LaneDrainerOptions } from './lane-types.ts';
import { type Lane, LaneWork } from './lane-work.ts';
import { createLaneWriter, type LaneWriter } from './lane-writer.ts';

/** Numbers for gauges and health. */
export interface LaneDrainerStats {
  /** Lanes on the schedule, those whose time has come, and those at work. */
  readonly lanes: number;
  readonly ready: number;
  readonly working: number;
  /** Why the database takes no rows; undefined: it does, as far as is known. */
  readonly down: string | undefined;
}

/** See the module comment. */
export interface LaneDrainer {
  /** Takes up the lanes that are there, spread over some seconds. Call it once. */
  start(): void;
  /** The table may have its first parked rows; they are tried in about a second. */
  add(tableKey: string): void;
  stats(): LaneDrainerStats;
  /** Begins nothing new and waits for what is being written; what that leaves stays on disk. Idempotent. */
  close(): Promise<void>;
}

/** Makes a drainer that stands still until it is started. */
export function createLaneDrainer(options: LaneDrainerOptions, deps: LaneDrainerDeps): LaneDrainer {
  return new Drainer(options, deps);
}

/** First try of rows that were just parked; about when their guard said to ask again. */
const FIRST_MS = 1_000;
/** The lanes found at the start are tried within this, so many per millisecond at most. */
const SPREAD_MS = 10_000;
const START_LANES_PER_MS = 1;
/** How often lanes are looked for that nobody told of. */
const LOOK_MS = 60_000;

class Drainer implements LaneDrainer {
  private readonly options: LaneDrainerOptions;
  private readonly deps: LaneDrainerDeps;
  private readonly schedule = new LaneSchedule<Lane>();
  private readonly gate: LaneGate;
  private readonly writer: LaneWriter;
  private readonly work: LaneWork;
  private readonly alarm: ReturnType<typeof createAlarm>;
  private readonly closing = createAbortController();
  private readonly abandoned = createAbortController();
  private readonly working = new Set<Promise<void>>();
  private readonly unsubscribe: () => void;
  private running: Promise<void> | undefined;
  private lookDueMs: number;
  private closed: Promise<void> | undefined;

  constructor(options: LaneDrainerOptions, deps: LaneDrainerDeps) {
    const { clock, flush, queue } = deps;
    this.options = options;
    this.deps = deps;
    this.alarm = createAlarm(clock);
    this.lookDueMs = clock.now() + LOOK_MS;
    this.writer = createLaneWriter(options, deps, {
      closing: this.closing.signal,
      abandoned: this.abandoned.signal,
    });
    const liveBatches = (): number => flush.stats().pendingBatches - this.writer.writing;
    this.gate = createLaneGate(options, { ...deps, liveBatches });
    const { schedule, gate, writer } = this;
    this.work = new LaneWork(options, deps, { schedule, gate, writer, closing: this.closing.signal });
    this.unsubscribe = queue.subscribe((event) => this.hear(event));
  }

  start(): void {
    const { clock, disk, random } = this.deps;
    const now = clock.now();
    const spreadMs = Math.min(SPREAD_MS, disk.stats().lanes / START_LANES_PER_MS);
    this.takeUp(() => now + random() * spreadMs);
    this.running ??= this.run();
  }

  add(key: string): void {
    const name = this.schedule.get(key) === undefined ? this.deps.disk.laneOf(key)?.name : undefined;
    if (name === undefined) return;
    this.put(name, this.work.dueIn(FIRST_MS));
    this.alarm.ring();
  }

  stats(): LaneDrainerStats {
    const { size, ready } = this.schedule;
    return { lanes: size, ready, working: this.working.size, down: this.gate.down };
  }

  close(): Promise<void> {
    return (this.closed ??= this.end());
  }

  private async end(): Promise<void> {
    this.unsubscribe();
    this.closing.abort(new Error('the replay was closed'));
    this.alarm.ring();
    await this.running;
    const done = createAbortController();
    const limit = this.deps.clock.sleep(this.options.closeMs, done.signal).then(
      () => this.abandoned.abort(new Error('the replay was closed')),
      () => undefined,
    );
    await Promise.all(this.working);
    done.abort();
    await limit;
  }

  /** News of a table: its lane is due now. */
  private hear(event: DdlEvent): void {
    if (event.kind === 'breaker' || event.target.table === undefined) return;
    if (event.kind === 'outcome' && event.outcome.kind !== 'ok') return;
    const { database, table } = event.target;
    const key = tableKey({ database, table });
    const name = this.deps.disk.laneOf(key)?.name;
    if (name === undefined) return;
    this.schedule.wake(this.schedule.get(key) ?? this.put(name, this.deps.clock.now()));
    this.alarm.ring();
  }

  private async run(): Promise<void> {
    while (!this.closing.signal.aborted) {
      if (this.deps.clock.now() >= this.lookDueMs) this.look();
      const restMs = this.launch();
      await this.alarm.rest(restMs);
    }
  }

  /** Puts lanes on the schedule that nobody told of, such as those that a failed disk kept after all. */
  private look(): void {
    this.lookDueMs = this.deps.clock.now() + LOOK_MS;
    this.takeUp(() => this.work.dueIn(0));
  }

  /** Puts all lanes on the schedule that are not there. */
  private takeUp(dueMs: () => number): void {
    for (const { id, name } of this.deps.disk.lanes()) {
      if (id === LOG_LANE || name === undefined || this.schedule.get(tableKey(name)) !== undefined) continue;
      this.put(name, dueMs());
    }
  }

  private put(name: LaneName, dueMs: number): Lane {
    const key = tableKey(name);
    const lane: Lane = {
      key,
      tenant: name.tenant,
      cursor: new LaneCursor(this.deps.disk, key),
      dueMs,
      place: 0,
      phase: 'waiting',
      woken: false,
      windowBytes: this.work.askBytes,
      blockedSeq: undefined,
      failures: 0,
    };
    this.schedule.add(lane);
    return lane;
  }

  /** Sends lanes to work whose time has come, as many as may. Answers when to look again. */
  private launch(): number {
    const { clock } = this.deps;
    const { schedule, working } = this;
    for (;;) {
      const now = clock.now();
      schedule.release(now);
      const restMs = Math.min(this.lookDueMs, schedule.nextDueMs ?? Number.POSITIVE_INFINITY) - now;
      if (schedule.ready === 0) return restMs;
      const opensInMs = this.gate.opensInMs(working.size);
      if (opensInMs !== 0) return Math.min(restMs, opensInMs ?? Number.POSITIVE_INFINITY);
      const lane = schedule.take(now) as Lane;
      const turn: Promise<void> = this.work.turn(lane).finally(() => {
        working.delete(turn);
        this.alarm.ring();
      });
      working.add(turn);
    }
  }
}
