/** `sluice dead-letter` as an operator meets it, and against the gateway as a process. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { bodiesIn, deadRows, openRig, simplePoint } from '../helpers/dead-letter.ts';
import { post, query, runGateway, startGateway, temporaryFolder } from '../helpers/gateway.ts';
import { freePorts } from '../helpers/ports.ts';

const MAIN = fileURLToPath(new URL('../../src/main.js', import.meta.url));

/** The program while it runs. */
interface Program {
  readonly child: ChildProcess;
  /** Resolves once the output has the text. */
  printed(text: string): Promise<void>;
  /** The exit code and all that was printed. */
  readonly ended: Promise<{ readonly code: number | null; readonly out: string }>;
}

function start(t: TestContext, folder: string, args: readonly string[]): Program {
  const child = spawn(process.execPath, [MAIN, ...args], { cwd: folder, env: { PATH: process.env['PATH'] } });
  t.after(() => child.kill('SIGKILL'));
  let out = '';
  const waiting = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      out += chunk.toString();
      for (const look of waiting) look();
    });
  }
  return {
    child,
    printed: (text) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (out.includes(text)) resolve();
        };
        child.once('close', () => reject(new Error(`ended without "${text}": ${out}`)));
        waiting.add(look);
        look();
      }),
    ended: once(child, 'close').then(([code]) => ({ code: code as number | null, out })),
  };
}

/** A gateway's folder with entries of three tables in the default place. */
async function folderWithRows(t: TestContext): Promise<{ folder: string; path: string }> {
  const folder = temporaryFolder(t);
  const path = join(folder, 'data', 'dead-letter');
  const { letter } = await openRig(path);
  await letter.add(deadRows([simplePoint('good', 1), simplePoint('good', 2)], { reason: 'expired' }));
  await letter.add(deadRows([{ table: 'bad', timeNs: 7n, fields: [['v', ['string', 'no\nnumber']]] }]));
  await letter.add(deadRows([simplePoint('größe, \u001b[31m=')], { message: 'a\n\u001b[2Jb' }));
  await letter.addRaw(Buffer.from('??'), 'bad checksum');
  await letter.close();
  return { folder, path };
}

describe('sluice dead-letter', () => {
  const usage: [args: string[], code: number, out: RegExp][] = [
    [['--help'], 0, /^Usage: sluice dead-letter ls/],
    [['replay', '-h'], 0, /^Usage: sluice dead-letter ls/],
    [[], 2, /^sluice dead-letter: a command is missing\n\nUsage/],
    [['rm'], 2, /there is no command "rm"/],
    [['ls', 'x'], 2, /ls takes no files/],
    [['ls', '--all'], 2, /ls has no option --all/],
    [['ls', '--bogus'], 2, /Unknown option '--bogus'/],
    [['show'], 2, /show needs files, or --all/],
    [['show', '--all', 'x'], 2, /show needs files, or --all/],
    [['show', '--all', '--reason', 'x'], 2, /--reason must be one of rejected, unreadable, expired, full/],
    [['show', '--all', '--limit', '-1'], 2, /limit/],
    [['show', 'dead-letter-7.lp'], 2, /dead-letter-7\.lp is not in data\/dead-letter/],
    [['replay'], 2, /replay needs --url/],
    [['replay', '--url', 'ftp://x'], 2, /--url must be like/],
    [['replay', '--url', 'http://u:p@x'], 2, /--url must be like/],
    [['replay', '--dry-run', '--wait', 'x'], 2, /--wait must be an integer/],
    [['ls', '--config', 'missing.yaml'], 2, /"missing\.yaml" cannot be read/],
    [['ls'], 0, /^The dead letter is empty\.\n$/],
    [['show', '--all'], 0, /^$/],
    [['replay', '--dry-run'], 0, /^The dead letter is empty\.\n$/],
  ];
  for (const [args, code, out] of usage) {
    it(`${args.join(' ') || '(nothing)'} ends with ${code} when there is no folder`, async (t) => {
      const result = await runGateway(temporaryFolder(t), ['dead-letter', ...args]);
      assert.equal(result.code, code, result.out);
      assert.match(result.out, out);
    });
  }

  it('ls lists the files, for people and as JSON', async (t) => {
    const { folder, path } = await folderWithRows(t);
    appendFileSync(join(path, 'dead-letter-000001.lp'), '# {"v":1,');
    const { code, out } = await runGateway(folder, ['dead-letter', 'ls']);
    assert.equal(code, 0);
    assert.match(out, /^FILE +BYTES +ENTRIES +ROWS +OLDEST +NEWEST\n/);
    assert.match(
      out,
      /\ndead-letter-000001\.lp +\d+ +4 +4 +2026-\S+Z +2026-\S+Z +rejected 2, unreadable 0, expired 2, 9 bytes cut off by a crash\n$/,
    );
    const json = await runGateway(folder, ['dead-letter', 'ls', '--json', '--path', path]);
    const { files } = JSON.parse(json.out) as { files: Record<string, unknown>[] };
    const { name, entries, rows, rowsByReason, tornBytes } = files[0] ?? {};
    assert.deepEqual(
      { name, entries, rows, rowsByReason, tornBytes },
      {
        name: 'dead-letter-000001.lp',
        entries: 4,
        rows: 4,
        rowsByReason: { expired: 2, rejected: 2, unreadable: 0 },
        tornBytes: 9,
      },
    );
  });

  it('show prints entries without doing anything to the terminal, by reason, table and number', async (t) => {
    const { folder } = await folderWithRows(t);
    const show = async (...args: string[]): Promise<string> =>
      (await runGateway(folder, ['dead-letter', 'show', ...args])).out;
    const all = await show('--all');
    assert.doesNotMatch(all, /(?!\n)\p{Cc}/u);
    assert.match(
      all,
      /^dead-letter-000001\.lp 2026-\S+ expired: 2 rows of public\.good\nfrom: influx 10\.0\.0\.7, influx\nwhy: no such table\n {2}good v=1i 5\n {2}good v=2i 5\n\n/,
    );
    assert.match(all, /why: a\\n\\u\{1b\}\[2Jb\n {2}größe\\,\\ \\u\{1b\}\[31m\\= v=1i 5\n/);
    assert.match(all, /\n {2}bad v="no\n {2}number" 7\n/);
    assert.match(
      all,
      /unreadable: 0 rows\nwhy: bad checksum\n {2}\(a record that can't be read, \d+ bytes\)\n/,
    );
    assert.deepEqual((await show('dead-letter-000001.lp', '--table', 'bad')).match(/why: /g)?.length, 1);
    assert.deepEqual((await show('--all', '--reason', 'rejected')).match(/why: /g)?.length, 2);
    assert.match(await show('--all', '--limit', '1'), /more than 1 entry; see --limit\.\n$/);
  });

  it('replay brings rows back to a gateway that is not up yet, and keeps what it refuses', async (t) => {
    const { folder, path } = await folderWithRows(t);
    const [port] = await freePorts(1);
    const url = `http://127.0.0.1:${port}`;
    const replaying = start(t, folder, ['dead-letter', 'replay', '--url', url]);
    await replaying.printed('waiting: ');
    const seed = await startGateway(t, folder, { SLUICE_LISTEN_PORT: '0', SLUICE_DUCKDB_PATH: 'x.duckdb' });
    assert.equal((await post(`${seed.url}/write?db=public`, 'bad v=1i 1\n')).status, 204);
    await seed.stop();
    const gateway = await startGateway(t, folder, {
      SLUICE_LISTEN_PORT: String(port),
      SLUICE_DUCKDB_PATH: 'x.duckdb',
    });
    const { code, out } = await replaying.ended;
    assert.equal(code, 1);
    assert.match(out, /taken: 3 rows in 2 entries; stays: 1 row in 2 entries\n/);
    assert.match(out, /stays: 1 row of public\.bad: 400: .*type/);
    assert.match(await query(gateway.url, 'SELECT v FROM good ORDER BY time, v'), /2/);
    assert.deepEqual((await bodiesIn(path))[0], 'bad v="no\nnumber" 7\n');
    assert.deepEqual(readdirSync(path), ['dead-letter-000001.lp']);
  });

  it('is stopped by a signal with everything still there', async (t) => {
    const { folder, path } = await folderWithRows(t);
    const [port] = await freePorts(1);
    const before = readFileSync(join(path, 'dead-letter-000001.lp'));
    const replaying = start(t, folder, ['dead-letter', 'replay', '--url', `http://127.0.0.1:${port}`]);
    await replaying.printed('waiting: ');
    replaying.child.kill('SIGINT');
    const { code, out } = await replaying.ended;
    assert.equal(code, 1);
    assert.match(out, /stopped: interrupted/);
    assert.deepEqual(readFileSync(join(path, 'dead-letter-000001.lp')), before);
    assert.deepEqual(readdirSync(path), ['dead-letter-000001.lp']);
  });

  it('lets a file be posted as it is', async (t) => {
    const { folder, path } = await folderWithRows(t);
    const gateway = await startGateway(t, folder);
    const file = readFileSync(join(path, 'dead-letter-000001.lp'), 'utf8');
    assert.equal((await post(`${gateway.url}/write?db=public&precision=ns`, file)).status, 204);
    assert.equal(await query(gateway.url, 'SELECT v FROM bad'), '[["no\\nnumber"]]');
  });
});
