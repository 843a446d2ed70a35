/** Random changes and restarts of a disk, against a model of maps. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import * as fc from 'fast-check';
import { LOG_LANE, type NewRecord, type RecordRef, type SpoolDisk } from '../../src/model/spool.ts';
import { tableKey } from '../../src/model/table.ts';
import { laneName, readLane, textOf } from '../helpers/spool-disk.ts';
import type { DiskFactory } from './spool-disk-suite.ts';

const TABLES = ['log', 'a', 'b', 'c'];

/** `append`: to a table; `move`, `remove`: the nth record of a table, counted round. */
type Change =
  | { readonly kind: 'append'; readonly table: number; readonly sizes: readonly number[] }
  | { readonly kind: 'move'; readonly table: number; readonly nth: number; readonly to: number }
  | { readonly kind: 'remove'; readonly table: number; readonly nth: number; readonly count: number };
/** `wait`: for all that was handed over. */
type Step = Change | { readonly kind: 'wait' } | { readonly kind: 'restart' };

const table = fc.integer({ min: 0, max: TABLES.length - 1 });
const nth = fc.nat(30);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      table,
      sizes: fc.array(fc.nat(300), { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('move' as const), table, nth, to: table }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('remove' as const),
      table,
      nth,
      count: fc.integer({ min: 1, max: 5 }),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: 'wait' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'restart' as const }) },
);

interface Kept extends RecordRef {
  readonly text: string;
  readonly atMs: number;
}

/** Registers the tests. */
export function modelTests(open: DiskFactory): void {
  it('are as in a model at every moment, and after every restart', async (t) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
        const fixture = await open(t);
        const run = new Run(fixture.disk);
        for (const step of steps) {
          if (step.kind === 'restart') {
            if (fixture.reopen !== undefined) run.disk = await fixture.reopen();
          } else if (step.kind === 'wait') await run.waitAndCheck();
          else run.change(step);
        }
        await run.waitAndCheck();
        await run.disk.close();
      }),
      { numRuns: 60 },
    );
  });
}

class Run {
  disk: SpoolDisk;
  private readonly tables = TABLES.map(() => new Map<number, Kept>());
  private pending: Promise<void>[] = [];
  private atMs = 0;

  constructor(disk: SpoolDisk) {
    this.disk = disk;
  }

  change(step: Change): void {
    if (step.kind === 'append') this.append(step.table, step.sizes);
    else if (step.kind === 'move') this.move(step.table, step.nth, step.to);
    else this.remove(step.table, this.pick(step.table, step.nth, step.count));
    this.checkStates();
  }

  async waitAndCheck(): Promise<void> {
    await Promise.all(this.pending.splice(0));
    this.checkStates();
    for (const [table, kept] of this.tables.entries()) {
      const expected = sorted(kept);
      const id = this.laneId(table);
      const records = id === undefined ? [] : await readLane(this.disk, id, 200);
      assert.deepEqual(
        records.map((record) => [...textOf(record), record.rows, record.atMs]),
        expected.map(({ seq, text, rows, atMs }) => [seq, text, rows, atMs]),
      );
      if (id !== undefined) assert.equal(this.stateOf(table)?.oldestAtMs, expected[0]?.atMs);
    }
  }

  private append(table: number, sizes: readonly number[]): void {
    const records = sizes.map((size) => ({ rows: size % 7, atMs: ++this.atMs, text: 'x'.repeat(size) }));
    const append = records.map(({ text, ...record }): NewRecord => {
      return { ...record, lane: this.laneRef(table), bytes: Buffer.from(text) };
    });
    const { seqs, done } = this.disk.commit({ append });
    this.pending.push(done);
    for (const [i, record] of records.entries()) {
      const seq = seqs[i] as number;
      this.tables[table]?.set(seq, { ...record, seq, bytes: record.text.length });
    }
  }

  private move(table: number, nth: number, to: number): void {
    const [kept] = this.pick(table, nth, 1);
    if (kept === undefined || table === to) return;
    const { seq, rows, atMs, text } = kept;
    const append = [{ lane: this.laneRef(to), seq, rows, atMs, bytes: Buffer.from(text) }];
    const remove = [{ lane: this.laneId(table) as number, records: [kept] }];
    const { seqs, done } = this.disk.commit({ append, remove });
    assert.deepEqual(seqs, [seq]);
    this.pending.push(done);
    this.tables[table]?.delete(seq);
    this.tables[to]?.set(seq, kept);
  }

  private remove(table: number, records: readonly Kept[]): void {
    const lane = this.laneId(table);
    if (lane === undefined || records.length === 0) return;
    this.pending.push(this.disk.commit({ remove: [{ lane, records }] }).done);
    for (const { seq } of records) this.tables[table]?.delete(seq);
  }

  private pick(table: number, nth: number, count: number): readonly Kept[] {
    const kept = sorted(this.tables[table] ?? new Map());
    const first = kept.length === 0 ? 0 : nth % kept.length;
    return kept.slice(first, first + count);
  }

  /** All but the age, which follows a removal. */
  private checkStates(): void {
    let lanes = 0;
    const sum = { records: 0, rows: 0, bytes: 0 };
    for (const [table, kept] of this.tables.entries()) {
      const state = this.stateOf(table);
      if (kept.size > 0 && table > 0) lanes++;
      if (kept.size === 0 && table > 0) assert.equal(state, undefined);
      const expected = [...kept.values()];
      const rows = expected.reduce((all, record) => all + record.rows, 0);
      const bytes = expected.reduce((all, record) => all + record.bytes, 0);
      const { records = 0, rows: stateRows = 0, bytes: stateBytes = 0 } = state ?? {};
      assert.deepEqual([records, stateRows, stateBytes], [kept.size, rows, bytes]);
      sum.records += kept.size;
      sum.rows += rows;
      sum.bytes += bytes;
    }
    const stats = this.disk.stats();
    assert.deepEqual(
      { lanes: stats.lanes, records: stats.records, rows: stats.rows, bytes: stats.bytes },
      { lanes, ...sum },
    );
  }

  private stateOf(table: number): ReturnType<SpoolDisk['laneOf']> {
    if (table > 0) return this.disk.laneOf(tableKey(laneName(TABLES[table] as string)));
    return [...this.disk.lanes()].find(({ id }) => id === LOG_LANE);
  }

  private laneId(table: number): number | undefined {
    return this.stateOf(table)?.id;
  }

  private laneRef(table: number): NewRecord['lane'] {
    return table === 0 ? LOG_LANE : laneName(TABLES[table] as string);
  }
}

function sorted(kept: ReadonlyMap<number, Kept>): readonly Kept[] {
  return [...kept.values()].sort((a, b) => a.seq - b.seq);
}
