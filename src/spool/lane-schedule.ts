/**
 * Whose turn it is: lanes that wait for their time lie in a heap; those whose time has come stand in line, the tenants
 * taking turns, and inside a tenant the first to come goes first. A lane that was taken is at work until it is sent
 * back to wait, to the end of the line, or away. Nothing here looks at all lanes; made and called by lane-drainer.ts.
 */
import { Heap, type Placed } from '../util/heap.ts';

/** Where a lane is; changed by the schedule alone. */
export type LanePhase = 'waiting' | 'ready' | 'working';

/** A lane on the schedule. */
export interface LaneTurn extends Placed {
  /** When it is to stop waiting; changed only while it does not. */
  dueMs: number;
  /** `tableKey` of its table. */
  readonly key: string;
  readonly tenant: string;
  phase: LanePhase;
  /** Something happened to its table since it was taken last; it need not wait. */
  woken: boolean;
}

/** See the module comment. */
export class LaneSchedule<T extends LaneTurn> {
  private readonly lanes = new Map<string, T>();
  private readonly waiting = new Heap<T>(({ dueMs }) => dueMs);
  private readonly tenants = new Map<string, Line<T>>();
  private readonly line = new Line<Line<T>>();
  /** Lanes whose time has come. */
  ready = 0;

  get size(): number {
    return this.lanes.size;
  }

  /** When the next waiting lane is due. */
  get nextDueMs(): number | undefined {
    return this.waiting.first?.dueMs;
  }

  get(key: string): T | undefined {
    return this.lanes.get(key);
  }

  /** Puts a new lane on the schedule, to wait until its `dueMs`. */
  add(lane: T): void {
    this.lanes.set(lane.key, lane);
    lane.phase = 'waiting';
    this.waiting.add(lane);
  }

  /** Something happened to the lane's table: it stops waiting; at work, it will not wait after its window. */
  wake(lane: T): void {
    lane.woken = true;
    if (lane.phase !== 'waiting') return;
    this.waiting.remove(lane);
    this.queue(lane);
  }

  /** The lane whose turn it is, which is at work from now on; undefined: none is due. */
  take(nowMs: number): T | undefined {
    this.release(nowMs);
    const tenant = this.line.shift();
    if (tenant === undefined) return undefined;
    const lane = tenant.shift() as T;
    if (tenant.size > 0) this.line.push(tenant);
    else this.tenants.delete(lane.tenant);
    this.ready--;
    lane.phase = 'working';
    return lane;
  }

  /** Moves lanes whose time has come into the line. */
  release(nowMs: number): void {
    let { first } = this.waiting;
    while (first !== undefined && first.dueMs <= nowMs) {
      this.waiting.remove(first);
      this.queue(first);
      first = this.waiting.first;
    }
  }

  /** A lane at work has to wait, unless it was woken meanwhile. */
  wait(lane: T, dueMs: number): void {
    if (lane.woken) return this.again(lane);
    lane.dueMs = dueMs;
    lane.phase = 'waiting';
    this.waiting.add(lane);
  }

  /** A lane at work goes to the end of the line. */
  again(lane: T): void {
    this.queue(lane);
  }

  /** A lane at work is empty. */
  drop(lane: T): void {
    this.lanes.delete(lane.key);
  }

  private queue(lane: T): void {
    lane.phase = 'ready';
    this.ready++;
    let tenant = this.tenants.get(lane.tenant);
    if (tenant === undefined) {
      tenant = new Line();
      this.tenants.set(lane.tenant, tenant);
    }
    if (tenant.size === 0) this.line.push(tenant);
    tenant.push(lane);
  }
}

/** First in, first out, in constant time. */
class Line<T> {
  private items: (T | undefined)[] = [];
  private head = 0;

  get size(): number {
    return this.items.length - this.head;
  }

  push(item: T): void {
    this.items.push(item);
  }

  shift(): T | undefined {
    const item = this.items[this.head];
    if (item === undefined) return undefined;
    this.items[this.head++] = undefined;
    if (this.head * 2 > this.items.length) {
      this.items = this.items.slice(this.head);
      this.head = 0;
    }
    return item;
  }
}
