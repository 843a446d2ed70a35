/** What every disk of the spool must do, as tests over a factory. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { GatewayError } from '../../src/errors.ts';
import { LOG_LANE, type SpoolDisk } from '../../src/model/spool.ts';
import { tableKey } from '../../src/model/table.ts';
import { ODD_NAMES } from '../helpers/hostile.ts';
import { append, laneName, newRecord, readLane, snapshot, textOf } from '../helpers/spool-disk.ts';
import { modelTests } from './spool-disk-model.ts';

/** A disk, and a way to close it and open what it kept; undefined: it keeps nothing. */
export interface DiskFixture {
  readonly disk: SpoolDisk;
  readonly reopen: (() => Promise<SpoolDisk>) | undefined;
}

/** Makes an empty disk that the test's end closes. */
export type DiskFactory = (t: TestContext) => Promise<DiskFixture>;

const M = laneName('m');
const KEY = tableKey(M);

/** Registers the suite. */
export function spoolDiskSuite(name: string, open: DiskFactory): void {
  describe(`${name}: records`, () => recordTests(open));
  describe(`${name}: lanes`, () => laneTests(open));
  describe(`${name}: random changes`, () => modelTests(open));
}

function recordTests(open: DiskFactory): void {
  it('numbers records in the order of the calls and gives them back in that order', async (t) => {
    const { disk } = await open(t);
    const first = disk.commit({ append: [newRecord(LOG_LANE, 'a'), newRecord(LOG_LANE, 'b')] });
    const second = disk.commit({ append: [newRecord(LOG_LANE, 'c')] });
    const [a = 0, b = 0] = first.seqs;
    const [c = 0] = second.seqs;
    assert.ok(a > 0 && a < b && b < c, `${a} < ${b} < ${c}`);
    await Promise.all([first.done, second.done]);
    const expected = [
      [a, 'a'],
      [b, 'b'],
      [c, 'c'],
    ];
    assert.deepEqual((await readLane(disk, LOG_LANE)).map(textOf), expected);
    assert.deepEqual((await readLane(disk, LOG_LANE, 1)).map(textOf), expected);
    assert.deepEqual((await disk.read(LOG_LANE, a, 2)).map(textOf), expected.slice(1));
    assert.deepEqual(await disk.read(LOG_LANE, c, 100), []);
  });

  it('reads as many records as fit the bytes, and one if none does', async (t) => {
    const { disk } = await open(t);
    await append(disk, ...['12345', '1234567890', '12345', '1'].map((text) => newRecord(LOG_LANE, text)));
    const read = async (maxBytes: number): Promise<number> => (await disk.read(LOG_LANE, 0, maxBytes)).length;
    assert.deepEqual(
      [await read(0), await read(5), await read(14), await read(15), await read(20), await read(21)],
      [1, 1, 1, 2, 3, 4],
    );
  });

  it('gives back rows, time and bytes of a record, an empty one and one of all bytes included', async (t) => {
    const { disk } = await open(t);
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    const [empty = 0, all = 0] = await append(
      disk,
      { lane: M, rows: 0, atMs: 0, bytes: new Uint8Array() },
      { lane: M, rows: 4_000_000_000, atMs: 1.5, bytes },
    );
    const records = await readLane(disk, disk.laneOf(KEY)?.id ?? -1);
    assert.deepEqual(
      records.map(({ seq, rows, atMs, bytes, data }) => ({
        seq,
        rows,
        atMs,
        bytes,
        data: [...(data ?? [])],
      })),
      [
        { seq: empty, rows: 0, atMs: 0, bytes: 0, data: [] },
        { seq: all, rows: 4_000_000_000, atMs: 1.5, bytes: 256, data: [...bytes] },
      ],
    );
  });

  it('does not look at the bytes of a record after the call', async (t) => {
    const { disk } = await open(t);
    const bytes = Buffer.from('before');
    const { done } = disk.commit({ append: [{ ...newRecord(LOG_LANE, ''), bytes }] });
    bytes.fill('x');
    await done;
    assert.deepEqual((await readLane(disk, LOG_LANE)).map(textOf).flat().slice(1), ['before']);
  });

  it('moves a record with its number, all or nothing', async (t) => {
    const { disk } = await open(t);
    const [a = 0, b = 0] = await append(disk, newRecord(LOG_LANE, 'a'), newRecord(LOG_LANE, 'b'));
    await append(disk, newRecord(M, 'c'));
    const ref = { seq: a, rows: 1, bytes: 1 };
    const { seqs, done } = disk.commit({
      append: [newRecord(M, 'a', { seq: a })],
      remove: [{ lane: LOG_LANE, records: [ref] }],
    });
    await done;
    assert.deepEqual(seqs, [a]);
    assert.deepEqual((await readLane(disk, LOG_LANE)).map(textOf), [[b, 'b']]);
    assert.deepEqual(
      (await readLane(disk, disk.laneOf(KEY)?.id ?? -1)).map(textOf).map(([, text]) => text),
      ['a', 'c'],
    );
  });

  it('replaces a record by one with the same number', async (t) => {
    const { disk } = await open(t);
    const [seq = 0] = await append(disk, newRecord(M, 'before', { rows: 3 }));
    const lane = disk.laneOf(KEY)?.id ?? -1;
    const remove = [{ lane, records: [{ seq, rows: 3, bytes: 6 }] }];
    await disk.commit({ append: [newRecord(lane, 'after', { seq })], remove }).done;
    assert.deepEqual((await readLane(disk, lane)).map(textOf), [[seq, 'after']]);
    assert.equal(disk.laneOf(KEY)?.rows, 1);
  });

  it('keeps nothing of what was removed in the same turn', async (t) => {
    const { disk } = await open(t);
    const { seqs, done } = disk.commit({ append: [newRecord(M, 'a')] });
    const lane = disk.laneOf(KEY)?.id ?? -1;
    disk.commit({ remove: [{ lane, records: [{ seq: seqs[0] ?? 0, rows: 1, bytes: 1 }] }] });
    assert.equal(disk.laneOf(KEY), undefined);
    await done;
    assert.equal(disk.stats().records, 0);
  });

  it('refuses everything once it is closed, and can be closed twice', async (t) => {
    const { disk } = await open(t);
    const { done } = disk.commit({ append: [newRecord(LOG_LANE, 'a')] });
    await Promise.all([disk.close(), disk.close(), done]);
    assert.throws(() => disk.commit({ append: [newRecord(LOG_LANE, 'b')] }), isClosed);
    await assert.rejects(disk.read(LOG_LANE, 0, 1), isClosed);
  });

  it('keeps over a restart what was handed over before it was closed', async (t) => {
    const { disk, reopen } = await open(t);
    if (reopen === undefined) return t.skip('it keeps nothing');
    const names = Array.from({ length: 20 }, (_, i) => `r${i}`);
    const commits = names.map((text) => disk.commit({ append: [newRecord(LOG_LANE, text)] }));
    const again = await reopen();
    await Promise.all(commits.map(({ done }) => done));
    const records = await readLane(again, LOG_LANE);
    assert.deepEqual(
      records.map(textOf).map(([, text]) => text),
      names,
    );
    const [next = 0] = await append(again, newRecord(LOG_LANE, 'next'));
    assert.ok(next > (records.at(-1)?.seq ?? 0));
  });
}

function laneTests(open: DiskFactory): void {
  it('counts a lane from the call on, and forgets it with its last record', async (t) => {
    const { disk } = await open(t);
    assert.equal(disk.laneOf(KEY), undefined);
    const { seqs, done } = disk.commit({
      append: [newRecord(M, 'abc', { rows: 2, atMs: 5 }), newRecord(M, 'de', { rows: 1, atMs: 7 })],
    });
    const lane = disk.laneOf(KEY);
    assert.ok(lane !== undefined);
    const { id } = lane;
    assert.deepEqual(snapshot(lane), { id, name: M, records: 2, rows: 3, bytes: 5, oldestAtMs: 5 });
    await done;
    const remove = (seq: number | undefined, rows: number, bytes: number): Promise<void> =>
      disk.commit({ remove: [{ lane: id, records: [{ seq: seq ?? 0, rows, bytes }] }] }).done;
    await remove(seqs[0], 2, 3);
    assert.deepEqual(snapshot(lane), { id, name: M, records: 1, rows: 1, bytes: 2, oldestAtMs: 7 });
    const removed = remove(seqs[1], 1, 2);
    assert.equal(disk.laneOf(KEY), undefined);
    assert.deepEqual(
      [...disk.lanes()].map(({ id }) => id),
      [LOG_LANE],
    );
    await removed;
    await append(disk, newRecord(M, 'x'));
    assert.notEqual(disk.laneOf(KEY)?.id, id);
  });

  it('always has the log, which has no name', async (t) => {
    const { disk } = await open(t);
    const [log, ...others] = [...disk.lanes()].map(snapshot);
    assert.deepEqual(log, {
      id: LOG_LANE,
      name: undefined,
      records: 0,
      rows: 0,
      bytes: 0,
      oldestAtMs: undefined,
    });
    assert.deepEqual(others, []);
  });

  it('keeps lanes of any name apart', async (t) => {
    const { disk, reopen } = await open(t);
    const texts = [...ODD_NAMES, 'lone \ud800 surrogate', 'lone \udfff surrogate', '\ufffd', 'é', 'e\u0301'];
    const names = texts.flatMap((text) => [laneName(text), laneName('t', text)]);
    await append(disk, ...names.map((name, i) => newRecord(name, String(i))));
    const check = async (disk: SpoolDisk): Promise<void> => {
      assert.equal(disk.stats().lanes, names.length);
      for (const [i, name] of names.entries()) {
        const lane = disk.laneOf(tableKey(name));
        assert.deepEqual(lane?.name, name);
        assert.deepEqual((await readLane(disk, lane?.id ?? -1)).map(textOf).flat().slice(1), [String(i)]);
      }
    };
    await check(disk);
    if (reopen !== undefined) await check(await reopen());
  });

  it('puts records of one table into one lane, by name or by number', async (t) => {
    const { disk } = await open(t);
    const { done } = disk.commit({ append: [newRecord(M, 'a'), newRecord({ ...M }, 'b')] });
    const id = disk.laneOf(KEY)?.id ?? -1;
    await Promise.all([done, append(disk, newRecord(id, 'c'))]);
    assert.deepEqual(
      (await readLane(disk, id)).map(textOf).map(([, text]) => text),
      ['a', 'b', 'c'],
    );
  });

  it('takes a removal from a lane that is gone as done, and reads nothing from it', async (t) => {
    const { disk } = await open(t);
    await disk.commit({ remove: [{ lane: 7, records: [{ seq: 1, rows: 1, bytes: 1 }] }] }).done;
    assert.deepEqual(await disk.read(7, 0, 100), []);
    assert.equal(disk.stats().records, 0);
  });

  it('sums up its lanes', async (t) => {
    const { disk } = await open(t);
    await append(disk, newRecord(M, 'abc', { rows: 2 }), newRecord(LOG_LANE, 'de', { rows: 5 }));
    const { lanes, records, rows, bytes, pendingBytes, failing } = disk.stats();
    assert.deepEqual([lanes, records, rows, bytes, pendingBytes, failing], [1, 2, 7, 5, 0, undefined]);
  });
}

function isClosed(error: unknown): boolean {
  return error instanceof GatewayError && error.code === 'closed';
}
