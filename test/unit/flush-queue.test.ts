import assert from 'node:assert/strict';
import { beforeEach, describe, it, type TestContext } from 'node:test';
import { GatewayError } from '../../src/errors.ts';
import type { PointBatch } from '../../src/model/point-batch.ts';
import { WriteError, type WriteFailure } from '../../src/model/sink.ts';
import { createFlushQueue, type FlushQueue } from '../../src/sink/flush-queue.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { FakeWriter, failed, faulty, missing } from '../helpers/fake-writer.ts';
import { SILENT } from '../helpers/guard-rig.ts';
import { createTestSource } from '../helpers/points.ts';

const TIMEOUT_MS = 1_000;

let clock: FakeClock;
let writer: FakeWriter;
let queue: FlushQueue;
let counted: string[];

function makeQueue(maxPendingBytes = 1_000): void {
  queue = createFlushQueue(
    { maxPendingBytes, timeoutMs: TIMEOUT_MS },
    {
      writer,
      clock,
      logger: SILENT,
      sampler: { sample: (_kind, write) => write(0) },
      metrics: {
        flushed: (batches, rows, ms) => counted.push(`flushed ${batches} ${rows} ${ms}`),
        flushFailed: (kind) => counted.push(kind),
        flushRefused: () => counted.push('refused'),
      },
    },
  );
}

beforeEach(() => {
  clock = new FakeClock();
  writer = new FakeWriter();
  counted = [];
  makeQueue();
});

/** A row for each of the tables; the body has the given length. */
function batchOf(tables: string, bytes = 10): PointBatch {
  const source = createTestSource('db');
  const points = tables.split(' ').map((table) => ({ table, fields: [['v', ['float64', 1]]] as const }));
  const batch = source.batch(points);
  batch.body = new Uint8Array(bytes);
  return batch;
}

/** How a write ended, once it has. */
function fateOf(written: Promise<void>): { now: string } {
  const fate = { now: 'waiting' };
  written.then(
    () => (fate.now = 'stored'),
    (error: unknown) => {
      if (error instanceof WriteError) fate.now = error.failure.kind;
      else fate.now = error instanceof GatewayError ? error.code : String(error);
    },
  );
  return fate;
}

function write(tables: string, bytes?: number): { now: string } {
  return fateOf(queue.write(batchOf(tables, bytes)));
}

/** Moves the time on; the queue's own timer and the clock. */
async function pass(t: TestContext, ms: number): Promise<void> {
  t.mock.timers.tick(ms);
  await clock.advance(ms);
}

describe('flush queue', () => {
  it('writes the batches of one call in one flush, in their order, all of them or none', async () => {
    const first = write('z');
    const together = fateOf(queue.writeAll([batchOf('a'), batchOf('b'), batchOf('c')]));
    const other = write('d');
    writer.last.succeed();
    await clock.settle();
    assert.deepEqual(writer.last.tables, ['a', 'b', 'c', 'd']);
    writer.last.fail(missing('db', 'b'));
    await clock.settle();
    assert.deepEqual([first.now, together.now, writer.last.tables], ['stored', 'missing', ['d']]);
    writer.last.succeed();
    await clock.settle();
    assert.deepEqual([other.now, queue.stats().pendingBatches, queue.stats().pendingBytes], ['stored', 0, 0]);
  });

  it('writes to an idle sink at once, gathers while a flush runs, and answers each batch with its own flush', async () => {
    const first = write('a');
    const others = ['b', 'c b', 'd'].map((tables) => write(tables));
    assert.deepEqual(writer.last.tables, ['a']);
    assert.deepEqual(queue.stats(), { pendingBytes: 40, pendingBatches: 4, failing: undefined });
    await clock.advance(5);
    writer.last.succeed();
    await clock.settle();
    assert.equal(first.now, 'stored');
    assert.deepEqual(writer.last.tables, ['b', 'c', 'b', 'd']);
    assert.deepEqual(
      others.map(({ now }) => now),
      ['waiting', 'waiting', 'waiting'],
    );
    writer.last.succeed();
    await clock.settle();
    assert.deepEqual(
      others.map(({ now }) => now),
      ['stored', 'stored', 'stored'],
    );
    assert.equal(writer.writes.length, 2);
    assert.deepEqual(counted, ['flushed 1 1 5', 'flushed 3 4 0']);
    assert.deepEqual(queue.stats(), { pendingBytes: 0, pendingBatches: 0, failing: undefined });
  });

  it('refuses what is over its bound, but takes one batch of any size when it is empty', async () => {
    const huge = write('a', 5_000);
    const refused = write('b', 1);
    await clock.settle();
    assert.equal(refused.now, 'overload');
    writer.last.succeed();
    await clock.settle();
    assert.equal(huge.now, 'stored');
    write('c', 999);
    const fits = write('d', 1);
    assert.equal(queue.stats().pendingBytes, 1_000);
    writer.last.succeed();
    await clock.settle();
    writer.last.succeed();
    await clock.settle();
    assert.equal(fits.now, 'stored');
    assert.equal(counted.filter((what) => what === 'refused').length, 1);
  });

  it('writes a long queue in order, in flushes of at most 16 MiB or one batch', async () => {
    const mib = 2 ** 20;
    makeQueue(100 * mib);
    const sizes = [1, 10, 6, 1, 20, 1];
    for (const [i, size] of sizes.entries()) void queue.write(batchOf(`t${i}`, size * mib));
    for (let ended = 0; ended < 4; ended++) {
      writer.last.succeed();
      await clock.settle();
    }
    writer.last.succeed();
    await queue.close();
    assert.deepEqual(
      writer.writes.map(({ tables }) => tables),
      [['t0'], ['t1', 't2'], ['t3'], ['t4'], ['t5']],
    );
  });

  for (const kind of ['transient', 'denied', 'ambiguous'] as const) {
    it(`tells all batches of a flush that failed (${kind}), fails health with it, and goes on`, async () => {
      write('a');
      const both = [write('b'), write('c')];
      writer.last.succeed();
      await clock.settle();
      writer.last.fail(failed(kind, 'no luck'));
      await clock.settle();
      assert.deepEqual(
        both.map(({ now }) => now),
        [kind, kind],
      );
      assert.equal(queue.stats().failing, 'no luck');
      const next = write('d');
      writer.last.succeed();
      await clock.settle();
      assert.equal(next.now, 'stored');
      assert.deepEqual(queue.stats(), { pendingBytes: 0, pendingBatches: 0, failing: undefined });
      assert.equal(counted[1], kind);
    });
  }

  it('takes an unforeseen failure for one that may have written', async () => {
    const fate = write('a');
    writer.last.fail(new TypeError('oops'));
    await clock.settle();
    assert.equal(fate.now, 'ambiguous');
    assert.equal(queue.stats().failing, 'oops');
  });

  it('no longer calls the sink failing when nobody has tried for 10 s, or nobody would be sent to try', async () => {
    write('a');
    writer.last.fail(failed('transient'));
    await clock.advance(9_999);
    assert.equal(queue.stats().failing, 'transient');
    await clock.advance(1);
    assert.equal(queue.stats().failing, undefined);
  });

  it('closes when all that was taken is written, and takes nothing more', async () => {
    const taken = [write('a'), write('b')];
    const closing = [fateOf(queue.close()), fateOf(queue.close())];
    const late = write('c');
    await clock.settle();
    assert.deepEqual([late.now, ...closing.map(({ now }) => now)], ['closed', 'waiting', 'waiting']);
    for (let i = 0; i < 2; i++) {
      writer.last.succeed();
      await clock.settle();
    }
    assert.deepEqual(
      [...taken, ...closing].map(({ now }) => now),
      ['stored', 'stored', 'stored', 'stored'],
    );
  });
});

describe('flush queue: missing tables', () => {
  /** `bad` is never there. */
  function withoutBad(tables: readonly string[]): WriteFailure | 'stored' {
    return tables.includes('bad') ? missing('db', 'bad') : 'stored';
  }

  it('tells only those that write to them, and writes the others at once', async () => {
    writer.onWrite = withoutBad;
    const fates = ['first', 'a', 'a bad', 'b', 'bad'].map((tables) => write(tables));
    await queue.close();
    await clock.settle();
    assert.deepEqual(
      fates.map(({ now }) => now),
      ['stored', 'stored', 'missing', 'stored', 'missing'],
    );
    assert.deepEqual(writer.stored, ['first', 'a', 'b']);
    assert.equal(writer.writes.length, 3);
    assert.deepEqual(queue.stats(), { pendingBytes: 0, pendingBatches: 0, failing: undefined });
  });

  it('does not blame a batch whose rows of that table are skipped', async () => {
    writer.onWrite = withoutBad;
    write('first');
    const batch = batchOf('a bad');
    batch.skipRow(1);
    const fates = [fateOf(queue.write(batch)), write('bad')];
    await queue.close();
    await clock.settle();
    assert.deepEqual(
      fates.map(({ now }) => now),
      ['stored', 'missing'],
    );
  });

  it('tells everybody when nobody writes to them, instead of trying for ever', async () => {
    writer.onWrite = () => missing('db', 'other');
    const fate = write('a');
    await clock.settle();
    assert.equal(fate.now, 'missing');
    assert.equal(writer.writes.length, 1);
  });

  it('take back that the sink is failing, for it answers', async () => {
    write('a');
    writer.last.fail(failed('transient'));
    await clock.settle();
    write('a');
    writer.last.fail(missing('db', 'a'));
    await clock.settle();
    assert.equal(queue.stats().failing, undefined);
  });
});

describe('flush queue: tables at fault', () => {
  it('fail those that write to them, without calling the sink failing, and the others are written', async () => {
    writer.onWrite = (tables) => (tables.includes('bad') ? faulty('db', 'bad') : 'stored');
    const fates = ['first', 'a', 'a bad', 'b'].map((tables) => write(tables));
    await queue.close();
    await clock.settle();
    assert.deepEqual(
      fates.map(({ now }) => now),
      ['stored', 'stored', 'transient', 'stored'],
    );
    assert.equal(queue.stats().failing, undefined);
  });
});

describe('flush queue: a writer that takes too long', () => {
  beforeEach((t) => (t as TestContext).mock.timers.enable({ apis: ['setTimeout'] }));

  it('answers all who wait, marks their batches as in use, and refuses more until it has let go', async (t) => {
    const batch = batchOf('a');
    const fate = fateOf(queue.write(batch));
    const waiting = write('b');
    const { signal } = writer.last;
    await pass(t, TIMEOUT_MS - 1);
    assert.deepEqual([fate.now, signal.aborted], ['waiting', false]);
    await pass(t, 1);
    assert.deepEqual([fate.now, waiting.now], ['ambiguous', 'transient']);
    assert.deepEqual([signal.aborted, batch.users], [true, 1]);
    assert.deepEqual(queue.stats(), {
      pendingBytes: 10,
      pendingBatches: 1,
      failing: 'the database did not answer within 1000 ms',
    });
    const refused = write('c');
    await pass(t, 60_000);
    assert.equal(refused.now, 'transient');
    assert.notEqual(queue.stats().failing, undefined, 'for as long as it does not answer');
    assert.equal(writer.writes.length, 1);
    assert.deepEqual(counted, ['ambiguous']);
  });

  for (const end of ['succeeds', 'fails'] as const) {
    it(`goes on when that flush ${end} in the end`, async (t) => {
      const batch = batchOf('a');
      const fate = fateOf(queue.write(batch));
      await pass(t, TIMEOUT_MS);
      if (end === 'succeeds') writer.last.succeed();
      else writer.last.fail(missing('db', 'a'));
      await clock.settle();
      assert.deepEqual([fate.now, batch.users, queue.stats().pendingBytes], ['ambiguous', 0, 0]);
      assert.equal(queue.stats().failing === undefined, end === 'succeeds');
      const next = write('b');
      assert.equal(writer.last.signal.aborted, false);
      writer.last.succeed();
      await clock.settle();
      assert.equal(next.now, 'stored');
      assert.equal(queue.stats().failing, undefined);
    });
  }

  it('keeps no timer of a flush that ended in time', async (t) => {
    const fates = [write('a')];
    writer.last.succeed();
    await clock.settle();
    await pass(t, TIMEOUT_MS - 1);
    fates.push(write('b'));
    await pass(t, TIMEOUT_MS - 1);
    writer.last.succeed();
    await clock.settle();
    assert.deepEqual(
      fates.map(({ now }) => now),
      ['stored', 'stored'],
    );
  });
});
