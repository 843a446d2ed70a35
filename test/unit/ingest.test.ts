import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import type { AdmitContext } from '../../src/model/admission.ts';
import { createBatchPool } from '../../src/model/batch-pool.ts';
import { MAX_REFUSALS } from '../../src/model/ingest.ts';
import type { TableGroup } from '../../src/model/point-batch.ts';
import { createDeferred } from '../../src/util/deferred.ts';
import { ADMIT, all, defer, reject, some } from '../helpers/fake-guard.ts';
import { failed, faulty, missing } from '../helpers/fake-writer.ts';
import {
  contextOf,
  createIngestRig,
  createTestParser,
  type IngestSetup,
  impossible,
  stored,
} from '../helpers/ingest-rig.ts';

let { clock, guard, writer, flush, ingest, counted, blamed, parse, send, unknown, answerBy } =
  createIngestRig();

function make(setup?: IngestSetup): void {
  ({ clock, guard, writer, flush, ingest, counted, blamed, parse, send, unknown, answerBy } =
    createIngestRig(setup));
}

beforeEach(() => make());

describe('ingest', () => {
  it('writes what is ready in one piece and asks nobody', async () => {
    assert.deepEqual(await send('a v=1 1', 'b v=1 1', 'a v=2 2'), stored(3));
    assert.deepEqual([guard.asked, writer.stored], [[], ['a', 'b', 'a']]);
    assert.deepEqual(counted, []);
  });

  it('stores the healthy rows of a request and tells of each other one why, in the order of the body', async () => {
    unknown('bad', 'new', 'slow');
    answerBy({ bad: () => all(reject('no')), slow: () => all(defer('later', 700)) });
    const result = await send('ok v=1 1', 'bad v=1 1', 'new v=1 1', 'slow v=1 1', 'bad v=2 2');
    const refusal = { reason: 'denied_name', message: 'no' } as const;
    assert.deepEqual(result, {
      stored: 2,
      parked: 0,
      rejected: 2,
      refusals: [
        { offset: 9, ...refusal },
        { offset: 40, ...refusal },
      ],
      deferred: 1,
      deferral: { reason: 'ddl_pending', message: 'later', retryAfterMs: 700 },
    });
    assert.deepEqual(writer.stored, ['ok', 'new']);
    assert.deepEqual(counted, ['rejected denied_name 2', 'deferred ddl_pending 1']);
    assert.deepEqual(blamed, ['a test: bad']);
  });

  it('keeps out only the rows that use a refused tag set or field; what can never pass counts more', async () => {
    unknown('m');
    answerBy({
      m: ({ tagSets, fields }) => some([tagSets[1]!, defer('tag')], [fields[1]!, reject('field')]),
    });
    const result = await send('m v=1 1', 'm,t=x v=1 2', 'm bad=1 3', 'm,t=x bad=1 4', 'm v=1,bad=1 5');
    assert.equal(result.stored, 1);
    assert.deepEqual(
      result.refusals.map(({ message }) => message),
      ['field', 'field', 'field'],
    );
    assert.equal(result.deferral?.message, 'tag');
    assert.equal(result.deferred, 1);
  });

  it('writes nothing when no row is left, and lists only so many refusals', async () => {
    unknown('bad');
    answerBy({ bad: () => all(reject('no')) });
    const lines = Array.from({ length: MAX_REFUSALS + 5 }, (_, i) => `bad v=1 ${i}`);
    const { rejected, refusals } = await send(...lines);
    assert.deepEqual([rejected, refusals.length], [MAX_REFUSALS + 5, MAX_REFUSALS]);
    assert.equal(writer.writes.length, 0);
  });

  it('takes up a batch that was used before without a trace of its refusals', async () => {
    unknown('bad');
    answerBy({ bad: () => all(reject('no')) });
    const first = parse('ok v=1 1', 'bad v=1 1', 'ok v=1 1', 'bad v=1 1');
    assert.equal((await ingest.submit(first, contextOf())).rejected, 2);
    ingest.release(first);
    const second = parse('ok v=1 1', 'ok v=1 2', 'ok v=1 3', 'ok v=1 4', 'ok v=1 5');
    assert.equal(second, first);
    assert.deepEqual(await ingest.submit(second, contextOf()), stored(5));
  });

  it('admits and writes the rows of one table that two objects stand for', async () => {
    unknown('m');
    const batch = parse('m v=1 1');
    // What was parsed with another dictionary has objects of its own.
    const other = ingest.acquire(Buffer.from('m v=2 2'), 'db');
    createTestParser().parse(other, 'ns', 1);
    batch.beginRow(other.series[0]!, 8);
    batch.setTime(0, 2);
    batch.addFloat(other.cellField[0]!, 2);
    batch.endRow();
    assert.equal(batch.groupCount, 2);
    assert.deepEqual(await ingest.submit(batch, contextOf()), stored(2));
    assert.deepEqual(guard.asked, ['m', 'm']);
  });
});

describe('ingest: the database fails', () => {
  const deferral = { reason: 'database_down', message: 'away', retryAfterMs: 2_000 };

  for (const kind of ['transient', 'denied', 'ambiguous'] as const) {
    it(`asks for all rows again that were to be written (${kind}), and keeps to what it refused`, async () => {
      unknown('bad');
      answerBy({ bad: () => all(reject('no')) });
      writer.onWrite = () => failed(kind, 'away');
      const result = await send('ok v=1 1', 'bad v=1 1', 'ok v=1 2');
      assert.deepEqual([result.stored, result.rejected, result.deferred], [0, 1, 2]);
      assert.deepEqual(result.deferral, deferral);
      assert.deepEqual(counted, ['rejected denied_name 1', 'deferred database_down 2']);
    });
  }

  it('asks for all rows again when too much waits to be written', async () => {
    make({ maxPendingBytes: 10 });
    writer.onWrite = undefined;
    const first = send('ok v=1 1');
    await clock.settle();
    const { deferral: second, deferred } = await send('ok v=1 1', 'ok v=1 2');
    assert.deepEqual([second?.reason, deferred, counted], ['overload', 2, ['deferred overload 2']]);
    writer.last.succeed();
    assert.deepEqual(await first, stored(1));
  });

  it('asks for the rows again of the tables at fault, and writes the others', async () => {
    writer.onWrite = (tables) => (tables.includes('bad') ? faulty('db', 'bad') : 'stored');
    const result = await send('ok v=1 1', 'bad v=1 1', 'ok v=1 2');
    assert.deepEqual([result.stored, result.rejected, result.deferred], [2, 0, 1]);
    assert.deepEqual(result.deferral, { ...deferral, message: 'locked' });
    assert.deepEqual(writer.stored, ['ok', 'ok']);
  });

  it('says that it is closed once it is', async () => {
    await flush.close();
    await assert.rejects(send('ok v=1 1'), { code: 'closed' });
  });
});

describe('ingest: values that the database can not hold', () => {
  it('are refused before anybody is asked about their tables, and the others are written', async () => {
    make({ values: impossible(0, 2) });
    guard.answer = () => assert.fail('asked');
    unknown('odd');
    const result = await send('odd v=1 1', 'ok v=1 1', 'ok v=1 2');
    assert.deepEqual([result.stored, result.rejected, result.deferred], [1, 2, 0]);
    assert.deepEqual(
      result.refusals.map(({ offset, reason, message }) => [offset, reason, message]),
      [
        [0, 'impossible_value', 'no'],
        [19, 'impossible_value', 'no'],
      ],
    );
    assert.deepEqual([writer.stored, counted], [['ok'], ['rejected impossible_value 2']]);
  });
});

describe('ingest: tables that are gone', () => {
  it('are forgotten once for all requests of a flush, admitted again and written', async () => {
    const there = new Set(['first']);
    writer.onWrite = (tables) => {
      const gone = [...new Set(tables)].filter((table) => !there.has(table));
      return gone.length === 0 ? 'stored' : missing('db', ...gone);
    };
    guard.answer = ({ table }) => {
      there.add(table.name);
      return ADMIT;
    };
    const requests = [send('first v=1 1')];
    for (let i = 0; i < 5; i++) requests.push(send(`a v=1 ${i}`, `b v=1 ${i}`));
    for (const result of await Promise.all(requests)) assert.equal(result.deferred + result.rejected, 0);
    assert.deepEqual(guard.invalidated, ['db.a', 'db.b']);
    assert.equal(writer.stored.length, 11);
  });

  it('keep out only their own rows when they vanish again and again', async () => {
    writer.onWrite = (tables) => (tables.includes('ghost') ? missing('db', 'ghost') : 'stored');
    const [mixed, healthy] = await Promise.all([
      send('ok v=1 1', 'ghost v=1 1', 'other v=1 1'),
      send('ok v=2 2'),
    ]);
    assert.deepEqual([mixed.stored, mixed.deferred, mixed.rejected], [2, 1, 0]);
    assert.equal(mixed.deferral?.reason, 'ddl_pending');
    assert.deepEqual(healthy, stored(1));
    assert.deepEqual(guard.asked, ['ghost', 'ghost']);
  });

  it('that nobody writes to end the request after a few attempts', async () => {
    writer.onWrite = () => missing('db', 'elsewhere');
    const result = await send('ok v=1 1');
    assert.deepEqual([result.stored, result.deferral?.reason], [0, 'database_down']);
    assert.equal(writer.writes.length, 3);
  });

  it('leave what was refused before as it is, without asking about it again', async () => {
    unknown('bad');
    let refusals = 0;
    answerBy({ bad: () => all(reject(`no ${++refusals}`)) });
    writer.onWrite = () => (writer.writes.length === 1 ? missing('db', 'ok') : 'stored');
    const result = await send('bad v=1 1', 'ok v=1 1');
    assert.deepEqual([result.stored, result.rejected, result.refusals[0]?.message], [1, 1, 'no 1']);
    assert.deepEqual(guard.asked, ['bad', 'ok']);
  });
});

describe('ingest: a request that is aborted', () => {
  it('ends only when nothing can touch its batch any more, and writes nothing', async () => {
    unknown('slow', 'stuck');
    const late = createDeferred<ReturnType<typeof all>>();
    const aborting = new AbortController();
    guard.answer = ({ table }) => (table.name === 'stuck' ? new Promise(() => undefined) : ADMIT);
    // This one does not see the signal in time.
    const admit = guard.admit.bind(guard);
    guard.admit = (group: TableGroup, context: AdmitContext) =>
      group.table.name === 'slow' ? late.promise : admit(group, context);
    const batch = parse('slow v=1 1', 'stuck v=1 1', 'ok v=1 1');
    let ended = false;
    const submitted = ingest.submit(batch, contextOf(aborting.signal)).finally(() => (ended = true));
    const rejection = assert.rejects(submitted, /enough/);
    aborting.abort(new Error('enough'));
    await clock.settle();
    assert.equal(ended, false);
    late.resolve(all(defer('later')));
    await rejection;
    assert.equal(batch.skipped, 1);
    assert.equal(writer.writes.length, 0);
  });
});

describe('batches', () => {
  it('are lent again once neither the request nor anybody else uses them', () => {
    const batches = createBatchPool();
    const batch = batches.acquire(Buffer.from('x'), 'db');
    batch.users++;
    batches.release(batch);
    assert.notEqual(batches.acquire(Buffer.from('y'), 'db'), batch);
    assert.equal(batch.body.length, 1);
    batches.letGo(batch);
    assert.equal(batch.body.length, 0);
    assert.equal(batches.acquire(Buffer.from('z'), 'db'), batch);
    batch.users++;
    batches.letGo(batch);
    assert.notEqual(batches.acquire(Buffer.from('z'), 'db'), batch);
  });

  it('keep nothing of a request when they are given back', () => {
    const batch = parse('a,t=x v=1,w="s" 1', 'b v=1 1', 'a,t=y,u=z v=1 1');
    const groups = batch.groups.slice(0, batch.groupCount);
    ingest.release(batch);
    assert.equal(batch.body.length, 0);
    const kept = [
      ...batch.series,
      ...batch.cellField,
      ...groups.flatMap(({ table, tagSets, fields }) => [table, ...tagSets, ...fields]),
    ];
    assert.deepEqual(
      kept.filter((value) => value !== undefined),
      [],
    );
  });

  it('that have grown large are not kept', () => {
    const wide = parse(...Array.from({ length: 20_000 }, (_, i) => `t${i} v=1 1`));
    ingest.release(wide);
    assert.notEqual(parse('a v=1 1'), wide);
  });
});
