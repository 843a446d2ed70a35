import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { ADMIT, all } from '../helpers/fake-guard.ts';
import { FakeSpoolDisk } from '../helpers/fake-spool-disk.ts';
import { failed, faulty } from '../helpers/fake-writer.ts';
import { impossible } from '../helpers/ingest-rig.ts';
import { LINGER_MS, type LogRig, openUntilEnd as open, openLogRig, seqs } from '../helpers/write-log-rig.ts';

function signal(): AbortSignal {
  return new AbortController().signal;
}

describe('write log', () => {
  it('acknowledges what is synced, writes what gathered in one piece, and takes it off the disk', async (t) => {
    const { log, disk, clock, writer, write, counted } = open(t);
    disk.autoSync = false;
    let acknowledged = false;
    const first = write('a v=1 1').then(() => (acknowledged = true));
    const others = [write('b v=1 1'), write('c v=1 1')];
    await clock.settle();
    assert.equal(acknowledged, false);
    disk.autoSync = true;
    disk.sync();
    await Promise.all([first, ...others]);
    assert.equal(writer.writes.length, 0);
    assert.equal(log.drainedSeq, 1);
    await clock.advance(LINGER_MS);
    assert.deepEqual(
      writer.writes.map(({ tables }) => tables),
      [['a', 'b', 'c']],
    );
    assert.deepEqual(seqs(disk, 'log'), []);
    assert.deepEqual([log.isEmpty, log.drainedSeq], [true, Number.MAX_SAFE_INTEGER]);
    assert.deepEqual(counted, ['3 to database']);
  });

  it('writes at once when somebody waits for it, and says when it is done', async (t) => {
    const { log, clock, writer, write } = open(t);
    await write('a v=1 1');
    writer.onWrite = undefined;
    let drained = false;
    const waiting = log.drained(signal()).then(() => (drained = true));
    await clock.settle();
    assert.deepEqual([writer.writes.length, drained], [1, false]);
    await write('b v=1 1');
    writer.last.succeed();
    await waiting;
    assert.deepEqual(writer.stored, ['a']);
    writer.onWrite = () => 'stored';
  });

  it('lets go of one who waits no longer', async (t) => {
    const { log, write } = open(t);
    await write('a v=1 1');
    const gone = new AbortController();
    const waiting = log.drained(gone.signal);
    gone.abort(new Error('enough'));
    await assert.rejects(waiting, /enough/);
  });

  it('is drained when the rows are off the disk, too; who waits for that may give up', async (t) => {
    const { log, disk, clock, writer, write } = open(t);
    await write('a v=1 1');
    disk.autoSync = false;
    let drained = false;
    const waiting = log.drained(signal()).then(() => (drained = true));
    const gone = new AbortController();
    const givenUp = log.drained(gone.signal);
    await clock.settle();
    assert.deepEqual([writer.stored, drained], [['a'], false]);
    gone.abort(new Error('enough'));
    await assert.rejects(givenUp, /enough/);
    disk.sync();
    await waiting;
    disk.autoSync = true;
  });

  it('refuses what goes over the bound of the disk, and takes anything when that is empty', async (t) => {
    const { clock, writer, write, counted } = open(t, { maxBytes: 10 });
    writer.onWrite = undefined;
    await write('a v=1 1');
    await assert.rejects(write('a v=2 2'), { code: 'overload' });
    assert.deepEqual(counted, ['refused full']);
    await clock.advance(LINGER_MS);
    writer.last.succeed();
    await clock.settle();
    writer.onWrite = () => 'stored';
    await write('a v=2 2');
  });

  it('says so when the disk takes nothing', async (t) => {
    const { disk, write, counted } = open(t);
    disk.failing = 'no space';
    await assert.rejects(write('a v=1 1'), { code: 'unavailable' });
    assert.deepEqual(counted, ['refused failing']);
  });

  it('reads back from disk what memory has no room for, in order, also while more comes', async (t) => {
    const { log, disk, clock, writer, write } = open(t, { maxHeldBytes: 1 });
    writer.onWrite = undefined;
    for (let i = 0; i < 5; i++) await write(`t${i} v=1 1`);
    assert.equal(log.stats().reading, true);
    await clock.advance(LINGER_MS);
    assert.deepEqual(writer.last.tables, ['t0']);
    writer.last.succeed();
    await clock.settle();
    assert.deepEqual(writer.last.tables, ['t1', 't2', 't3', 't4']);
    await write('t5 v=1 1');
    await write('t6 v=1 1');
    writer.onWrite = () => 'stored';
    writer.last.succeed();
    await log.drained(signal());
    assert.deepEqual(writer.stored, ['t0', 't1', 't2', 't3', 't4', 't5', 't6']);
    assert.deepEqual([seqs(disk, 'log'), log.stats().heldBytes], [[], 0]);
  });

  it('closes with all of it written, or with the rest on disk for the next start', async () => {
    const first = openLogRig();
    await first.write('a v=1 1');
    await first.log.close();
    assert.deepEqual([first.writer.stored, seqs(first.disk, 'log')], [['a'], []]);
    await assert.rejects(first.write('a v=1 1'), { code: 'closed' });

    const { log, clock, disk, writer, write } = openLogRig();
    writer.onWrite = () => failed('transient');
    await write('a v=1 1', 'b v="s" 1');
    await write('a v=2 2');
    const closed = log.close();
    await clock.advance(5_000);
    await closed;
    assert.deepEqual(seqs(disk, 'log'), [1, 2]);

    const next = openLogRig({}, disk);
    next.guard.unknown.add('a');
    await next.log.drained(signal());
    assert.deepEqual(
      [next.writer.stored, next.guard.asked],
      [
        ['a', 'b', 'a'],
        ['a', 'a'],
      ],
    );
    assert.deepEqual(seqs(disk, 'log'), []);
    await next.log.close();
  });

  it('sends what it can not read to the dead letter, or leaves it where it is', async () => {
    const disk = new FakeSpoolDisk();
    const first = openLogRig({}, disk);
    first.writer.onWrite = () => failed('transient');
    for (const line of ['a v=1 1', 'b v=1 1']) await first.write(line);
    const closed = first.log.close();
    await first.clock.advance(5_000);
    await closed;
    disk.damaged.add(1);
    const full = openLogRig({}, disk);
    full.full = true;
    await full.log.drained(signal());
    await full.log.close();
    assert.deepEqual([full.writer.stored, seqs(disk, 'log')], [['b'], [1]]);
    const next = openLogRig({}, disk);
    await next.log.drained(signal());
    await next.log.close();
    assert.deepEqual([next.dead.length, seqs(disk, 'log')], [1, []]);
  });
});

/** What happens to a log: writes, time in milliseconds, the database fails or works again, the gateway starts anew. */
const histories = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: fc.constant('write' as const) },
    { weight: 3, arbitrary: fc.constantFrom(10, 1_000) },
    { weight: 3, arbitrary: fc.constantFrom('down' as const, 'up' as const) },
    { weight: 1, arbitrary: fc.constant('start' as const) },
  ),
  { minLength: 10, maxLength: 80 },
);
/** A batch takes about 10,000 bytes of memory, a record 52 on disk. */
const bounds = fc.record({
  maxHeldBytes: fc.constantFrom(1, 25_000, 65_000),
  readBytes: fc.constantFrom(1, 60, 200, 2 ** 20),
});

describe('write log: any history', () => {
  it('brings every row into the database once and in order, whatever fits into memory and a read', async () => {
    const property = fc.asyncProperty(histories, bounds, async (history, options) => {
      const disk = new FakeSpoolDisk();
      const stored: string[] = [];
      let down = false;
      let rows = 0;
      const start = (): LogRig => {
        const started = openLogRig(options, disk);
        started.writer.onWrite = () => (down ? failed('transient') : 'stored');
        return started;
      };
      let rig = start();
      const stop = async (): Promise<void> => {
        const closed = rig.log.close();
        await rig.clock.advance(10_000);
        await closed;
        stored.push(...rig.writer.stored);
      };
      for (const step of [...history, 'up' as const, 60_000]) {
        if (step === 'write') await rig.write(`t${rows++} v=1 1`);
        else if (step === 'down' || step === 'up') down = step === 'down';
        else if (step === 'start') {
          await stop();
          rig = start();
        } else await rig.clock.advance(step);
        const front = disk.content('log')[0]?.seq;
        if (front !== undefined) assert.ok(rig.log.drainedSeq <= front);
      }
      await rig.log.drained(signal());
      assert.deepEqual([rig.log.isEmpty, rig.log.stats().heldBytes], [true, 0]);
      await stop();
      assert.deepEqual(
        stored,
        Array.from({ length: rows }, (_, i) => `t${i}`),
      );
      assert.deepEqual(seqs(disk, 'log'), []);
    });
    await fc.assert(property, { numRuns: 100 });
  });
});

describe('write log: the database fails', () => {
  for (const kind of ['transient', 'denied', 'ambiguous'] as const) {
    it(`tries the same rows again before all others (${kind})`, async (t) => {
      const { log, clock, writer, write, counted } = open(t);
      writer.onWrite = () => failed(kind, 'away');
      await write('a v=1 1');
      await clock.advance(LINGER_MS);
      await write('b v=1 1');
      assert.equal(log.stats().stalled, 'away');
      writer.onWrite = () => 'stored';
      await clock.advance(10_000);
      assert.deepEqual(writer.stored, ['a', 'b']);
      assert.equal(log.stats().stalled, undefined);
      assert.deepEqual(counted, ['retried', '1 to database', '1 to database']);
    });
  }

  it('moves the rows of tables that alone are at odds with it to their lanes, and writes the others at once', async (t) => {
    const { log, clock, disk, guard, writer, write, counted } = open(t);
    writer.onWrite = (tables) => (tables.includes('odd') ? faulty('db', 'odd') : 'stored');
    await write('ok v=1 1', 'odd v=1 1');
    await write('odd v=2 2', 'other v=1 1');
    await clock.advance(LINGER_MS);
    assert.deepEqual([writer.stored, writer.writes.length], [['ok', 'other'], 2]);
    assert.deepEqual([seqs(disk, 'odd'), seqs(disk, 'log'), log.stats().stalled], [[1, 2], [], undefined]);
    assert.deepEqual([guard.invalidated, counted.includes('retried')], [[], false]);
  });

  it('tries again later when it blames tables that nobody writes to', async (t) => {
    const { clock, writer, write, counted } = open(t);
    writer.onWrite = () => (writer.writes.length === 1 ? faulty('db', 'elsewhere') : 'stored');
    await write('a v=1 1');
    await clock.advance(10_000);
    assert.deepEqual([writer.stored, counted], [['a'], ['retried', '1 to database']]);
  });

  it('goes on waiting while the guard can not tell', async (t) => {
    const { clock, guard, writer, write, disk } = open(t);
    guard.unknown.add('a');
    const down = { kind: 'deferred', reason: 'database_down', message: 'down', retryAfterMs: 1 } as const;
    guard.answer = () => all(down);
    await write('a v=1 1');
    await clock.advance(LINGER_MS);
    assert.deepEqual([writer.writes.length, seqs(disk, 'log'), seqs(disk, 'a')], [0, [1], []]);
    guard.answer = () => ADMIT;
    await clock.advance(10_000);
    assert.deepEqual(writer.stored, ['a']);
  });
});

describe('write log: values that the database can not hold', () => {
  it('go to the dead letter when an earlier run has left them, and nobody is asked about their tables', async (t) => {
    const disk = new FakeSpoolDisk();
    const earlier = openLogRig({ closeMs: 0 }, disk);
    earlier.writer.onWrite = () => failed('transient', 'away');
    await earlier.write('odd v=1 1', 'odd v=2 2', 'ok v=1 1');
    const closed = earlier.log.close();
    await earlier.clock.advance(1_000);
    await closed;
    const { clock, guard, writer, dead, counted } = open(t, {}, disk, impossible(0, 1));
    guard.unknown.add('odd');
    guard.answer = () => assert.fail('asked');
    await clock.advance(LINGER_MS);
    assert.deepEqual([writer.stored, seqs(disk, 'log')], [['ok'], []]);
    assert.deepEqual(
      dead.map((rows) => typeof rows === 'object' && [rows.rows, rows.reason, rows.message]),
      [[[0, 1], 'rejected', 'no']],
    );
    assert.deepEqual(counted, ['1 to database', '2 to dead_letter']);
  });
});
