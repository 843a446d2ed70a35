/** The dead letter's folder: what is acknowledged is there, within its bound, through trouble of every kind. */
import assert from 'node:assert/strict';
import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { GatewayError } from '../../src/errors.ts';
import { bodiesIn, deadRows, openRig, readAll, simplePoint } from '../helpers/dead-letter.ts';
import { temporaryFolder } from '../helpers/gateway.ts';

const [FIRST, SECOND, THIRD] = [1, 2, 3].map((n) => `dead-letter-00000${n}.lp`) as [string, string, string];
const one = (value: number): ReturnType<typeof deadRows> => deadRows([simplePoint('m', value)]);
const line = (value: number): string => `m v=${value}i 5\n`;
const unavailable = (message: RegExp) => (error: unknown) =>
  error instanceof GatewayError && error.code === 'unavailable' && message.test(error.message);

describe('the dead letter', () => {
  it('has what was added, in order, in one file', async (t) => {
    const path = join(temporaryFolder(t), 'deep', 'er');
    const { letter, events, files } = await openRig(path);
    assert.deepEqual(readdirSync(join(path, '..', '..')), []);
    await letter.add(one(1));
    await Promise.all([2, 3, 4].map((value) => letter.add(one(value))));
    await letter.add(deadRows([]));
    assert.deepEqual(await bodiesIn(path), [1, 2, 3, 4].map(line));
    assert.deepEqual([...(await files()).keys()], [FIRST]);
    assert.deepEqual(
      events,
      Array.from({ length: 4 }, () => 'added rejected 1'),
    );
  });

  it('never forgets what is added just when it ends its work', async (t) => {
    const path = temporaryFolder(t);
    const added: Promise<void>[] = [];
    const { letter } = await openRig(path, {}, () => {
      if (added.length < 20) added.push(addAfter(added.length));
    });
    const addAfter = async (turns: number): Promise<void> => {
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      await letter.add(one(turns));
    };
    await letter.add(one(-1));
    for (let i = 0; i < 20; i++) await added[i];
    assert.equal((await readAll(path)).length, 21);
  });

  it('begins another file when one is large enough, and after a restart', async (t) => {
    const path = temporaryFolder(t);
    const { letter, files } = await openRig(path, { fileBytes: 700 });
    for (const value of [1, 2, 3]) await letter.add(one(value));
    await letter.close();
    const again = await openRig(path, { fileBytes: 10_000 });
    await again.letter.add(one(4));
    assert.deepEqual([...(await files()).keys()], [FIRST, SECOND, THIRD]);
    assert.deepEqual(await bodiesIn(path), [1, 2, 3, 4].map(line));
    assert.deepEqual(again.letter.stats().files, 3);
  });

  it('never writes behind an entry that a crash cut off', async (t) => {
    const path = temporaryFolder(t);
    const { letter } = await openRig(path);
    await letter.add(one(1));
    await letter.add(one(2));
    await letter.close();
    truncateSync(join(path, FIRST), 500);
    const again = await openRig(path);
    await again.letter.add(one(3));
    assert.deepEqual(await bodiesIn(path), [line(1), 'torn', line(3)]);
  });

  it('keeps what it has when it is full, and takes more once there is room', async (t) => {
    const path = temporaryFolder(t);
    const { letter, clock, events, files } = await openRig(path, { maxBytes: 700, fileBytes: 1 });
    await letter.add(one(1));
    await letter.add(one(2));
    await assert.rejects(letter.add(deadRows([simplePoint('a'), simplePoint('b')])), unavailable(/is full/));
    await assert.rejects(letter.addRaw(Buffer.from('x'), 'broken'), unavailable(/is full/));
    assert.deepEqual(events.slice(2), ['refused rejected 2', 'refused unreadable 1']);
    rmSync(join(path, FIRST));
    await clock.advance(1_000);
    await letter.add(one(3));
    assert.deepEqual([...(await files()).keys()], [SECOND, THIRD]);
  });

  it('gives up its oldest files when it is told to, even the one that it writes', async (t) => {
    const path = temporaryFolder(t);
    const { letter, events } = await openRig(path, { maxBytes: 700, fileBytes: 1, whenFull: 'drop-oldest' });
    for (const value of [1, 2, 3]) await letter.add(one(value));
    assert.deepEqual(await bodiesIn(path), [2, 3].map(line));
    await assert.rejects(letter.add(deadRows([simplePoint('x'.repeat(800))])), unavailable(/is full/));
    assert.deepEqual(await bodiesIn(path), [2, 3].map(line));
    const wide = await openRig(path, { maxBytes: 1_000, whenFull: 'drop-oldest' });
    await wide.letter.add(one(4));
    await wide.letter.add(deadRows([1, 2, 3, 4, 5, 6].map((value) => simplePoint('m'.repeat(60), value))));
    await wide.letter.add(one(5));
    assert.deepEqual((await bodiesIn(path)).at(-1), line(5));
    assert.deepEqual(
      events.filter((event) => !event.startsWith('added')),
      ['dropped 1', 'the dead letter is full: dropped its oldest file', 'refused rejected 1'],
    );
  });

  it('does not drop a file that is being replayed', async (t) => {
    const path = temporaryFolder(t);
    const { letter } = await openRig(path, { maxBytes: 700, fileBytes: 1, whenFull: 'drop-oldest' });
    for (const value of [1, 2]) await letter.add(one(value));
    renameSync(join(path, FIRST), join(path, 'dead-letter-000001.replay'));
    await letter.add(one(3));
    assert.deepEqual(await bodiesIn(path), [1, 3].map(line));
  });

  it('does not write to a file that a replay took', async (t) => {
    const path = temporaryFolder(t);
    const { letter } = await openRig(path);
    await letter.add(one(1));
    renameSync(join(path, FIRST), join(path, 'dead-letter-000001.replay'));
    const taken = (await readAll(path)).length;
    await letter.add(one(2));
    assert.equal(taken, 1);
    rmSync(join(path, 'dead-letter-000001.replay'));
    assert.deepEqual(await bodiesIn(path), [line(2)]);
  });

  it('refuses while the disk fails and works again when it does', async (t) => {
    const path = join(temporaryFolder(t), 'folder');
    const { letter, events } = await openRig(path);
    await letter.add(one(1));
    renameSync(path, `${path}-away`);
    writeFileSync(path, 'no folder');
    for (const value of [2, 3])
      await assert.rejects(letter.add(one(value)), unavailable(/can not be written: E(NOTDIR|EXIST)/));
    assert.match(letter.stats().failing ?? '', /E(NOTDIR|EXIST)/);
    rmSync(path);
    renameSync(`${path}-away`, path);
    await letter.add(one(4));
    // What was refused is cut off again.
    assert.deepEqual(await bodiesIn(path), [line(1), line(4)]);
    assert.equal(letter.stats().failing, undefined);
    assert.deepEqual(events, [
      'added rejected 1',
      'the dead letter can not be written',
      'refused rejected 1',
      'refused rejected 1',
      'added rejected 1',
    ]);
  });

  it('tells how much there is, also after others removed files', async (t) => {
    const path = temporaryFolder(t);
    const { letter, clock, files } = await openRig(path);
    await letter.add(one(1));
    const bytes = [...(await files()).values()].join('').length;
    assert.deepEqual(letter.stats(), { files: 1, bytes, pendingBytes: 0, failing: undefined });
    rmSync(join(path, FIRST));
    await clock.advance(1_000);
    letter.stats();
    await letter.close();
    assert.deepEqual(letter.stats(), { files: 0, bytes: 0, pendingBytes: 0, failing: undefined });
  });

  it('leaves other files alone', async (t) => {
    const path = temporaryFolder(t);
    mkdirSync(join(path, 'sub'));
    for (const name of ['dead-letter-x.lp', 'dead-letter-000007.lp.bak', 'notes'])
      appendFileSync(join(path, name), 'x');
    const { letter, files } = await openRig(path, { maxBytes: 500, whenFull: 'drop-oldest' });
    for (const value of [1, 2]) await letter.add(one(value));
    assert.deepEqual([...(await files()).keys()].length, 1);
    assert.equal(readdirSync(path).length, 5);
  });

  it('finishes what it was given when it is closed, and refuses what comes later', async (t) => {
    const path = temporaryFolder(t);
    const { letter } = await openRig(path);
    const added = letter.add(one(1));
    await Promise.all([letter.close(), letter.close()]);
    await added;
    assert.deepEqual(await bodiesIn(path), [line(1)]);
    await assert.rejects(letter.add(one(2)), { code: 'closed' });
  });
});
