import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { GatewayError } from '../../src/errors.ts';
import { ADMIT, all, defer, reject, some } from '../helpers/fake-guard.ts';
import { failed, faulty, missing } from '../helpers/fake-writer.ts';
import { impossible } from '../helpers/ingest-rig.ts';
import {
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

describe('replay of a table that is not ready', () => {
  it('asks the guard no more often than it was told to', async () => {
    await open();
    await rig.park('a', [1]);
    rig.guard.unknown.add('a');
    rig.guard.answer = () => all(defer('pending', 10_000));
    await start(60_000);
    assert.ok(rig.guard.asked.length >= 5 && rig.guard.asked.length <= 7, `${rig.guard.asked.length}`);
    assert.deepEqual(rig.database.values('a'), []);
    assert.equal(isEmpty('a'), false);
  });

  for (const kind of ['outcome', 'cleared'] as const) {
    it(`goes on at once with the event ${kind}`, async () => {
      await open();
      await rig.park('a', [1]);
      await rig.park('b', [2]);
      for (const table of ['a', 'b']) rig.guard.unknown.add(table);
      rig.guard.answer = () => all(defer('pending', 300_000));
      await start();
      rig.guard.answer = () => ADMIT;
      const target = { tenant: 'db', database: 'db', table: 'a' };
      rig.queue.emit(kind === 'cleared' ? { kind, target } : { kind, target, outcome: { kind: 'ok' } });
      await rig.clock.settle();
      assert.deepEqual([rig.database.values('a'), rig.database.values('b')], [[1], []]);
    });
  }

  it('does not miss the event while it asks', async () => {
    await open();
    await rig.park('a', [1]);
    rig.guard.unknown.add('a');
    rig.guard.answer = () => {
      rig.guard.answer = () => ADMIT;
      rig.announce('a');
      return all(defer('pending', 300_000));
    };
    await start();
    assert.deepEqual(rig.database.values('a'), [1]);
  });

  it('hears of a table that was parked before the start', async () => {
    await open();
    rig.drainer.start();
    await rig.clock.advance(10);
    await rig.park('a', [1]);
    rig.announce('a');
    await rig.clock.settle();
    assert.deepEqual(rig.database.values('a'), [1]);
  });

  it('ignores events of tables without parked rows, of failures and of breakers', async () => {
    await open();
    await rig.park('a', [1]);
    rig.guard.unknown.add('a');
    rig.guard.answer = () => all(defer('pending', 300_000));
    await start();
    const asked = rig.guard.asked.length;
    rig.announce('b');
    rig.queue.emit({ kind: 'cleared', target: { tenant: 'db', database: 'db', table: undefined } });
    rig.queue.emit({ kind: 'breaker', tenant: 'db', code: 'E', message: 'no', untilMs: 0 });
    rig.queue.emit({
      kind: 'outcome',
      target: { tenant: 'db', database: 'db', table: 'a' },
      outcome: {
        kind: 'error',
        class: 'transient',
        code: 'E',
        message: '',
        attempts: 1,
        ttlMs: 9,
        wants: '',
      },
    });
    await rig.clock.settle();
    assert.equal(rig.guard.asked.length, asked);
  });

  it('writes the records before the first one that has to wait, and keeps the rest in order', async () => {
    await open();
    await rig.park('a', [1]);
    await rig.park('a', [2, 3]);
    await rig.park('a', [4]);
    rig.guard.unknown.add('a');
    const pending = defer('pending', 5_000);
    let held = true;
    rig.guard.answer = ({ fields }) => {
      const string = fields.find(({ type }) => type === 'string');
      return held && string !== undefined ? some([string, pending]) : ADMIT;
    };
    await rig.park('a', [5, 6], { size: 10 });
    await rig.park('a', [7]);
    await start();
    assert.deepEqual(rig.database.values('a'), [1, 2, 3, 4]);
    assert.equal(laneOf(rig, 'a')?.records, 2);
    held = false;
    await rig.clock.advance(7_000);
    assert.deepEqual(rig.database.values('a'), [1, 2, 3, 4, 5, 6, 7]);
  });
});

describe('replay of rows that can never be written', () => {
  it('sends them to the dead letter with the reason, and writes the others of their record', async () => {
    await open();
    await rig.park('a', [1]);
    await rig.park('a', [2, 3], { size: 10 });
    await rig.park('a', [4]);
    rig.guard.unknown.add('a');
    rig.guard.answer = ({ fields }) => {
      const string = fields.find(({ type }) => type === 'string');
      return string === undefined ? ADMIT : some([string, reject('no strings')]);
    };
    await start();
    assert.deepEqual(rig.database.values('a'), [1, 4]);
    assert.deepEqual(await rig.buried(), ['rejected 2 3']);
    assert.ok(rig.events.includes('dead rejected 2'));
    assert.equal(isEmpty('a'), true);
  });

  it('sends values that the database can not hold to the dead letter, and writes the others of their record', async () => {
    await open({}, { values: impossible(1, 2) });
    await rig.park('a', [1, 2, 3, 4]);
    await start();
    assert.deepEqual(rig.database.values('a'), [1, 4]);
    assert.deepEqual(await rig.buried(), ['rejected 2 3']);
    assert.equal(isEmpty('a'), true);
  });

  it('keeps them parked while the dead letter is full, and those behind them; then goes on', async () => {
    await open({}, { letter: { maxBytes: 1 } });
    await rig.park('a', [1]);
    await rig.park('a', [2], { size: 10 });
    await rig.park('a', [3]);
    await rig.park('b', [4]);
    rig.guard.unknown.add('a');
    rig.guard.answer = ({ fields }) => {
      const string = fields.find(({ type }) => type === 'string');
      return string === undefined ? ADMIT : some([string, reject('no strings')]);
    };
    await start(10_000);
    assert.equal(laneOf(rig, 'a')?.records, 2);
    assert.deepEqual(rig.database.values('b'), [4]);
    assert.ok(rig.guard.asked.length < 8, 'it backs off');
    assert.ok(rig.events.some((event) => event.startsWith('the dead letter takes no rows')));
    const { path } = rig;
    await rig.close();
    await open({}, { path });
    rig.guard.answer = () => all(reject('gone'));
    rig.guard.unknown.add('a');
    await start(10_000);
    assert.equal(isEmpty('a'), true);
    assert.deepEqual(await rig.buried(), ['rejected 2', 'rejected 3']);
  });

  it('sends what can not be read to the dead letter as it is, and goes on behind it', async () => {
    await open();
    await rig.park('a', [1]);
    const lane = { tenant: 'db', database: 'db', table: 'a' };
    for (const bytes of [Buffer.from('\u0001nonsense'), Buffer.alloc(0)]) {
      await rig.disk.commit({ append: [{ lane, rows: 1, atMs: rig.clock.wallNow(), bytes }] }).done;
    }
    await rig.park('a', [2]);
    const read = rig.disk.read.bind(rig.disk);
    rig.disk.read = async (...args) =>
      (await read(...args)).map((record) => (record.seq === 3 ? { ...record, data: undefined } : record));
    await start();
    assert.deepEqual(rig.database.values('a'), [1, 2]);
    assert.deepEqual(await rig.buried(), ['unreadable', 'unreadable']);
    assert.equal(rig.events.filter((event) => event === 'dead unreadable 1').length, 2);
    assert.equal(isEmpty('a'), true);
  });

  it('sends what is deferred for too long to the dead letter, and writes what is not deferred any more', async () => {
    await open({ expireAfterMs: 60_000 });
    await rig.park('a', [1]);
    await rig.park('b', [2]);
    for (const table of ['a', 'b']) rig.guard.unknown.add(table);
    rig.guard.answer = ({ table }) =>
      table.name === 'a' ? all(defer('pending', 5_000)) : all(defer('p', 500_000));
    await start(30_000);
    await rig.park('a', [3]);
    await rig.clock.advance(40_000);
    assert.deepEqual(await rig.buried(), ['expired 1']);
    assert.equal(laneOf(rig, 'a')?.rows, 1);
    rig.guard.answer = () => ADMIT;
    rig.announce('b');
    await rig.clock.settle();
    assert.deepEqual(rig.database.values('b'), [2]);
  });

  it('sends what a table at odds with the database has not taken for too long to the dead letter', async () => {
    await open({ expireAfterMs: 60_000 }, { values: impossible(1) });
    await rig.park('a', [1, 2, 3]);
    await rig.clock.advance(30_000);
    await rig.park('a', [4]);
    rig.database.failure = faulty('db', 'a');
    await start(50_000);
    assert.deepEqual(await rig.buried(), ['rejected 2', 'expired 1 3']);
    assert.equal(laneOf(rig, 'a')?.rows, 1);
    rig.database.failure = undefined;
    await rig.clock.advance(9_000);
    assert.deepEqual([rig.database.values('a'), isEmpty('a')], [[4], true]);
  });

  it('keeps what is deferred for ever when nothing expires', async () => {
    await open();
    await rig.park('a', [1]);
    rig.guard.unknown.add('a');
    rig.guard.answer = () => all(defer('pending', 3_600_000));
    await start(30 * 86_400_000);
    assert.deepEqual([await rig.buried(), isEmpty('a')], [[], false]);
  });
});

describe('replay while the database fails', () => {
  it('backs off for all lanes, tries with one, and goes on with all at the first success', async () => {
    await open();
    for (let i = 0; i < 30; i++) await rig.park(`t${i}`, [i]);
    rig.database.failure = failed('transient', 'down');
    await start(60_000);
    // About 0.5 + 1 + 2 + 4 + 8 + 10 … seconds, after those that were at work at first.
    assert.ok(rig.database.writes >= 7 && rig.database.writes <= 16, `${rig.database.writes}`);
    assert.equal(rig.drainer.stats().down, 'down');
    assert.equal(rig.disk.stats().rows, 30);
    rig.database.failure = undefined;
    await rig.clock.advance(13_000);
    assert.equal(rig.disk.stats().rows, 0);
    assert.equal(rig.drainer.stats().down, undefined);
    const [first] = rig.database.rows;
    assert.ok(
      rig.database.rows.every(({ atMs }) => atMs === first?.atMs),
      'all at once',
    );
    assert.ok(rig.events.includes('the database takes parked rows again'));
  });

  it('holds what is refused by the database in order', async () => {
    await open({ windowBytes: 1_000 });
    await parkEach(rig, 'a', range(50));
    rig.database.failure = failed('ambiguous');
    rig.drainer.start();
    for (let i = 0; i < 20; i++) {
      await rig.clock.advance(700);
      rig.database.failure = i % 2 === 0 ? undefined : failed('denied');
      await parkEach(rig, 'a', [50 + i]);
    }
    rig.database.failure = undefined;
    await rig.clock.advance(30_000);
    assert.deepEqual(rig.database.values('a'), range(70));
  });

  it('counts a guard that can not ask the database as a failed try, when the database is down', async () => {
    await open();
    for (let i = 0; i < 20; i++) await rig.park(`t${i}`, [i]);
    rig.database.failure = failed('transient');
    await start(5_000);
    const down = {
      kind: 'deferred',
      reason: 'database_down',
      message: 'no answer',
      retryAfterMs: 1_000,
    } as const;
    for (let i = 0; i < 20; i++) rig.guard.unknown.add(`t${i}`);
    rig.guard.answer = () => all(down);
    await rig.clock.advance(60_000);
    assert.ok(rig.guard.asked.length < 12, `${rig.guard.asked.length}`);
    rig.guard.answer = () => ADMIT;
    rig.database.failure = undefined;
    await rig.clock.advance(15_000);
    assert.equal(rig.disk.stats().rows, 0);
  });

  it('tells the guard that a table is missing, and tries again later', async () => {
    await open();
    await rig.park('a', [1]);
    await rig.park('b', [2]);
    rig.database.failure = missing('db', 'a');
    await start(1_500);
    assert.ok(rig.guard.invalidated.includes('db.a'));
    rig.database.failure = undefined;
    await rig.clock.advance(3_000);
    assert.deepEqual([rig.database.values('a'), rig.database.values('b')], [[1], [2]]);
    assert.equal(rig.drainer.stats().down, undefined);
  });

  it('holds only the rows of a table that is at odds with the database, in order, and tries them less and less often', async () => {
    await open();
    await rig.park('a', [1]);
    await rig.park('b', [2]);
    rig.database.failure = faulty('db', 'a');
    await start();
    assert.deepEqual([rig.database.values('b'), rig.drainer.stats().down], [[2], undefined]);
    await rig.park('a', [3]);
    rig.database.writes = 0;
    await rig.clock.advance(600_000);
    assert.ok(rig.database.writes >= 8 && rig.database.writes <= 20, `${rig.database.writes}`);
    rig.database.failure = undefined;
    await rig.clock.advance(70_000);
    assert.deepEqual([rig.database.values('a'), isEmpty('a')], [[1, 3], true]);
  });

  it('waits a little when too much waits for the database', async () => {
    await open();
    await rig.park('a', [1]);
    const write = rig.flush.write.bind(rig.flush);
    rig.flush.write = () => Promise.reject(new GatewayError('overload', 'too much'));
    await start();
    assert.equal(rig.drainer.stats().down, undefined);
    assert.equal(rig.disk.stats().rows, 1);
    rig.flush.write = write;
    await rig.clock.advance(1_000);
    assert.deepEqual(rig.database.values('a'), [1]);
  });

  it('survives what nobody foresaw', async () => {
    await open();
    await rig.park('a', [1]);
    rig.guard.unknown.add('a');
    rig.guard.answer = () => {
      throw new Error('a fault');
    };
    await start(3_000);
    rig.guard.answer = () => ADMIT;
    await rig.clock.advance(10_000);
    assert.deepEqual(rig.database.values('a'), [1]);
    assert.ok(rig.events.includes('a lane could not be replayed'));
  });
});
