import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { createLaneGate } from '../../src/spool/lane-gate.ts';
import { LaneSchedule, type LaneTurn } from '../../src/spool/lane-schedule.ts';
import { FakeClock } from '../helpers/fake-clock.ts';

function turn(key: string, dueMs = 0, tenant = 'db'): LaneTurn {
  return { key, tenant, dueMs, place: 0, phase: 'waiting', woken: false };
}

describe('the schedule of lanes', () => {
  it('gives lanes their turn when they are due, not before', () => {
    const schedule = new LaneSchedule<LaneTurn>();
    for (const [key, dueMs] of [
      ['b', 20],
      ['a', 10],
      ['c', 30],
    ] as const)
      schedule.add(turn(key, dueMs));
    assert.equal(schedule.take(9), undefined);
    assert.equal(schedule.nextDueMs, 10);
    assert.deepEqual(
      [schedule.take(20)?.key, schedule.take(20)?.key, schedule.take(20)],
      ['a', 'b', undefined],
    );
    assert.equal(schedule.nextDueMs, 30);
  });

  it('takes turns between tenants, and inside a tenant first come, first served', () => {
    const schedule = new LaneSchedule<LaneTurn>();
    for (const key of ['a1', 'a2', 'a3', 'b1', 'c1', 'c2']) schedule.add(turn(key, 0, key.slice(0, 1)));
    const order: string[] = [];
    for (let lane = schedule.take(0); lane !== undefined; lane = schedule.take(0)) {
      order.push(lane.key);
      if (order.length === 2) schedule.again(lane);
    }
    const by = (tenant: string): string[] => order.filter((key) => key.startsWith(tenant));
    assert.equal(new Set(order.slice(0, 3).map((key) => key[0])).size, 3, 'each tenant once');
    assert.equal(order.length, 7);
    assert.deepEqual(
      [by('a').length, by('b').length, by('c').length].reduce((sum, n) => sum + n),
      7,
    );
  });

  it('gives a lane its turn at once when it is woken', () => {
    const schedule = new LaneSchedule<LaneTurn>();
    const lane = turn('a', 1_000);
    schedule.add(lane);
    schedule.wake(lane);
    assert.equal(schedule.take(0), lane);
    assert.deepEqual([lane.woken, schedule.nextDueMs], [true, undefined]);
  });

  it('does not forget that a lane was woken while it was at work', () => {
    const schedule = new LaneSchedule<LaneTurn>();
    schedule.add(turn('a'));
    const lane = schedule.take(0) as LaneTurn;
    schedule.wake(lane);
    assert.equal(schedule.take(0), undefined, 'it is at work');
    schedule.wait(lane, 1_000);
    assert.equal(schedule.take(0), lane);
  });

  it('knows lanes until they are dropped', () => {
    const schedule = new LaneSchedule<LaneTurn>();
    schedule.add(turn('a'));
    const lane = schedule.take(0) as LaneTurn;
    assert.equal(schedule.get('a'), lane);
    schedule.drop(lane);
    assert.deepEqual([schedule.get('a'), schedule.size, schedule.ready], [undefined, 0, 0]);
  });

  it('keeps its counts over any course of events', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 5 }), { maxLength: 200 }), (steps) => {
        const schedule = new LaneSchedule<LaneTurn>();
        const working: LaneTurn[] = [];
        let now = 0;
        for (const [i, step] of steps.entries()) {
          const lane = working[0];
          if (step === 0) schedule.add(turn(`l${i}`, now + (i % 7), `t${i % 3}`));
          else if (step === 1) now += 3;
          else if (step === 2) {
            const taken = schedule.take(now);
            if (taken !== undefined) working.push(taken);
          } else if (lane !== undefined) {
            working.shift();
            lane.woken = false;
            if (step === 3) schedule.wait(lane, now + 2);
            else if (step === 4) schedule.again(lane);
            else schedule.drop(lane);
          }
        }
        const left = schedule.size - working.length;
        let taken = 0;
        while (schedule.take(now + 1_000) !== undefined) taken++;
        assert.deepEqual([taken, schedule.ready, schedule.nextDueMs], [left, 0, undefined]);
      }),
    );
  });
});

describe('the gate of the replay', () => {
  const clock = new FakeClock();
  const open = (drainBytesPerSec = 0, live = () => 0) =>
    createLaneGate(
      { replayConcurrency: 3, drainBytesPerSec },
      { clock, random: () => 0.5, liveBatches: live },
    );

  it('lets as many lanes work as are allowed, and one while requests wait', () => {
    let live = 0;
    const gate = open(0, () => live);
    assert.deepEqual([gate.opensInMs(0), gate.opensInMs(2), gate.opensInMs(3)], [0, 0, undefined]);
    live = 1;
    assert.deepEqual([gate.opensInMs(0), gate.opensInMs(1)], [0, undefined]);
  });

  it('opens as the bytes written have had their time; bytes not written cost nothing', async () => {
    const gate = open(1_000);
    gate.take(500);
    assert.equal(gate.opensInMs(0), 500);
    gate.settle(500, 200);
    assert.equal(gate.opensInMs(0), 200);
    await clock.advance(10_000);
    gate.take(100);
    assert.equal(gate.opensInMs(0), 100, 'idle time is not saved up');
  });

  it('backs off for longer with each failure, and opens with the first success', async () => {
    const gate = open();
    const waits: unknown[] = [];
    for (let i = 0; i < 7; i++) {
      gate.failed('down');
      gate.failed('down at the same time');
      assert.equal(gate.down, 'down');
      const ms = gate.opensInMs(0) ?? 0;
      waits.push(ms);
      await clock.advance(ms);
      assert.deepEqual([gate.opensInMs(0), gate.opensInMs(1)], [0, undefined], 'one tries');
    }
    assert.deepEqual(waits, [500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
    assert.deepEqual([gate.succeeded(), gate.succeeded()], [true, false]);
    assert.deepEqual([gate.opensInMs(2), gate.down], [0, undefined]);
  });
});
