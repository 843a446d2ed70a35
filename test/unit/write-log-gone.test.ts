import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { all, defer, reject, some } from '../helpers/fake-guard.ts';
import { missing } from '../helpers/fake-writer.ts';
import { LINGER_MS, openUntilEnd as open, seqs } from '../helpers/write-log-rig.ts';

describe('write log: tables that are gone', () => {
  it('writes their rows when they are made again at once', async (t) => {
    const { clock, guard, writer, write } = open(t);
    writer.onWrite = () => (writer.writes.length === 1 ? missing('db', 'a') : 'stored');
    await write('a v=1 1', 'b v=1 1');
    await clock.advance(LINGER_MS);
    assert.deepEqual([writer.stored, guard.asked, guard.invalidated], [['a', 'b'], ['a'], ['db.a']]);
  });

  it('moves their rows to their lanes with the numbers they have, and later ones after them', async (t) => {
    const { log, clock, disk, guard, writer, write, counted } = open(t);
    guard.unknown.add('gone');
    guard.answer = () => all(defer('later'));
    await write('ok v=1 1');
    await write('gone v=1 1', 'ok v=2 2', 'gone v=2 2');
    await write('gone v=3 3');
    await clock.advance(LINGER_MS);
    assert.deepEqual(writer.stored, ['ok', 'ok']);
    assert.deepEqual(
      disk.content('gone').map(({ seq, rows }) => [seq, rows]),
      [
        [2, 2],
        [3, 1],
      ],
    );
    assert.deepEqual([seqs(disk, 'log'), log.isEmpty], [[], true]);
    assert.deepEqual(counted, ['2 to database', '2 to lane', '1 to lane', 'lane db.gone', 'lane db.gone']);
    // The table is there now, but its lane is not empty.
    guard.unknown.clear();
    await write('gone v=4 4', 'ok v=3 3');
    await clock.advance(LINGER_MS);
    assert.deepEqual(
      [writer.stored, seqs(disk, 'gone')],
      [
        ['ok', 'ok', 'ok'],
        [2, 3, 4],
      ],
    );
  });

  it('moves all rows of a table of which some have to wait, and keeps to what is refused for good', async (t) => {
    const { clock, disk, guard, writer, write, dead } = open(t);
    guard.unknown.add('m');
    guard.answer = ({ fields, tagSets }) =>
      some([fields[1]!, defer('column')], [tagSets[1] ?? tagSets[0]!, reject('never')]);
    await write('m v=1 1', 'm w=1 2', 'm,t=x v=1 3', 'ok v=1 1');
    await clock.advance(LINGER_MS);
    assert.deepEqual(writer.stored, ['ok']);
    assert.deepEqual(
      disk.content('m').map(({ rows }) => rows),
      [2],
    );
    const [rows] = dead;
    assert.ok(typeof rows === 'object');
    assert.deepEqual([rows.rows, rows.message, rows.reason], [[2], 'never', 'rejected']);
  });

  it('parks what is refused for good when the dead letter takes nothing', async (t) => {
    const rig = open(t);
    rig.full = true;
    rig.guard.unknown.add('bad');
    rig.guard.answer = () => all(reject('never'));
    await rig.write('bad v=1 1', 'ok v=1 1');
    await rig.clock.advance(LINGER_MS);
    assert.deepEqual([rig.writer.stored, seqs(rig.disk, 'bad'), seqs(rig.disk, 'log')], [['ok'], [1], []]);
  });

  it('moves the rows of a table that vanishes again and again', async (t) => {
    const { clock, disk, writer, write } = open(t);
    writer.onWrite = (tables) => (tables.includes('ghost') ? missing('db', 'ghost') : 'stored');
    await write('ok v=1 1', 'ghost v=1 1', 'other v=1 1');
    await clock.advance(LINGER_MS);
    assert.deepEqual([writer.stored, seqs(disk, 'ghost')], [['ok', 'other'], [1]]);
  });

  it('keeps rows that can not be moved because the disk fails, and moves them later', async (t) => {
    const { clock, disk, guard, write } = open(t);
    guard.unknown.add('gone');
    guard.answer = () => all(defer('later'));
    await write('gone v=1 1');
    disk.failing = 'no space';
    await clock.advance(LINGER_MS);
    assert.deepEqual([seqs(disk, 'log'), seqs(disk, 'gone')], [[1], []]);
    disk.failing = undefined;
    await clock.advance(10_000);
    assert.deepEqual([seqs(disk, 'log'), seqs(disk, 'gone')], [[], [1]]);
  });
});
