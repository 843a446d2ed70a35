import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { PointBatch } from '../../src/model/point-batch.ts';
import { Table } from '../../src/model/series.ts';
import type { StoredRecord } from '../../src/model/spool.ts';
import { SeriesDictionary } from '../../src/protocol/series-dictionary.ts';
import type { ParkingOptions } from '../../src/spool/parking.ts';
import { decode } from '../../src/spool/record-decode.ts';
import {
  batchOf,
  headOf,
  type LaneRig,
  type LaneRigOptions,
  laneOf,
  openLaneRig,
} from '../helpers/lane-rig.ts';
import { readRows } from '../helpers/parsers.ts';
import { createTestSource } from '../helpers/points.ts';
import { eventually } from '../helpers/wait.ts';

let rig: LaneRig;
afterEach(() => rig.close());

async function open(parking: Partial<ParkingOptions> = {}, more: LaneRigOptions = {}): Promise<void> {
  rig = await openLaneRig({ ...more, parking });
}

/** Rows of several tables in one request; `[table, number]` each. */
function mixed(...rows: readonly (readonly [table: string, number: number])[]): PointBatch {
  return createTestSource('db').batch(
    rows.map(([table, number]) => ({ table, fields: [['v', ['int64', BigInt(number)]]] })),
  );
}

/** Numbers of the rows in a table's lane, record by record. */
async function numbersIn(table: string): Promise<unknown[][]> {
  const state = laneOf(rig, table);
  if (state === undefined) return [];
  return (await rig.disk.read(state.id, 0, 2 ** 24)).map(numbersOf);
}

/** It looks at its free space about once a second, of a real file system, whose answer takes its own time. */
async function untilDisk(state: 'failing' | 'well'): Promise<void> {
  const isSo = (): boolean => (rig.disk.stats().failing !== undefined) === (state === 'failing');
  await eventually(`the disk is ${state}`, async () => {
    if (!isSo()) await rig.clock.advance(1_000);
    return isSo();
  });
}

function numbersOf({ data }: StoredRecord): unknown[] {
  const batch = new PointBatch();
  decode([data as Uint8Array], batch, new SeriesDictionary({ maxSeries: 100, maxBytes: 2 ** 20 }, 1));
  return readRows(batch).map(({ fields }) => Number(fields[0]?.[2]));
}

describe('parking', () => {
  it('keeps the rows of each table in its lane, all of a request in one sync', async () => {
    await open();
    const batch = mixed(['a', 1], ['b', 2], ['a', 3], ['c', 4], ['a', 5]);
    let syncs = 0;
    const commit = rig.disk.commit.bind(rig.disk);
    rig.disk.commit = (change) => {
      syncs++;
      return commit(change);
    };
    const parked = await rig.parking.park(batch, [0, 1, 2, 4], headOf(rig.clock));
    assert.deepEqual(parked, { parked: [0, 1, 2, 4], refusal: undefined });
    assert.equal(syncs, 1);
    assert.deepEqual(
      [await numbersIn('a'), await numbersIn('b'), await numbersIn('c')],
      [[[1, 3, 5]], [[2]], []],
    );
    assert.deepEqual(laneOf(rig, 'a')?.name, { tenant: 'db', database: 'db', table: 'a' });
    assert.equal(laneOf(rig, 'a')?.oldestAtMs, rig.clock.wallNow());
    assert.deepEqual(rig.events, ['parked 4']);
  });

  it('keeps the order of requests', async () => {
    await open();
    await Promise.all([1, 2, 3, 4, 5].map((number) => rig.park('a', [number, number * 10])));
    assert.deepEqual(await numbersIn('a'), [
      [1, 10],
      [2, 20],
      [3, 30],
      [4, 40],
      [5, 50],
    ]);
  });

  it('holds a table from the moment that its rows are given to it', async () => {
    await open();
    const table = new Table('db', 'a');
    assert.equal(rig.parking.holds(table), false);
    const parked = rig.park('a', [1]);
    assert.equal(rig.parking.holds(table), true);
    assert.equal(rig.parking.holds(new Table('db', 'b')), false);
    assert.equal(rig.parking.holds(new Table('other', 'a')), false);
    await parked;
    assert.equal(rig.parking.holds(table), true);
  });

  it('knows the lanes of an earlier run', async () => {
    await open();
    await rig.park('a', [1]);
    const { path } = rig;
    await rig.close();
    await open({ maxTables: 1 }, { path });
    assert.equal(rig.parking.holds(new Table('db', 'a')), true);
    assert.equal((await rig.park('b', [1])).refusal?.reason, 'tables');
    const { lanes, rows } = rig.parking.stats();
    assert.deepEqual([lanes, rows], [1, 1]);
  });

  it('parks nothing of nothing', async () => {
    await open();
    assert.deepEqual(await rig.parking.park(mixed(['a', 1]), [], headOf(rig.clock)), {
      parked: [],
      refusal: undefined,
    });
    assert.deepEqual(rig.events, []);
  });

  it('takes rows of a table whose dictionary entry was forgotten into the same lane', async () => {
    await open();
    const [one, other] = [createTestSource('db'), createTestSource('db')];
    const batch = new PointBatch();
    batch.reset(new Uint8Array(0), 'db');
    for (const source of [one, other]) {
      const { tagSet } = source.series('a', {});
      assert.notEqual(tagSet.table, undefined);
    }
    const field = one.batch([{ table: 'a', fields: [['v', ['int64', 1n]]] }]).cellField[0];
    for (const [i, source] of [one, other].entries()) {
      batch.beginRow(source.series('a', {}), i);
      batch.setNanos(BigInt(i));
      batch.addInt(field as NonNullable<typeof field>, 0, i + 1);
      batch.endRow();
    }
    assert.equal(batch.groupCount, 2);
    await rig.parking.park(batch, [0, 1], headOf(rig.clock));
    assert.deepEqual(await numbersIn('a'), [[1, 2]]);
    assert.equal(rig.disk.stats().lanes, 1);
  });

  it('tells its numbers', async () => {
    await open();
    assert.deepEqual(rig.parking.stats(), {
      lanes: 0,
      rows: 0,
      bytes: 0,
      mostTenantBytes: 0,
      oldestAgeMs: 0,
    });
    await rig.park('a', [1, 2]);
    await rig.clock.advance(5_000);
    await rig.park('b', [3], { database: 'other', size: 1_000 });
    await rig.clock.advance(1_000);
    const { bytes } = rig.disk.stats();
    const small = laneOf(rig, 'a')?.bytes ?? 0;
    assert.deepEqual(rig.parking.stats(), {
      lanes: 2,
      rows: 3,
      bytes,
      mostTenantBytes: bytes - small,
      oldestAgeMs: 6_000,
    });
  });
});

describe('parking over a bound', () => {
  /** Bytes of one parked row with `size` bytes beside it are a little more. */
  const SIZE = 1_000;
  const BOUND = 3_500;
  const bounds = [
    ['total', { maxBytes: BOUND }, [['c', 'x']], []],
    ['tenant', { maxTenantBytes: BOUND }, [['c', 'db']], [['c', 'x']]],
    [
      'table',
      { maxTableBytes: BOUND },
      [['a', 'db']],
      [
        ['b', 'db'],
        ['a', 'x'],
      ],
    ],
    [
      'tables',
      { maxTables: 1 },
      [
        ['b', 'db'],
        ['a', 'x'],
      ],
      [['a', 'db']],
    ],
  ] as const;

  for (const [reason, options, over, within] of bounds) {
    it(`refuses rows for the reason ${reason} before it keeps anything of them`, async () => {
      await open(options);
      for (let i = 0; i < 3; i++) {
        assert.equal((await rig.park('a', [i], { size: SIZE })).refusal, undefined);
      }
      const before = rig.disk.stats();
      for (const [table, database] of over) {
        const refused = await rig.park(table, [7], { database, size: SIZE });
        assert.deepEqual([refused.parked, refused.refusal?.reason], [[], reason]);
        assert.deepEqual(rig.disk.stats(), before);
        assert.equal(rig.events.at(-1), `refused ${reason} 1`);
      }
      for (const [table, database] of within) {
        assert.equal((await rig.park(table, [8], { database, size: SIZE })).refusal, undefined);
      }
    });

    it(`takes rows again when what waited is gone (${reason})`, async () => {
      await open(options);
      for (let i = 0; i < 3; i++) await rig.park('a', [i], { size: SIZE });
      const state = laneOf(rig, 'a');
      const records = await rig.disk.read(state?.id ?? 0, 0, 2 ** 20);
      rig.disk.commit({ remove: [{ lane: state?.id ?? 0, records }] });
      await rig.clock.advance(1_000);
      const [table, database] = over[0];
      assert.equal((await rig.park(table, [7], { database, size: SIZE })).refusal, undefined);
    });
  }

  it('counts what is on its way to disk', async () => {
    await open({ maxTableBytes: BOUND });
    const all = await Promise.all([1, 2, 3, 4, 5].map((number) => rig.park('a', [number], { size: SIZE })));
    assert.deepEqual(
      all.map(({ refusal }) => refusal?.reason),
      [undefined, undefined, undefined, 'table', 'table'],
    );
  });

  it('counts all tables of a request together', async () => {
    await open({ maxTables: 2 });
    const parked = await rig.parking.park(
      mixed(['a', 1], ['b', 2], ['c', 3], ['a', 4], ['d', 5]),
      [0, 1, 2, 3, 4],
      headOf(rig.clock),
    );
    assert.deepEqual([parked.parked, parked.refusal?.reason], [[0, 1, 3], 'tables']);
    assert.deepEqual(rig.events, ['refused tables 1', 'refused tables 1', 'parked 3']);
  });

  it('counts the bytes of a request together', async () => {
    for (const options of [{ maxBytes: 200 }, { maxTenantBytes: 200 }]) {
      await open(options);
      const batch = mixed(...Array.from({ length: 20 }, (_, i) => [`t${i}`, i] as const));
      const { parked } = await rig.parking.park(batch, [...Array(20).keys()], headOf(rig.clock));
      assert.ok(parked.length > 0 && parked.length < 10, `${parked.length}`);
      assert.ok(rig.disk.stats().bytes <= 200);
      if ('maxBytes' in options) await rig.close();
    }
  });

  it('keeps the rows of other tables of the request', async () => {
    await open({ maxTableBytes: BOUND });
    for (let i = 0; i < 3; i++) await rig.park('a', [i], { size: SIZE });
    // More than the bound leaves.
    const numbers = Array.from({ length: 100 }, (_, i) => ['a', i] as const);
    const batch = mixed(...numbers, ['b', 7]);
    const { parked, refusal } = await rig.parking.park(batch, [...Array(101).keys()], headOf(rig.clock));
    assert.deepEqual([parked, refusal?.reason], [[100], 'table']);
  });

  it('lets what is larger than a bound pass when nothing waits', async () => {
    await open({ maxBytes: 10, maxTenantBytes: 10, maxTableBytes: 10 });
    assert.equal((await rig.park('a', [1], { size: SIZE })).refusal, undefined);
    assert.equal((await rig.park('b', [1])).refusal?.reason, 'tenant');
  });

  it('refuses rows of a table whose oldest row is too old', async () => {
    await open({ maxAgeMs: 60_000 });
    await rig.park('a', [1]);
    await rig.clock.advance(60_000);
    assert.equal((await rig.park('a', [2])).refusal, undefined);
    await rig.clock.advance(1);
    assert.equal((await rig.park('a', [3])).refusal?.reason, 'age');
    assert.equal((await rig.park('b', [3])).refusal, undefined);
  });

  it('refuses everything when it is off, and still holds what is there', async () => {
    await open();
    await rig.park('a', [1]);
    const { path } = rig;
    await rig.close();
    await open({ enabled: false }, { path });
    assert.equal(rig.parking.holds(new Table('db', 'a')), true);
    assert.equal((await rig.park('a', [2])).refusal?.reason, 'off');
    assert.deepEqual(rig.events, ['refused off 1']);
  });

  it('refuses what the disk refuses, and keeps nothing of it', async () => {
    await open();
    rig.freeBytes = 999;
    await untilDisk('failing');
    const { parked, refusal } = await rig.park('a', [1]);
    assert.deepEqual([parked, refusal?.reason], [[], 'disk']);
    assert.match(refusal?.message ?? '', /free disk space/);
    assert.equal(rig.parking.holds(new Table('db', 'a')), false);
    rig.freeBytes = 10_000;
    await untilDisk('well');
    assert.equal((await rig.park('a', [1])).refusal, undefined);
  });

  it('refuses what could not be synced', async () => {
    await open();
    const commit = rig.disk.commit.bind(rig.disk);
    rig.disk.commit = (change) => {
      const { seqs } = commit(change);
      return { seqs, done: Promise.reject(new Error('no sync')) };
    };
    const { parked, refusal } = await rig.park('a', [1]);
    assert.deepEqual([parked, refusal?.reason], [[], 'disk']);
    assert.deepEqual(rig.events, ['refused disk 1']);
  });

  it('sends rows over a bound to the dead letter, if so configured, and counts them as parked', async () => {
    await open({ maxTables: 1, whenFull: 'dead-letter' });
    const batch = mixed(['a', 1], ['b', 2], ['a', 3], ['c', 4]);
    const result = await rig.parking.park(batch, [0, 1, 2, 3], headOf(rig.clock));
    assert.deepEqual(result, { parked: [0, 1, 2, 3], refusal: undefined });
    assert.deepEqual(await rig.buried(), ['full 2', 'full 4']);
    assert.deepEqual(rig.events.sort(), ['dead full 1', 'dead full 1', 'parked 2']);
  });

  it('refuses rows over a bound when the dead letter is full, too', async () => {
    await open({ maxTables: 1, whenFull: 'dead-letter' }, { letter: { maxBytes: 1 } });
    const { parked, refusal } = await rig.parking.park(mixed(['a', 1], ['b', 2]), [0, 1], headOf(rig.clock));
    assert.deepEqual([parked, refusal?.reason], [[0], 'tables']);
    assert.deepEqual(rig.events.sort(), ['parked 1', 'refused tables 1']);
  });

  it('goes on taking rows of a table whose oldest row is too old when such rows go to the dead letter', async () => {
    await open({ maxAgeMs: 60_000, whenFull: 'dead-letter' });
    await rig.park('a', [1]);
    await rig.clock.advance(60_001);
    assert.equal((await rig.park('a', [2])).refusal, undefined);
    assert.deepEqual(await rig.buried(), []);
  });

  it('costs a full table no encoding', async () => {
    await open({ maxTableBytes: 10 });
    await rig.park('a', [1]);
    const batch = batchOf('db', 'a', [2]);
    // What is read for encoding is not there.
    batch.cellField = [];
    const { refusal } = await rig.parking.park(batch, [0], headOf(rig.clock));
    assert.equal(refusal?.reason, 'table');
  });
});
