import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { GatewayError } from '../../src/errors.ts';
import { ADMIT, all, defer, reject, some } from '../helpers/fake-guard.ts';
import { failed, faulty } from '../helpers/fake-writer.ts';
import { createIngestRig, type IngestSetup, impossible, stored } from '../helpers/ingest-rig.ts';

let { clock, guard, writer, flush, parking, log, dead, counted, send, submit, unknown, answerBy } =
  createIngestRig();

function make(setup?: IngestSetup): void {
  ({ clock, guard, writer, flush, parking, log, dead, counted, send, submit, unknown, answerBy } =
    createIngestRig(setup));
}

describe('ingest: parking', () => {
  beforeEach(() => make({ parks: true }));

  it('keeps rows that have to wait on disk, beside those that are written', async () => {
    unknown('new', 'bad');
    answerBy({ new: () => all(defer('later')), bad: () => all(reject('no')) });
    writer.onWrite = undefined;
    parking.hold = true;
    const result = send('ok v=1 1', 'new v=1 1', 'bad v=1 1', 'new v=2 2');
    await clock.settle();
    assert.deepEqual([parking.waiting, writer.writes.length], [1, 1]);
    writer.last.succeed();
    await clock.settle();
    parking.end();
    const { stored, parked, rejected, deferred, deferral } = await result;
    assert.deepEqual([stored, parked, rejected, deferred, deferral], [1, 2, 1, 0, undefined]);
    assert.deepEqual([parking.parked, writer.stored], [['new', 'new'], ['ok']]);
    assert.deepEqual(counted, ['rejected denied_name 1']);
  });

  it('parks nothing that has to be created for a sender who may not create', async () => {
    unknown('new');
    answerBy({ new: () => all(defer('later')) });
    const result = await submit(['new v=1 1', 'ok v=1 1'], { mayCreate: false });
    assert.deepEqual([result.stored, result.parked, result.deferred, parking.parked], [1, 0, 1, []]);
  });

  it('tells the sender of the rows that parking did not take', async () => {
    unknown('new', 'other');
    answerBy({ new: () => all(defer('later', 700)), other: () => all(defer('later', 700)) });
    parking.refuses.add('other');
    const result = await send('other v=1 1', 'ok v=1 1', 'new v=1 1');
    assert.deepEqual([result.stored, result.parked, result.deferred], [1, 1, 1]);
    assert.deepEqual(result.deferral, { reason: 'ddl_pending', message: 'later', retryAfterMs: 700 });
    assert.deepEqual(counted, ['deferred ddl_pending 1']);
  });

  it('parks the later rows of a table, too, once one of its rows has to wait', async () => {
    unknown('m');
    answerBy({ m: ({ fields }) => some([fields[1]!, defer('column')]) });
    const result = await send('m v=1 1', 'm w=1 2', 'm v=1 3', 'ok v=1 1');
    assert.deepEqual([result.stored, result.parked, parking.rows], [2, 2, [1, 2]]);
  });

  it('parks new rows of a table of which earlier ones wait, also when it is ready; but refuses what it must', async () => {
    parking.held.add('m');
    unknown('n');
    parking.held.add('n');
    answerBy({ n: ({ fields }) => some([fields[1]!, reject('never')]) });
    const result = await send('m v=1 1', 'ok v=1 1', 'n v=1 1', 'n w=1 2');
    assert.deepEqual([result.stored, result.parked, result.rejected], [1, 2, 1]);
    assert.deepEqual([parking.parked, guard.waits], [['m', 'n'], [0]]);
  });

  it('parks rows of a table of which others were parked while the guard was asked', async () => {
    unknown('m');
    answerBy({
      m: () => {
        parking.held.add('m');
        return ADMIT;
      },
    });
    assert.equal((await send('m v=1 1')).parked, 1);
  });

  for (const kind of ['transient', 'denied', 'ambiguous'] as const) {
    it(`parks what could not be written (${kind})`, async () => {
      writer.onWrite = () => failed(kind, 'away');
      const result = await send('ok v=1 1', 'b v=1 1');
      assert.deepEqual([result.stored, result.parked, result.deferred], [0, 2, 0]);
      assert.deepEqual(parking.parked, ['ok', 'b']);
    });
  }

  it('parks only the rows of tables that alone could not be written', async () => {
    writer.onWrite = (tables) => (tables.includes('odd') ? faulty('db', 'odd') : 'stored');
    const result = await send('ok v=1 1', 'odd v=1 1', 'ok v=1 2');
    assert.deepEqual([result.stored, result.parked, result.deferred], [2, 1, 0]);
    assert.deepEqual([parking.parked, writer.stored], [['odd'], ['ok', 'ok']]);
  });

  it('refuses values that the database can not hold, and never parks them', async () => {
    make({ parks: true, values: impossible(0, 2) });
    unknown('new');
    parking.held.add('held');
    answerBy({ new: () => all(defer('later')) });
    writer.onWrite = () => failed('transient', 'away');
    for (const table of ['new', 'held', 'ok']) {
      const { parked, rejected, deferred } = await send(...[1, 2, 3, 4].map((i) => `${table} v=1 ${i}`));
      assert.deepEqual([parked, rejected, deferred], [2, 2, 0]);
    }
    assert.deepEqual(parking.rows, [1, 3, 1, 3, 1, 3]);
  });

  it('does not park what was not taken because too much waits', async () => {
    make({ parks: true, maxPendingBytes: 10 });
    writer.onWrite = undefined;
    const first = send('ok v=1 1');
    await clock.settle();
    const second = await send('ok v=1 1');
    assert.deepEqual([second.deferral?.reason, parking.parked], ['overload', []]);
    writer.last.succeed();
    await first;
  });

  it('parks nothing for a sender that wants storage to acknowledge', async () => {
    unknown('new');
    answerBy({ new: () => all(defer('later')) });
    parking.held.add('m');
    const result = await submit(['new v=1 1', 'm v=1 1', 'ok v=1 1'], { sync: true });
    assert.deepEqual([result.stored, result.deferred, parking.parked], [1, 2, []]);
    assert.deepEqual(counted, ['deferred ddl_pending 1', 'deferred parked 1']);
  });

  it('waits for what is being parked also when the rest fails', async () => {
    unknown('new');
    answerBy({ new: () => all(defer('later')) });
    parking.hold = true;
    await flush.close();
    let ended = false;
    const rejection = assert.rejects(
      send('new v=1 1', 'ok v=1 1').finally(() => (ended = true)),
      { code: 'closed' },
    );
    await clock.settle();
    assert.equal(ended, false);
    parking.end();
    await rejection;
  });

  it('copies rows that are refused to the dead letter, by reason', async () => {
    unknown('bad', 'worse');
    answerBy({ bad: () => all(reject('no')), worse: () => all(reject('never')) });
    await send('bad v=1 1', 'worse v=1 1', 'ok v=1 1', 'bad v=2 2');
    assert.deepEqual(
      dead.map(({ rows, reason, message }) => [rows, reason, message]),
      [
        [[0, 3], 'rejected', 'no'],
        [[1], 'rejected', 'never'],
      ],
    );
  });
});

describe('ingest: the log acknowledges', () => {
  beforeEach(() => make({ parks: true, ack: 'log' }));

  it('hands over what may be written and does not wait for the database', async () => {
    unknown('new');
    answerBy({ new: () => all(defer('later')) });
    const result = await send('ok v=1 1', 'new v=1 1');
    assert.deepEqual([result.stored, result.parked], [1, 1]);
    assert.deepEqual([log.written, parking.parked, writer.writes], [['ok'], ['new'], []]);
  });

  for (const [code, reason] of [
    ['overload', 'overload'],
    ['unavailable', 'spool_failing'],
  ] as const) {
    it(`asks for all rows again that the log did not take (${code})`, async () => {
      log.failure = new GatewayError(code, 'full');
      const result = await send('ok v=1 1', 'ok v=1 2');
      assert.deepEqual([result.deferred, result.deferral?.reason, parking.parked], [2, reason, []]);
    });
  }

  it('refuses values that the database can not hold, and never hands them over', async () => {
    make({ parks: true, ack: 'log', values: impossible(1) });
    const { stored, rejected, refusals } = await send('ok v=1 1', 'odd v=1 1', 'ok v=1 2');
    assert.deepEqual([stored, rejected, log.written], [2, 1, ['ok', 'ok']]);
    assert.equal(refusals[0]?.reason, 'impossible_value');
  });

  it('writes to the database behind all that was acknowledged, if the sender wants that', async () => {
    log.isEmpty = false;
    const result = submit(['ok v=1 1'], { sync: true });
    await clock.settle();
    assert.deepEqual([log.waiting, writer.writes.length], [1, 0]);
    log.end();
    assert.deepEqual(await result, stored(1));
    assert.deepEqual([log.written, writer.stored], [[], ['ok']]);
  });

  it('writes behind what an earlier run left in the log, when the database acknowledges', async () => {
    make({ ack: 'database' });
    log.isEmpty = false;
    const result = send('ok v=1 1');
    await clock.settle();
    assert.equal(writer.writes.length, 0);
    log.end();
    assert.deepEqual(await result, stored(1));
  });

  it('does not wait for ever for what was acknowledged before: the sender is told, or the rows are parked', async () => {
    log.isEmpty = false;
    const sync = submit(['ok v=1 1'], { sync: true });
    await clock.settle();
    await clock.advance(30_000);
    const { deferred, deferral } = await sync;
    assert.deepEqual([deferred, deferral?.reason, log.written], [1, 'database_down', []]);
    make({ parks: true, ack: 'database' });
    log.isEmpty = false;
    const behind = send('ok v=1 1');
    await clock.settle();
    await clock.advance(30_000);
    assert.deepEqual([(await behind).parked, parking.parked, writer.writes.length], [1, ['ok'], 0]);
  });
});
