/** The spool's disk over files that were damaged, truncated or removed: what is readable is given back, the rest counted. */
import assert from 'node:assert/strict';
import { readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { LOG_LANE, type SpoolDisk } from '../../src/model/spool.ts';
import type { Random } from '../../src/util/backoff.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { pickOne, seededRandom } from '../helpers/seeded-random.ts';
import {
  type DiskCounts,
  laneName,
  newRecord,
  openTestDisk,
  readLane,
  spoolPath,
  type TestDisk,
} from '../helpers/spool-disk.ts';
import { eventually } from '../helpers/wait.ts';

const GROUPS = 60;
const LANES = [LOG_LANE, laneName('a'), laneName('b')];

/** Text that does not compress, so that it can be found in the files. */
function textOf(random: Random, length: number): string {
  return Array.from({ length }, () => String.fromCharCode(33 + Math.floor(random() * 90))).join('');
}

/** A closed spool of some files, and the texts in it by their numbers. */
async function filledSpool(
  t: TestContext,
  reopens = 2,
): Promise<{ path: string; texts: Map<number, string> }> {
  const path = await spoolPath();
  const random = seededRandom(1);
  const texts = new Map<number, string>();
  for (let open = 0; open < reopens; open++) {
    const { disk } = await openTestDisk(t, { path });
    for (let group = 0; group < GROUPS; group++) {
      const group = LANES.map((lane) => newRecord(lane, textOf(random, 500 + Math.floor(random() * 1_500))));
      const { seqs, done } = disk.commit({ append: group });
      await done;
      for (const [i, seq] of seqs.entries()) texts.set(seq, Buffer.from(group[i]?.bytes ?? []).toString());
    }
    await disk.close();
  }
  return { path, texts };
}

async function filesOf(path: string, pattern: RegExp): Promise<string[]> {
  const names = (await readdir(path)).filter((name) => pattern.test(name)).sort();
  return names.map((name) => join(path, name));
}

/** Reads and removes all lanes until they are empty, as the write log and parking do. */
async function drain(disk: SpoolDisk): Promise<{ found: Map<number, string>; unreadable: number }> {
  const found = new Map<number, string>();
  let unreadable = 0;
  for (let round = 0; disk.stats().records > 0; round++) {
    assert.ok(round < 10, 'the spool does not become empty');
    for (const { id } of disk.lanes()) {
      const records = await readLane(disk, id, 20_000);
      for (const { seq, data } of records) {
        if (data === undefined) unreadable++;
        else found.set(seq, Buffer.from(data).toString());
      }
      await disk.commit({ remove: [{ lane: id, records }] }).done;
    }
  }
  const { lanes, records, rows, bytes } = disk.stats();
  assert.deepEqual([lanes, records, rows, bytes], [0, 0, 0, 0]);
  return { found, unreadable };
}

/** Whatever happened: nothing wrong is read, what was kept before is gone or counted, and the spool works. */
async function assertUsable(
  t: TestContext,
  path: string,
  texts: ReadonlyMap<number, string>,
): Promise<{ found: Map<number, string>; unreadable: number; counts: DiskCounts }> {
  const { disk, counts } = await openTestDisk(t, { path });
  const { found, unreadable } = await drain(disk);
  for (const [seq, text] of found) assert.equal(text, texts.get(seq));
  const { seqs, done } = disk.commit({
    append: [newRecord(LOG_LANE, 'new'), newRecord(laneName('a'), 'new')],
  });
  await done;
  await disk.close();
  const { disk: again, counts: cleanCounts } = await openTestDisk(t, { path });
  assert.deepEqual(
    [...(await drain(again)).found],
    seqs.map((seq) => [seq, 'new']),
  );
  assert.deepEqual([cleanCounts.lost, cleanCounts.repaired], [0, 0]);
  await again.close();
  return { found, unreadable, counts };
}

describe('a damaged spool', () => {
  it('gives back all but the record with a flipped byte, which is unreadable', async (t) => {
    const { path, texts } = await filledSpool(t);
    const [seq = 0, text = ''] = [...texts][GROUPS] ?? [];
    let flips = 0;
    for (const file of await filesOf(path, /\.ldb$/)) {
      const bytes = await readFile(file);
      const at = bytes.indexOf(text);
      if (at < 0) continue;
      bytes[at + 10] = (bytes[at + 10] ?? 0) ^ 1;
      await writeFile(file, bytes);
      flips++;
    }
    assert.equal(flips, 1);
    const { found, unreadable, counts } = await assertUsable(t, path, texts);
    texts.delete(seq);
    assert.deepEqual(
      [...found.keys()].sort((a, b) => a - b),
      [...texts.keys()],
    );
    assert.deepEqual([unreadable, counts.unreadable, counts.lost], [1, 1, 0]);
  });

  it('counts what was in a part of the log that can not be read, and has all the rest', async (t) => {
    const { path, texts } = await filledSpool(t, 1);
    const [file = ''] = await filesOf(path, /\.log$/);
    const bytes = await readFile(file);
    bytes.fill(0x55, 40_000, 40_100);
    await writeFile(file, bytes);
    const { found, unreadable, counts } = await assertUsable(t, path, texts);
    assert.ok(counts.lost > 0 && counts.lost < 60, `${counts.lost} lost`);
    assert.equal(found.size + unreadable + counts.lost, texts.size);
  });

  it('has what was in a truncated log before its end', async (t) => {
    const { path, texts } = await filledSpool(t, 1);
    const [file = ''] = await filesOf(path, /\.log$/);
    const { size } = await stat(file);
    await truncate(file, size >> 1);
    const { found } = await assertUsable(t, path, texts);
    assert.ok(found.size > texts.size / 3 && found.size < texts.size);
    assert.deepEqual(
      [...found.keys()].sort((a, b) => a - b),
      [...texts.keys()].slice(0, found.size),
    );
  });

  for (const [what, pattern] of [
    ['CURRENT', /^CURRENT$/],
    ['its manifest', /^MANIFEST/],
  ] as const) {
    it(`is repaired without loss when ${what} is gone`, async (t) => {
      const { path, texts } = await filledSpool(t);
      for (const file of await filesOf(path, pattern)) await rm(file);
      const { found, counts } = await assertUsable(t, path, texts);
      assert.equal(found.size, texts.size);
      assert.deepEqual([counts.repaired, counts.lost, counts.unreadable], [1, 0, 0]);
    });
  }

  it('is repaired and its losses are counted when a file of records is gone', async (t) => {
    const { path, texts } = await filledSpool(t);
    const [file = ''] = await filesOf(path, /\.ldb$/);
    await rm(file);
    const { found, counts } = await assertUsable(t, path, texts);
    assert.ok(found.size > 0 && found.size < texts.size);
    assert.deepEqual([counts.repaired, counts.lost], [1, texts.size - found.size]);
  });

  it('survives damage of any kind at any place', async (t) => {
    const { path, texts } = await filledSpool(t);
    const random = seededRandom(7);
    const files = await filesOf(path, /\.(ldb|log)$|^MANIFEST|^CURRENT/);
    const originals = new Map(
      await Promise.all(files.map(async (file) => [file, await readFile(file)] as const)),
    );
    const seen = { whole: 0, unreadable: 0, lost: 0, repaired: 0 };
    for (let run = 0; run < 40; run++) {
      const copy = await spoolPath();
      await openTestDisk(t, { path: copy }).then(({ disk }) => disk.close());
      for (const name of await readdir(copy)) if (name !== 'LOCK') await rm(join(copy, name));
      const victim = pickOne(random, files);
      for (const [file, bytes] of originals) {
        const content = file === victim ? damaged(random, bytes) : bytes;
        await writeFile(join(copy, file.slice(path.length)), content);
      }
      const { found, unreadable, counts } = await assertUsable(t, copy, texts);
      if (found.size === texts.size) seen.whole++;
      if (unreadable > 0) seen.unreadable++;
      if (counts.lost > 0) seen.lost++;
      if (counts.repaired > 0) seen.repaired++;
    }
    // Or the damage would be of no kind.
    assert.ok(
      Object.values(seen).every((runs) => runs > 0),
      JSON.stringify(seen),
    );
  });
});

describe('a spool that LevelDB refuses to write to', () => {
  /** So many files of one level that LevelDB joins them in the background, and then finds that one is damaged. */
  async function openDamaged(
    t: TestContext,
  ): Promise<TestDisk & { clock: FakeClock; texts: Map<number, string> }> {
    const { path, texts } = await filledSpool(t, 4);
    const [file = ''] = await filesOf(path, /\.ldb$/);
    const bytes = await readFile(file);
    await writeFile(file, bytes.fill(0xff, 100_000, 105_000));
    const clock = new FakeClock();
    return { ...(await openTestDisk(t, { path }, { clock, random: () => 0.5 })), clock, texts };
  }

  async function untilFailing(disk: SpoolDisk): Promise<void> {
    await assert.rejects(
      async () => {
        for (let i = 0; i < 1_000; i++) await disk.commit({ append: [newRecord(LOG_LANE, 'more')] }).done;
      },
      { code: 'unavailable', message: /^the spool's disk failed: Corruption/ },
    );
    assert.match(disk.stats().failing ?? '', /^the spool's disk fails: Corruption/);
    assert.throws(() => disk.commit({ append: [newRecord(LOG_LANE, 'x')] }), { code: 'unavailable' });
  }

  it('is repaired and goes on, with removals that were asked for meanwhile', async (t) => {
    const { disk, counts, clock, texts } = await openDamaged(t);
    await untilFailing(disk);
    const [first, second] = await disk.read(LOG_LANE, 0, 10_000);
    assert.ok(first !== undefined && second !== undefined);
    const removals = [first, second, first].map((record) =>
      disk.commit({ remove: [{ lane: LOG_LANE, records: [record] }] }),
    );
    assert.equal(counts.repaired, 0);
    await clock.advance(499);
    assert.notEqual(disk.stats().failing, undefined);
    await clock.advance(1);
    await eventually('the disk works again', () => disk.stats().failing === undefined);
    await Promise.all(removals.map(({ done }) => done));
    await disk.commit({ append: [newRecord(LOG_LANE, 'after')] }).done;
    assert.deepEqual([counts.failed, counts.repaired, counts.refused['failing']], [1, 1, 1]);
    assert.ok(counts.lost > 0 && counts.lost < 20, `${counts.lost} lost`);
    const { found, unreadable } = await drain(disk);
    const kept = [...texts].filter(([seq]) => seq !== first.seq && seq !== second.seq);
    assert.equal(
      kept.filter(([seq, text]) => found.get(seq) === text).length + unreadable,
      kept.length - counts.lost,
    );
    assert.ok(!found.has(first.seq) && !found.has(second.seq));
    assert.ok([...found.values()].includes('after'));
  });

  it('can be closed meanwhile, without leaving a timer or a promise', async (t) => {
    const { disk, clock } = await openDamaged(t);
    await untilFailing(disk);
    const [record] = await disk.read(LOG_LANE, 0, 1);
    assert.ok(record !== undefined);
    const { done } = disk.commit({ remove: [{ lane: LOG_LANE, records: [record] }] });
    await Promise.all([disk.close(), done]);
    assert.equal(clock.sleeping, 0);
  });
});

/** A copy with some bytes flipped, a part overwritten, or its end cut off. */
function damaged(random: Random, bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  const at = Math.floor(random() * copy.length);
  const kind = random();
  if (kind < 0.4) copy[at] = (copy[at] ?? 0) ^ (1 << Math.floor(random() * 8));
  else if (kind < 0.75)
    copy.fill(Math.floor(random() * 256), at, Math.min(copy.length, at + Math.floor(random() * 5_000)));
  else return copy.subarray(0, at);
  return copy;
}
