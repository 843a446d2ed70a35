/** Replays against a server that answers as each test wants: what is taken goes, all else stays, nothing is lost. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, readFileSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, it, type TestContext } from 'node:test';
import { runDeadLetter } from '../../src/commands/dead-letter.ts';
import { bodiesIn, deadRows, openRig, simplePoint } from '../helpers/dead-letter.ts';
import { temporaryFolder } from '../helpers/gateway.ts';

const FIRST = 'dead-letter-000001.lp';
const CLAIMED = 'dead-letter-000001.replay';
const line = (table: string, value = 1): string => `${table} v=${value}i 5\n`;

/** A request, and an answer: a status, or whatever the function does to the response. */
interface Received {
  readonly url: string;
  readonly body: string;
}
type Answer = number | ((response: ServerResponse) => void);

interface Replay {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  /** Milliseconds that it slept each time. */
  readonly slept: readonly number[];
}

/** A gateway of a kind. `answer` is asked for each request; 204 when it has none. */
async function startGateway(
  t: TestContext,
  answer: (request: Received) => Answer | undefined | Promise<Answer | undefined>,
): Promise<{ readonly url: URL; readonly requests: readonly Received[] }> {
  const requests: Received[] = [];
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const received = { url: request.url ?? '', body: await text(request) };
    requests.push(received);
    const reply = (await answer(received)) ?? 204;
    if (typeof reply === 'function') reply(response);
    else response.writeHead(reply).end(reply === 204 ? '' : '{"error":"because"}\n');
  };
  const server = createServer((request, response) => void serve(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`), requests };
}

/** Replays; time passes only while it sleeps, at once. */
async function replay(
  path: string,
  url: URL,
  more: { files?: string[]; keep?: boolean; dryRun?: boolean; waitMs?: number; signal?: AbortSignal } = {},
): Promise<Replay> {
  const { signal = new AbortController().signal, ...options } = more;
  const printed = { out: '', err: '' };
  const slept: number[] = [];
  let nowMs = 1_000_000;
  const clock = {
    now: () => nowMs,
    wallNow: () => nowMs,
    async sleep(ms: number, until?: AbortSignal) {
      if (ms === 60_000 && until !== undefined && !until.aborted) await once(until, 'abort');
      else {
        nowMs += ms;
        slept.push(ms);
      }
      until?.throwIfAborted();
    },
  };
  const terminal = {
    out: async (message: string) => void (printed.out += message),
    err: async (message: string) => void (printed.err += message),
  };
  const command = {
    kind: 'replay',
    path,
    url,
    files: [],
    dryRun: false,
    keep: false,
    waitMs: 60_000,
  } as const;
  const code = await runDeadLetter({ ...command, ...options }, { terminal, clock, signal });
  return { code, ...printed, slept };
}

/** A folder with a file of one entry per table. */
async function folderWith(t: TestContext, tables: readonly string[]): Promise<string> {
  const path = temporaryFolder(t);
  const { letter } = await openRig(path);
  for (const table of tables) await letter.add(deadRows([simplePoint(table)]));
  await letter.close();
  return path;
}

describe('a replay', () => {
  it('posts everything in order, by database, and removes the files', async (t) => {
    const path = await folderWith(t, ['a', 'b', 'a\\']);
    const { letter } = await openRig(path);
    await letter.add(deadRows([simplePoint('c', 1), simplePoint('c', 2)]));
    await letter.close();
    const { url, requests } = await startGateway(t, () => undefined);
    const result = await replay(path, url);
    const target = '/write?db=public&precision=ns';
    assert.deepEqual(requests, [
      { url: target, body: line('a') + line('b') },
      { url: target, body: line('c', 1) + line('c', 2) },
    ]);
    assert.equal(result.code, 1);
    assert.equal(result.out, 'taken: 4 rows in 3 entries; stays: 1 row in 1 entry\n');
    assert.match(result.err, /stays: 1 row of public\.a\\: line protocol can't spell these rows/);
    assert.deepEqual(readdirSync(path), [FIRST]);
    assert.match((await bodiesIn(path)).join(), /^# base64 /);
  });

  it('ends with 0 when all was taken, and says so when there is nothing', async (t) => {
    const path = await folderWith(t, ['a']);
    const { url } = await startGateway(t, () => undefined);
    assert.equal((await replay(path, url)).code, 0);
    assert.deepEqual(readdirSync(path), []);
    assert.deepEqual(await replay(path, url), {
      code: 0,
      out: 'The dead letter is empty.\n',
      err: '',
      slept: [],
    });
  });

  it('finds out which entries are refused, and keeps only those', async (t) => {
    const tables = Array.from({ length: 30 }, (_, i) => `t${i}`);
    const path = await folderWith(t, tables);
    const bad = ['t3', 't17', 't18'];
    const { url, requests } = await startGateway(t, ({ body }) =>
      bad.some((table) => body.includes(`${table} `)) ? 400 : undefined,
    );
    const result = await replay(path, url);
    assert.equal(result.code, 1);
    assert.deepEqual(
      await bodiesIn(path),
      bad.map((table) => line(table)),
    );
    assert.match(result.err, /stays: 1 row of public\.t17: 400: because\n/);
    assert.ok(requests.length < 30, `${requests.length} requests`);
    assert.deepEqual(readdirSync(path), [FIRST]);
  });

  it('posts to each database its own rows, and keeps the order of what stays', async (t) => {
    const path = temporaryFolder(t);
    const { letter } = await openRig(path);
    for (const [i, database] of ['x', 'größe &', 'x', 'größe &'].entries())
      await letter.add(deadRows([simplePoint(`m${i}`)], {}, database));
    await letter.close();
    const { url, requests } = await startGateway(t, ({ body }) => (body === line('m0') ? 204 : 400));
    assert.equal((await replay(path, url)).code, 1);
    assert.deepEqual(await bodiesIn(path), [line('m1'), line('m2'), line('m3')]);
    const databases = requests.map((request) => new URL(request.url, url).searchParams.get('db'));
    assert.deepEqual(databases, ['x', 'x', 'x', 'größe &', 'größe &', 'größe &']);
  });

  it('waits as long as it is told to, then goes on', async (t) => {
    const path = await folderWith(t, ['a']);
    const answers: Answer[] = [
      (response) => response.writeHead(503, { 'Retry-After': '7', 'X-InfluxDB-Error': 'busy' }).end('x'),
      429,
      (response) => response.destroy(),
    ];
    const { url, requests } = await startGateway(t, () => answers.shift());
    const result = await replay(path, url);
    assert.equal(result.code, 0);
    assert.equal(requests.length, 4);
    assert.match(result.err, /^waiting: 503: busy; next try in \d\.\d s\nwaiting: 429: because/);
    const [first = 0, second = 0, third = 0] = result.slept;
    assert.ok(first >= 5_600 && first <= 8_400 && second < 1_000 && third > second);
  });

  it('gives a batch up after the time without progress, but not the others', async (t) => {
    const path = temporaryFolder(t);
    const { letter } = await openRig(path);
    // Larger than a batch, so each entry goes alone.
    const large = (table: string): ReturnType<typeof deadRows> =>
      deadRows([{ table, fields: [['s', ['string', 'x'.repeat(600_000)]]] }]);
    for (const table of ['a', 'b', 'c']) await letter.add(large(table));
    await letter.close();
    const { url } = await startGateway(t, ({ body }) => (body.startsWith('b') ? 503 : undefined));
    const result = await replay(path, url, { waitMs: 10_000 });
    assert.equal(result.code, 1);
    assert.deepEqual(
      (await bodiesIn(path)).map((body) => body[0]),
      ['b'],
    );
    const waited = result.slept.reduce((sum, ms) => sum + ms, 0);
    assert.ok(waited > 4_000 && waited <= 10_000, String(waited));
  });

  for (const [what, status] of [
    ['nobody answers', undefined],
    ['the address is not that of a gateway', 404],
    ['it may not write', 401],
  ] as const) {
    it(`stops, and leaves everything as it was, when ${what}`, async (t) => {
      const path = await folderWith(t, ['a', 'b']);
      const before = readFileSync(join(path, FIRST));
      const { url, requests } = await startGateway(t, () => status ?? ((response) => response.destroy()));
      const result = await replay(path, url, { waitMs: 1_000 });
      assert.equal(result.code, 1);
      assert.match(result.err, /sluice: stopped: http:\/\/127\.0\.0\.1:\d+/);
      assert.ok(requests.length > 0);
      assert.deepEqual(readdirSync(path), [FIRST]);
      assert.deepEqual(readFileSync(join(path, FIRST)), before);
    });
  }

  it('stops when it is interrupted while it posts, with everything still there', async (t) => {
    const path = await folderWith(t, ['a', 'b']);
    const stop = new AbortController();
    const { url } = await startGateway(t, () => () => stop.abort());
    const result = await replay(path, url, { signal: stop.signal });
    assert.equal(result.code, 1);
    assert.match(result.err, /stopped: interrupted/);
    assert.deepEqual(await bodiesIn(path), [line('a'), line('b')]);
  });

  it('leaves the files alone with --keep and --dry-run', async (t) => {
    const path = await folderWith(t, ['a']);
    const before = readFileSync(join(path, FIRST));
    const { url, requests } = await startGateway(t, () => undefined);
    assert.deepEqual(
      (await replay(path, url, { dryRun: true })).out,
      'would post: 1 row in 1 entry; stays: 0 rows in 0 entries\n',
    );
    assert.equal(requests.length, 0);
    assert.equal((await replay(path, url, { keep: true })).code, 0);
    assert.equal(requests.length, 1);
    assert.deepEqual(readdirSync(path), [FIRST]);
    assert.deepEqual(readFileSync(join(path, FIRST)), before);
  });

  it('replays only the files that are named', async (t) => {
    const path = await folderWith(t, ['a']);
    const { letter } = await openRig(path);
    await letter.add(deadRows([simplePoint('b')]));
    await letter.close();
    const { url, requests } = await startGateway(t, () => undefined);
    assert.equal((await replay(path, url, { files: ['dead-letter-9.lp'] })).code, 2);
    assert.equal((await replay(path, url, { files: [join(path, 'dead-letter-000002.lp')] })).code, 0);
    assert.deepEqual(
      requests.map(({ body }) => body),
      [line('b')],
    );
    assert.deepEqual(readdirSync(path), [FIRST]);
  });

  it('does not lose what the gateway adds meanwhile', async (t) => {
    const path = temporaryFolder(t);
    const { letter } = await openRig(path);
    await letter.add(deadRows([simplePoint('a')]));
    const { url, requests } = await startGateway(t, async () => {
      if (requests.length === 1) await letter.add(deadRows([simplePoint('late')]));
      return undefined;
    });
    assert.equal((await replay(path, url)).code, 0);
    assert.deepEqual(await bodiesIn(path), [line('late')]);
    await letter.add(deadRows([simplePoint('later')]));
    assert.deepEqual(await bodiesIn(path), [line('late'), line('later')]);
  });

  it('takes up what an interrupted one left, and keeps what is damaged', async (t) => {
    const path = await folderWith(t, ['a', 'b', 'c']);
    renameSync(join(path, FIRST), join(path, CLAIMED));
    const bytes = readFileSync(join(path, CLAIMED));
    bytes[bytes.indexOf('b v=1i') + 4] = 0x39;
    bytes[bytes.lastIndexOf('# {')] = 0;
    writeFileSync(join(path, CLAIMED), bytes);
    const { url, requests } = await startGateway(t, () => undefined);
    const result = await replay(path, url);
    assert.equal(result.code, 1);
    assert.deepEqual(
      requests.map(({ body }) => body),
      [line('a')],
    );
    assert.match(result.err, /public\.b: the entry is damaged/);
    assert.match(result.err, /is damaged from \d+ on \(\d+ bytes\)/);
    assert.deepEqual(readdirSync(path), [FIRST]);
    assert.deepEqual(
      readFileSync(join(path, FIRST)),
      bytes.subarray(bytes.indexOf('\n', bytes.indexOf('\n') + 1) + 1),
    );
  });

  it('drops what a crash cut off, which was never acknowledged', async (t) => {
    const path = await folderWith(t, ['a', 'b']);
    truncateSync(join(path, FIRST), readFileSync(join(path, FIRST)).length - 1);
    const { url } = await startGateway(t, () => undefined);
    assert.equal((await replay(path, url)).code, 0);
    assert.deepEqual(readdirSync(path), []);
  });

  it('is the only one of its folder, unless the other is dead', async (t) => {
    const path = await folderWith(t, ['a']);
    const lock = join(path, 'replay.lock');
    const { url } = await startGateway(t, () => undefined);
    writeFileSync(lock, `${process.ppid}\n`);
    assert.match((await replay(path, url)).err, /another replay of this folder is running/);
    for (const dead of ['4194305', String(process.pid), 'rubbish', '']) {
      writeFileSync(lock, dead);
      assert.equal((await replay(path, url)).code, 0);
      assert.deepEqual(readdirSync(path), []);
      const { letter } = await openRig(path);
      await letter.add(deadRows([simplePoint('again')]));
      await letter.close();
    }
  });
});
