/** The spool's disk in one process: group commit, refusals, what it opens and what it does not. */
import assert from 'node:assert/strict';
import { chmod, chown, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { ClassicLevel } from 'classic-level';
import { LOG_LANE } from '../../src/model/spool.ts';
import { tableKey } from '../../src/model/table.ts';
import { HEADER_BYTES, laneKey, RECORDS, RECOUNT_KEY, recordKey } from '../../src/spool/disk-format.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import {
  append,
  laneName,
  newRecord,
  openTestDisk,
  readLane,
  spoolPath,
  textOf,
} from '../helpers/spool-disk.ts';

type Level = ClassicLevel<Uint8Array, Uint8Array>;

/** Changes a closed spool behind its back. */
async function tamper(path: string, change: (db: Level) => Promise<unknown>): Promise<void> {
  const db: Level = new ClassicLevel(path, { keyEncoding: 'view', valueEncoding: 'view' });
  await change(db);
  await db.close();
}

describe('group commit', () => {
  it('writes what is handed over meanwhile in one batch', async (t) => {
    const { disk, counts } = await openTestDisk(t, { path: await spoolPath() });
    const first = append(disk, newRecord(LOG_LANE, 'first'));
    // After a turn of promises the first one is on its way.
    await Promise.resolve();
    await Promise.resolve();
    const others = Array.from({ length: 100 }, (_, i) => append(disk, newRecord(LOG_LANE, String(i))));
    await Promise.all([first, ...others]);
    assert.deepEqual([counts.groups, counts.records], [2, 101]);
  });

  it('does not sync removals alone', async (t) => {
    const { disk, counts } = await openTestDisk(t, { path: await spoolPath() });
    const [seq = 0] = await append(disk, newRecord(LOG_LANE, 'a'));
    await disk.commit({ remove: [{ lane: LOG_LANE, records: [{ seq, rows: 1, bytes: 1 }] }] }).done;
    assert.equal(counts.groups, 1);
    assert.deepEqual(await readLane(disk, LOG_LANE), []);
  });

  it('does not show a record before it is synced', async (t) => {
    const { disk } = await openTestDisk(t, { path: await spoolPath() });
    const { done } = disk.commit({ append: [newRecord(LOG_LANE, 'a')] });
    assert.equal(disk.stats().records, 1);
    assert.ok(disk.stats().pendingBytes > 0);
    // The sync may end while the read is under way; what is shown then has to be synced.
    let synced = false;
    const marked = done.then(() => (synced = true));
    const shown = await disk.read(LOG_LANE, 0, 100);
    assert.ok(shown.length === 0 || synced);
    await marked;
    assert.equal(disk.stats().records, 1);
    assert.equal((await disk.read(LOG_LANE, 0, 100)).length, 1);
  });

  it('refuses what is over the bound, at once, but not one large change alone', async (t) => {
    const { disk, counts } = await openTestDisk(t, { path: await spoolPath(), maxPendingBytes: 10 });
    const large = append(disk, newRecord(LOG_LANE, 'x'.repeat(1_000)));
    const overload = { code: 'overload' };
    assert.throws(() => disk.commit({ append: [newRecord(LOG_LANE, 'a')] }), overload);
    disk.commit({ remove: [] });
    await large;
    const six = append(disk, newRecord(LOG_LANE, '123456'));
    assert.throws(() => disk.commit({ append: [newRecord(LOG_LANE, '12345')] }), overload);
    await Promise.all([six, append(disk, newRecord(LOG_LANE, '1234'))]);
    assert.deepEqual([counts.refused, disk.stats().records], [{ overload: 2 }, 3]);
  });

  it('counts nothing of a change whose lane is not there', async (t) => {
    const { disk } = await openTestDisk(t, { path: await spoolPath() });
    const change = { append: [newRecord(LOG_LANE, 'a'), newRecord(99, 'b')] };
    assert.throws(() => disk.commit(change), RangeError);
    assert.deepEqual([disk.stats().records, disk.stats().pendingBytes], [0, 0]);
  });
});

describe('free space', () => {
  it('refuses appends below the mark, until there is more, and takes removals', async (t) => {
    const clock = new FakeClock();
    let free = 999;
    const { disk, counts } = await openTestDisk(
      t,
      { path: await spoolPath(), minFreeBytes: 1_000 },
      { clock, freeBytesOf: () => Promise.resolve(free) },
    );
    const failing = 'free disk space below 1000 bytes';
    assert.deepEqual([disk.stats().freeBytes, disk.stats().failing], [999, failing]);
    const attempt = (): unknown => disk.commit({ append: [newRecord(LOG_LANE, 'a')] });
    assert.throws(attempt, { code: 'unavailable', message: failing });
    await disk.commit({ remove: [] }).done;
    free = 1_000;
    await clock.advance(999);
    assert.throws(attempt, { code: 'unavailable' });
    await clock.advance(1);
    await append(disk, newRecord(LOG_LANE, 'a'));
    assert.deepEqual([counts.refused, disk.stats().failing], [{ space: 2 }, undefined]);
    await disk.close();
    assert.equal(clock.sleeping, 0);
  });

  it('is not known when the file system does not say, which is no reason to refuse', async (t) => {
    const freeBytesOf = (): Promise<number> => Promise.reject(new Error('no'));
    const { disk } = await openTestDisk(t, { path: await spoolPath(), minFreeBytes: 1 }, { freeBytesOf });
    assert.equal(disk.stats().freeBytes, undefined);
    await append(disk, newRecord(LOG_LANE, 'a'));
  });
});

describe('a folder', () => {
  it('is made with those above it', async (t) => {
    const path = join(await spoolPath(), 'a', 'b');
    const { disk } = await openTestDisk(t, { path });
    await append(disk, newRecord(LOG_LANE, 'a'));
  });

  it('is refused with its name when it can not be used', async (t) => {
    const path = await spoolPath();
    await openTestDisk(t, { path: join(path, 'other') }).then(({ disk }) => disk.close());
    await writeFile(join(path, 'file'), '');
    const foreign = join(path, 'foreign');
    await mkdir(foreign);
    await writeFile(join(foreign, '000001.txt'), 'precious');
    const level = join(path, 'level');
    await tamper(level, (db) => db.put(Buffer.from('a'), Buffer.from('b')));
    const newer = join(path, 'newer');
    await tamper(newer, (db) => db.put(Buffer.from('mlayout'), Buffer.from('sluice spool 2')));
    const cases: [path: string, message: RegExp][] = [
      [join(path, 'file'), /EEXIST/],
      [join(path, 'file', 'below'), /ENOTDIR/],
      [foreign, /not a spool, there are other files, such as "000001.txt"/],
      [level, /the database there is not a spool/],
      [newer, /its layout is "sluice spool 2", this version knows "sluice spool 1" only/],
    ];
    for (const [path, message] of cases) {
      await assert.rejects(openTestDisk(t, { path }), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'config_invalid');
        assert.ok(error.message.startsWith(`spool.path ${path}: `), error.message);
        assert.match(error.message, message);
        return true;
      });
    }
    // Nothing was touched in it.
    assert.equal(await readFile(join(foreign, '000001.txt'), 'utf8'), 'precious');
    await tamper(level, async (db) => assert.deepEqual(await db.keys().all(), [Buffer.from('a')]));
  });

  it('is refused when it is read-only', async (t) => {
    const path = await spoolPath();
    await mkdir(path);
    const isRoot = process.getuid?.() === 0;
    if (isRoot) await chown(path, 65_534, 65_534);
    await chmod(join(path, '..'), 0o755);
    await chmod(path, 0o500);
    // Root may do everything.
    if (isRoot) process.seteuid?.(65_534);
    try {
      await assert.rejects(openTestDisk(t, { path }), {
        code: 'config_invalid',
        message: /ermission denied|EACCES/,
      });
    } finally {
      if (isRoot) process.seteuid?.(0);
    }
  });

  it('is opened without reading a record', async (t) => {
    const path = await spoolPath();
    const { disk } = await openTestDisk(t, { path });
    const text = 'x'.repeat(10_000);
    await append(
      disk,
      ...['a', 'b', 'c'].flatMap((table) => Array(50).fill(newRecord(laneName(table), text))),
    );
    await disk.close();
    // Without their records, what is known of the lanes is the same.
    await tamper(path, (db) => db.clear({ gte: Buffer.of(RECORDS), lt: Buffer.of(RECORDS + 1) }));
    const { disk: again, counts } = await openTestDisk(t, { path });
    const { lanes, records, rows, bytes } = again.stats();
    assert.deepEqual([lanes, records, rows, bytes], [3, 150, 150, 1_500_000]);
    assert.deepEqual(
      [...again.lanes()].map(({ records }) => records),
      [0, 50, 50, 50],
    );
    assert.deepEqual(counts.errors, []);
  });

  it('tells records of another version, and those that are not where they belong', async (t) => {
    const path = await spoolPath();
    const { disk } = await openTestDisk(t, { path });
    const [a = 0, b = 0, c = 0] = await append(
      disk,
      ...['a', 'b', 'c'].map((text) => newRecord(LOG_LANE, text)),
    );
    await disk.close();
    await tamper(path, async (db) => {
      const value = await db.get(recordKey(LOG_LANE, b));
      const newer = Buffer.from(value ?? '');
      newer[4] = 2;
      await db.put(recordKey(LOG_LANE, a), newer);
      await db.put(recordKey(LOG_LANE, b), value?.subarray(0, 3) ?? Buffer.of());
    });
    const { disk: again, counts } = await openTestDisk(t, { path });
    const records = await readLane(again, LOG_LANE);
    assert.deepEqual(records.map(textOf), [
      [a, undefined],
      [b, undefined],
      [c, 'c'],
    ]);
    assert.deepEqual(
      records.map(({ raw }) => raw.length),
      [HEADER_BYTES + 1, 3, HEADER_BYTES + 1],
    );
    assert.equal(counts.unreadable, 2);
    await again.commit({ remove: [{ lane: LOG_LANE, records }] }).done;
    assert.deepEqual([again.stats().records, again.stats().rows, again.stats().bytes], [0, 0, 0]);
  });

  it('counts its records at the start after the disk had failed', async (t) => {
    const path = await spoolPath();
    const { disk } = await openTestDisk(t, { path });
    await append(disk, newRecord(LOG_LANE, 'a'), newRecord(laneName('m'), 'b'));
    // As after a failure of which nobody knew that the record was never written.
    const records = [{ seq: 99, rows: 1, bytes: 1 }];
    const lanes = [LOG_LANE, disk.laneOf(tableKey(laneName('m')))?.id ?? 0];
    await disk.commit({ remove: lanes.map((lane) => ({ lane, records })) }).done;
    assert.equal(disk.stats().records, 0);
    await disk.close();
    await tamper(path, (db) => db.put(RECOUNT_KEY, Buffer.of(1)));
    const { disk: again, counts } = await openTestDisk(t, { path });
    assert.equal(again.stats().records, 2);
    // The second one's lane was forgotten, and the log takes rows of all tables.
    const found = (await readLane(again, LOG_LANE)).map(textOf);
    assert.deepEqual(found, [
      [1, 'a'],
      [2, 'b'],
    ]);
    assert.deepEqual(counts.errors, []);
    await again.close();
    const left: unknown[] = [];
    await tamper(path, async (db) => left.push(await db.get(RECOUNT_KEY)));
    assert.deepEqual(left, [undefined]);
  });

  it('counts as lost what is not there at the end of a lane', async (t) => {
    const path = await spoolPath();
    const { disk } = await openTestDisk(t, { path });
    const name = laneName('m');
    const seqs = await append(disk, ...['a', 'b', 'c'].map((text) => newRecord(name, text, { rows: 10 })));
    const id = disk.laneOf(tableKey(name))?.id ?? 0;
    await disk.close();
    await tamper(path, (db) => db.clear({ gte: recordKey(id, seqs[1] ?? 0), lt: laneKey(RECORDS, id + 1) }));
    const { disk: again, counts } = await openTestDisk(t, { path });
    const records = await readLane(again, id);
    assert.deepEqual(records.map(textOf), [[seqs[0], 'a']]);
    assert.equal(counts.lost, 0);
    await again.commit({ remove: [{ lane: id, records }] }).done;
    assert.deepEqual([counts.lost, again.laneOf(tableKey(name)), again.stats().rows], [2, undefined, 0]);
    await again.close();
    const { disk: last, counts: lastCounts } = await openTestDisk(t, { path });
    assert.deepEqual([last.stats().records, lastCounts.errors], [0, []]);
  });
});
