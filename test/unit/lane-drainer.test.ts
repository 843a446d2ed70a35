import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { Table } from '../../src/model/series.ts';
import { ADMIT, all, defer } from '../helpers/fake-guard.ts';
import {
  createHold,
  type LaneRig,
  type LaneRigOptions,
  laneOf,
  openLaneRig,
  parkEach,
  range,
} from '../helpers/lane-rig.ts';

let rig: LaneRig;
afterEach(() => rig.close());

async function open(drainer: LaneRigOptions['drainer'] = {}, more: LaneRigOptions = {}): Promise<void> {
  rig = await openLaneRig({ ...more, drainer: { ...drainer } });
}

async function start(ms = 2_000): Promise<void> {
  rig.drainer.start();
  await rig.clock.advance(ms);
}

function isEmpty(table: string): boolean {
  return laneOf(rig, table) === undefined;
}

describe('replay', () => {
  it('writes what is parked in order, and leaves nothing', async () => {
    await open({ windowBytes: 2_000 });
    await parkEach(rig, 'a', range(100));
    await start();
    assert.deepEqual(rig.database.values('a'), range(100));
    assert.equal(rig.disk.stats().rows, 0);
    assert.equal(rig.drainer.stats().lanes, 0);
    assert.ok(rig.database.writes < 100, 'records share a write');
    assert.equal(
      rig.events
        .filter((event) => event.startsWith('replayed'))
        .reduce((sum, event) => sum + Number(event.slice(9)), 0),
      100,
    );
  });

  it('takes up what an earlier run left', async () => {
    await open();
    for (let i = 0; i < 20; i++) await rig.park(`t${i}`, range(3, i * 10));
    const { path } = rig;
    await rig.close();
    await open({}, { path });
    await start();
    for (let i = 0; i < 20; i++) assert.deepEqual(rig.database.values(`t${i}`), range(3, i * 10));
  });

  it('tries what was parked just now about a second later', async () => {
    await open();
    await start();
    await rig.park('a', [1]);
    await rig.clock.advance(900);
    assert.deepEqual(rig.database.values('a'), []);
    await rig.clock.advance(400);
    assert.deepEqual(rig.database.values('a'), [1]);
  });

  it('goes on with rows that join the lane while it is written, and holds the table until the last one is', async () => {
    await open();
    await rig.park('a', [1]);
    const hold = createHold();
    rig.database.hold = hold.promise;
    await start();
    await rig.park('a', [2]);
    hold.open();
    let checked = 0;
    const commit = rig.disk.commit.bind(rig.disk);
    rig.disk.commit = (change) => {
      const done = commit(change);
      if (change.remove !== undefined && isEmpty('a')) {
        checked++;
        assert.deepEqual(rig.database.values('a'), [1, 2]);
      }
      return done;
    };
    await rig.clock.advance(2_000);
    assert.deepEqual([rig.database.values('a'), checked], [[1, 2], 1]);
    assert.equal(rig.parking.holds(new Table('db', 'a')), false);
    await rig.park('a', [3]);
    await rig.clock.advance(2_000);
    assert.deepEqual(rig.database.values('a'), [1, 2, 3], 'a new lane of the same table');
  });

  it('does not wait for its table longer than no time, unless it heard that it is ready', async () => {
    await open();
    await rig.park('a', [1]);
    const waits: unknown[] = [];
    rig.guard.unknown.add('a');
    rig.guard.answer = (_, { waitMs }) => {
      waits.push(waitMs);
      return waits.length === 1 ? all(defer('pending', 30_000)) : ADMIT;
    };
    await start();
    assert.deepEqual(waits, [0]);
    rig.announce('a');
    await rig.clock.settle();
    assert.equal(waits.length, 2);
    assert.ok(Number(waits[1]) > 0);
    assert.deepEqual(rig.database.values('a'), [1]);
  });

  it('gives small lanes their turn beside a big one, and each tenant its own', async () => {
    await open({ replayConcurrency: 1, windowBytes: 4_000 });
    await parkEach(rig, 'big', range(60), 3_000);
    for (let i = 0; i < 5; i++) await rig.park(`small${i}`, [i]);
    await rig.park('other', [1], { database: 'other' });
    const hold = createHold();
    rig.database.hold = hold.promise;
    await start();
    assert.equal(rig.drainer.stats().ready, 6, 'all but one stand in line');
    hold.open();
    await rig.clock.advance(1_000);
    const order = rig.database.rows.map(({ table }) => table);
    assert.equal(order.length, 66);
    for (const small of ['other', ...range(5).map((i) => `small${i}`)]) {
      const before = order.slice(0, order.indexOf(small)).filter((table) => table === 'big').length;
      assert.ok(before < 12, `${small} came after ${before} of the big lane`);
    }
    assert.deepEqual(rig.database.values('big'), range(60));
  });

  it('writes no more bytes per second than it may', async () => {
    await open({ drainBytesPerSec: 20_000, windowBytes: 4_000 });
    for (const table of ['a', 'b', 'c']) await parkEach(rig, table, range(30), 1_000);
    const { bytes } = rig.disk.stats();
    const left: number[] = [];
    rig.drainer.start();
    for (let i = 0; i < 8; i++) {
      await rig.clock.advance(1_000);
      left.push(rig.disk.stats().bytes);
    }
    const perSec = left.map((now, i) => (left[i - 1] ?? bytes) - now);
    for (const written of perSec.slice(1, 4)) assert.ok(written > 14_000 && written < 26_000, perSec.join());
    assert.equal(left.at(-1), 0);
  });

  it('has one lane at work while requests wait for the database', async () => {
    await open();
    for (let i = 0; i < 8; i++) await rig.park(`t${i}`, [i]);
    const { flush } = rig;
    const stats = flush.stats.bind(flush);
    let live = 1;
    flush.stats = () => ({ ...stats(), pendingBatches: stats().pendingBatches + live });
    const hold = createHold();
    rig.database.hold = hold.promise;
    await start();
    assert.equal(rig.drainer.stats().working, 1);
    live = 0;
    const next = createHold();
    rig.database.hold = next.promise;
    hold.open();
    await rig.clock.advance(1_000);
    assert.equal(rig.drainer.stats().working, 4);
    next.open();
  });

  it('writes only what the log has nothing older of', async () => {
    await open();
    await parkEach(rig, 'a', [1, 2, 3, 4]);
    rig.log.drainedSeq = 3;
    await start();
    assert.deepEqual(rig.database.values('a'), [1, 2]);
    let reads = 0;
    const read = rig.disk.read.bind(rig.disk);
    rig.disk.read = (...args) => {
      reads++;
      return read(...args);
    };
    await rig.clock.advance(5_000);
    assert.deepEqual([rig.database.values('a'), reads], [[1, 2], 0]);
    rig.log.drainedSeq = Number.POSITIVE_INFINITY;
    await rig.clock.advance(1_000);
    assert.deepEqual(rig.database.values('a'), [1, 2, 3, 4]);
  });

  it('writes a lane that went away and came again while it waited', async () => {
    await open();
    await rig.park('a', [1]);
    rig.guard.unknown.add('a');
    rig.guard.answer = () => all(defer('pending', 300_000));
    await start();
    const lane = laneOf(rig, 'a')?.id ?? 0;
    await rig.disk.commit({ remove: [{ lane, records: await rig.disk.read(lane, 0, 2 ** 20) }] }).done;
    await rig.park('a', [2]);
    assert.notEqual(laneOf(rig, 'a')?.id, lane);
    rig.guard.answer = () => ADMIT;
    rig.announce('a');
    await rig.clock.settle();
    assert.deepEqual([rig.database.values('a'), isEmpty('a')], [[2], true]);
  });

  it('lets 10,000 waiting lanes rest', async () => {
    await open();
    const append = range(10_000).map((i) => ({
      lane: { tenant: 'db', database: 'db', table: `t${i}` },
      rows: 1,
      atMs: 0,
      bytes: Buffer.from('no record'),
    }));
    await rig.disk.commit({ append }).done;
    let reads = 0;
    rig.disk.read = () => {
      reads++;
      return Promise.resolve([]);
    };
    await start(12_000);
    assert.ok(reads >= 10_000);
    reads = 0;
    await rig.clock.advance(60_000);
    assert.ok(reads > 8_000 && reads < 12_000, `${reads}: each about once a minute`);
  });
});

describe('the end of the replay', () => {
  it('waits for the write that is under way, and removes what it wrote', async () => {
    await open({ windowBytes: 100 });
    await parkEach(rig, 'a', range(20));
    const hold = createHold();
    rig.database.hold = hold.promise;
    await start();
    const closed = rig.drainer.close();
    await rig.clock.settle();
    hold.open();
    await closed;
    const written = rig.database.values('a');
    assert.deepEqual(written, range(written.length));
    assert.ok(written.length > 0);
    assert.equal(rig.disk.stats().rows, 20 - written.length);
    await rig.clock.advance(60_000);
    assert.deepEqual(rig.database.values('a'), written, 'nothing goes on');
  });

  it('gives up a write that takes too long, whose rows stay', async () => {
    await open();
    await parkEach(rig, 'a', range(3));
    const hold = createHold();
    rig.database.hold = hold.promise;
    await start();
    let closed = false;
    const closing = rig.drainer.close().then(() => (closed = true));
    await rig.clock.advance(3_999);
    assert.equal(closed, false);
    await rig.clock.advance(1);
    await closing;
    assert.equal(rig.disk.stats().rows, 3);
    hold.open();
    await rig.clock.settle();
    assert.equal(rig.disk.stats().rows, 3);
    const { path } = rig;
    await rig.close();
    await open({}, { path });
    await start();
    assert.deepEqual(rig.database.values('a'), range(3));
  });

  it('ends a question to the guard at once, and may be called twice', async () => {
    await open();
    await rig.park('a', [1]);
    rig.guard.unknown.add('a');
    rig.guard.answer = () => new Promise(() => undefined);
    await start();
    await Promise.all([rig.drainer.close(), rig.drainer.close()]);
    assert.equal(rig.queue.listeners, 0);
    assert.equal(rig.disk.stats().rows, 1);
  });

  it('leaves no timer behind, also when it was never started', async () => {
    await open();
    const before = rig.clock.sleeping;
    await start(10);
    assert.equal(rig.clock.sleeping, before + 1, 'one timer');
    await rig.drainer.close();
    assert.equal(rig.clock.sleeping, before);
    await rig.close();
    await open();
    await rig.drainer.close();
    assert.equal(rig.queue.listeners, 0);
  });
});
