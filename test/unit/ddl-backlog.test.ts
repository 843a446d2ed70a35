/** The leader's watch of the database's backlog, on a fake clock. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createBacklogMonitor } from '../../src/ddl/backlog-monitor.ts';
import type { DdlExecutor } from '../../src/model/sink.ts';
import { FakeClock } from '../helpers/fake-clock.ts';

const { signal } = new AbortController();
const logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

function setUp() {
  const clock = new FakeClock();
  const rig = { leads: true, asked: 0, answer: (): Promise<number> => Promise.resolve(0) };
  const backlog = (): Promise<number> => {
    rig.asked++;
    return rig.answer();
  };
  const monitor = createBacklogMonitor(
    { maxBacklog: 100, intervalMs: 15_000 },
    { backlog, leads: () => rig.leads, clock, logger },
  );
  const sent: string[] = [];
  const executor = monitor.guarded({
    describe: () => Promise.resolve([]),
    inventory: () => Promise.resolve([]),
    createDatabase: (database: string) => {
      sent.push(database);
      return Promise.resolve({ kind: 'done' });
    },
  } as unknown as DdlExecutor);
  const period = (answer: () => Promise<number>): Promise<void> => {
    rig.answer = answer;
    return clock.advance(15_000);
  };
  return { clock, rig, monitor, executor, sent, period };
}

describe('the watch of the backlog', () => {
  it('stops creates above the mark and lets them go on well below it', async () => {
    const { monitor, executor, sent, period } = setUp();
    monitor.start();
    await period(() => Promise.resolve(100));
    assert.ok(monitor.ok());
    await period(() => Promise.resolve(101));
    assert.ok(!monitor.ok());
    assert.deepEqual(await executor.createDatabase('a', signal), {
      kind: 'denied',
      code: 'BACKLOG',
      message: 'the database has 101 procedures running',
      everywhere: true,
    });
    assert.deepEqual(await executor.describe([], signal), []);
    assert.deepEqual(monitor.stats(), { backlog: 101, refused: 1 });
    await period(() => Promise.resolve(81));
    assert.ok(!monitor.ok());
    await period(() => Promise.resolve(80));
    assert.deepEqual(await executor.createDatabase('b', signal), { kind: 'done' });
    assert.deepEqual(sent, ['b']);
    await monitor.close();
  });

  it('takes a database that does not say for one that is not well', async () => {
    const { clock, monitor, period } = setUp();
    monitor.start();
    await period(() => Promise.reject(new Error('away')));
    assert.ok(!monitor.ok());
    await period(() => Promise.resolve(0));
    assert.ok(monitor.ok());
    await period(() => new Promise(() => undefined));
    assert.ok(monitor.ok());
    await clock.advance(3_000);
    assert.ok(!monitor.ok());
    await monitor.close();
  });

  it('asks nothing while another gateway leads', async () => {
    const { rig, monitor, period } = setUp();
    rig.leads = false;
    monitor.start();
    await period(() => Promise.resolve(1_000));
    assert.equal(rig.asked, 0);
    assert.ok(monitor.ok());
    await monitor.close();
  });
});
