/**
 * What every sink must do whose database is a server: it may be down, cut off or silent, and comes back. Run over a
 * proxy in front of the real database.
 */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { type DdlResult, WriteError, type WriteFailure } from '../../src/model/sink.ts';
import { createTestSource, type TestPoint } from '../helpers/points.ts';
import type { TcpProxy } from '../helpers/tcp-proxy.ts';
import { eventually } from '../helpers/wait.ts';
import type { StoringSink } from './sink-suite.ts';

/** A sink behind a proxy; `read` goes past it. */
export interface RemoteSink extends StoringSink {
  readonly proxy: TcpProxy;
}

const { signal } = new AbortController();
const ID = { database: 'public', table: 'm' };
const COLUMNS = [{ name: 'value', kind: 'field', type: 'float64' }] as const;
const DONE: DdlResult = { kind: 'done' };
const point = (timeNs: bigint, value: number): TestPoint => ({
  table: ID.table,
  timeNs,
  fields: [['value', ['float64', value]]],
});

/** Defines the suite; `open` opens an empty database that the test's end closes. */
export function remoteSuite(name: string, open: (t: TestContext) => Promise<RemoteSink>): void {
  async function opened(t: TestContext) {
    const remote = await open(t);
    const { sink } = remote;
    assert.deepEqual(await sink.ddl.createDatabase(ID.database, signal), DONE);
    assert.deepEqual(
      await sink.ddl.createTable({ id: ID, source: 'influx', columns: COLUMNS }, signal),
      DONE,
    );
    const source = createTestSource(ID.database);
    const write = (points: readonly TestPoint[], stop = signal): Promise<WriteFailure | undefined> =>
      failureOf(sink.writer.write([source.batch(points)], stop));
    assert.equal(await write([point(1n, 1)]), undefined);
    return { ...remote, write };
  }

  describe(`${name}: a server that is not well`, () => {
    it('is written to again after all connections were cut', async (t) => {
      const { proxy, write, read } = await opened(t);
      proxy.cut();
      await eventually('a write succeeds', async () => (await write([point(2n, 2)])) === undefined);
      assert.deepEqual(await read(ID, ['value']), [
        [1n, 1],
        [2n, 2],
      ]);
    });

    it('fails for now while it refuses connections, and works as soon as it does not', async (t) => {
      const { sink, proxy, write, read } = await opened(t);
      proxy.refuse();
      proxy.cut();
      await eventually('the cut is noticed', async () => (await write([point(2n, 9)]))?.kind === 'transient');
      await assert.rejects(sink.ddl.describe([ID], signal));
      await assert.rejects(sink.ddl.inventory(signal));
      const id = { ...ID, table: 'other' };
      const made = await sink.ddl.createTable({ id, source: 'influx', columns: COLUMNS }, signal);
      assert.equal(made.kind, 'transient');

      proxy.heal();
      await eventually('a write succeeds', async () => (await write([point(2n, 2)])) === undefined);
      assert.deepEqual(await sink.ddl.describe([id], signal), [undefined]);
      assert.deepEqual(await read(ID, ['value']), [
        [1n, 1],
        [2n, 2],
      ]);
    });

    it('leaves a write unknown whose answer was lost, and sending it again changes nothing', async (t) => {
      const { proxy, write, read } = await opened(t);
      proxy.drop('answers');
      const stop = new AbortController();
      const writing = write([point(2n, 2)], stop.signal);
      await proxy.dropped();
      stop.abort(new Error('the flush has timed out'));
      assert.equal((await writing)?.kind, 'ambiguous');

      proxy.heal();
      await eventually('a write succeeds', async () => (await write([point(2n, 2)])) === undefined);
      assert.deepEqual(await read(ID, ['value']), [
        [1n, 1],
        [2n, 2],
      ]);
    });

    it('holds nobody up when it is silent: each call ends with its signal, and so does closing', async (t) => {
      const { sink, proxy, write } = await opened(t);
      proxy.drop();
      const stop = new AbortController();
      const calls = [
        write([point(2n, 2)], stop.signal).then((failure) => failure?.kind),
        sink.ddl.describe([ID], stop.signal).catch(() => 'rejected'),
        sink.ddl.addColumns(ID, [{ name: 'more', kind: 'field', type: 'bool' }], stop.signal),
      ];
      await proxy.dropped();
      stop.abort(new Error('given up'));
      const [written, described] = await Promise.all(calls);
      assert.equal(written, 'ambiguous');
      assert.equal(described, 'rejected');
      await sink.close();
    });
  });
}

async function failureOf(writing: Promise<void>): Promise<WriteFailure | undefined> {
  try {
    await writing;
    return undefined;
  } catch (error) {
    assert.ok(error instanceof WriteError, `a WriteError, not ${String(error)}`);
    return error.failure;
  }
}
