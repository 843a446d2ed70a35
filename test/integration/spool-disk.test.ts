/** The spool's disk under kill -9, without space, and with two processes. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { LOG_LANE } from '../../src/model/spool.ts';
import { append, newRecord, openTestDisk, readLane, spoolPath } from '../helpers/spool-disk.ts';
import type { ChildLine } from '../helpers/spool-disk-child.ts';

const CHILD = new URL('../helpers/spool-disk-child.js', import.meta.url);
const run = promisify(execFile);

/** A child and what it has said. */
class Child {
  readonly process: ChildProcess;
  readonly kept = new Set<number>();
  readonly removed = new Set<number>();
  private readonly lines: AsyncIterator<ChildLine>;

  constructor(t: TestContext, path: string, bytes = 2_000) {
    this.process = spawn(process.execPath, ['--enable-source-maps', CHILD.pathname, path, String(bytes)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.after(() => this.process.kill('SIGKILL'));
    this.lines = this.read();
  }

  /** Reads on until a line fits; notes what was acknowledged and removed. */
  async until(fits: (line: ChildLine) => boolean): Promise<ChildLine> {
    for (;;) {
      const { value, done } = await this.lines.next();
      assert.ok(done !== true, 'the child has ended');
      if (fits(value)) return value;
    }
  }

  /** Kills it and notes what it said before. */
  async kill(): Promise<void> {
    this.process.kill('SIGKILL');
    while ((await this.lines.next()).done !== true);
  }

  private async *read(): AsyncGenerator<ChildLine, undefined> {
    assert.ok(this.process.stdout !== null);
    for await (const text of createInterface({ input: this.process.stdout })) {
      const line = JSON.parse(text) as ChildLine;
      for (const seq of line.kept ?? []) this.kept.add(seq);
      for (const seq of line.removed ?? []) this.removed.add(seq);
      yield line;
    }
    return undefined;
  }
}

/** Opens the folder and finds all that was acknowledged and not removed, and lanes that count what is there. */
async function assertKept(t: TestContext, path: string, { kept, removed }: Child): Promise<void> {
  const { disk, counts } = await openTestDisk(t, { path });
  const found = new Set<number>();
  for (const { id, records } of disk.lanes()) {
    const read = await readLane(disk, id);
    assert.equal(read.length, records);
    for (const { seq, data } of read) {
      assert.ok(data !== undefined);
      found.add(seq);
    }
  }
  assert.deepEqual(
    [...kept].filter((seq) => !found.has(seq) && !removed.has(seq)),
    [],
  );
  assert.deepEqual([counts.lost, counts.unreadable, counts.repaired], [0, 0, 0]);
  const [next = 0] = await append(disk, newRecord(LOG_LANE, 'next'));
  assert.ok(next > Math.max(...kept));
  await disk.close();
}

describe('spool disk', () => {
  it('has all that was acknowledged after kill -9 in the middle of commits', async (t) => {
    const path = await spoolPath();
    for (const groups of [3, 120, 300]) {
      const child = new Child(t, path);
      for (let group = 0; group < groups; group++) await child.until(({ kept }) => kept !== undefined);
      await child.kill();
      await assertKept(t, path, child);
    }
  });

  it('is refused to a second process, by the name of the folder', async (t) => {
    const path = await spoolPath();
    const child = new Child(t, path);
    await child.until(({ opened }) => opened === true);
    await assert.rejects(openTestDisk(t, { path }), {
      code: 'config_invalid',
      message: `spool.path ${path}: another process uses it`,
    });
    await child.kill();
    await openTestDisk(t, { path });
  });

  it('refuses while nothing can be written, still reads, and goes on without loss once there is space', async (t) => {
    const path = await spoolPath();
    const child = new Child(t, path, 20_000);
    await child.until(({ kept }) => kept !== undefined);
    const limitFiles = (size: string): Promise<unknown> =>
      run('prlimit', ['--pid', String(child.process.pid), `--fsize=${size}:`]);
    for (let round = 0; round < 2; round++) {
      await limitFiles('300000');
      const { failed, failing, readable = 0 } = await child.until((line) => line.failed !== undefined);
      assert.equal(failed, 'unavailable');
      assert.match(failing ?? '', /spool's disk fails: .*File too large/);
      assert.ok(readable > 0);
      await child.until((line) => line.failed !== undefined);
      await limitFiles('unlimited');
      for (let group = 0; group < 120; group++) await child.until(({ kept }) => kept !== undefined);
    }
    await child.kill();
    await assertKept(t, path, child);
  });
});
