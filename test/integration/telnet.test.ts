/** OpenTSDB's telnet protocol on the real process: what lines become, and what connections may do. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { type Gateway, metric, post, query, startGateway, temporaryFolder } from '../helpers/gateway.ts';
import { eventually } from '../helpers/wait.ts';
import { TELNET_CASES } from './telnet-cases.ts';

/** A connection; `received` is all that came in. */
function open(
  t: TestContext,
  { port }: Gateway,
): { socket: Socket; received: () => string; ended: Promise<void> } {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
  t.after(() => socket.destroy());
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
  socket.on('error', () => socket.destroy());
  const ended = new Promise<void>((resolve) => {
    for (const event of ['end', 'close'] as const) socket.once(event, () => resolve());
  });
  return { socket, received: () => text, ended };
}

/** Sends bytes, closes its side, and answers what came back until the gateway closed its own. */
async function send(
  t: TestContext,
  gateway: Gateway,
  ...pieces: readonly (string | Buffer)[]
): Promise<string> {
  const { socket, received, ended } = open(t, gateway);
  for (const piece of pieces) await new Promise<void>((resolve) => socket.write(piece, () => resolve()));
  socket.end();
  await ended;
  return received();
}

function allFiles(folder: string): string {
  return readdirSync(folder)
    .map((name) => readFileSync(join(folder, name), 'utf8'))
    .join('');
}

async function count(gateway: Gateway, table: string): Promise<number> {
  return Number(
    (JSON.parse(await query(gateway.url, `SELECT count(*) FROM "${table}"`)) as number[][])[0]?.[0],
  );
}

describe('telnet lines', () => {
  it('are answered and stored as OpenTSDB does, or better', async (t) => {
    const gateway = await startGateway(t, temporaryFolder(t));
    for (const [i, { line, reply = '', stored }] of TELNET_CASES.entries()) {
      const table = `case.${i}`;
      const answer = await send(t, gateway, typeof line === 'string' ? line.replaceAll('$', table) : line);
      const wanted = reply.replaceAll('$', table);
      assert.equal(answer, wanted === '' ? '' : `${wanted}\n`, JSON.stringify(line));
      if (stored === undefined) continue;
      const columns = ['epoch_ns(time)', 'value', ...Object.keys(stored.tags)].join(', ');
      const rows = JSON.parse(await query(gateway.url, `SELECT ${columns} FROM "${table}"`)) as unknown[][];
      const [time, value, ...tags] = rows[0] ?? [];
      assert.deepEqual(
        [rows.length, String(time), value, ...tags],
        [1, stored.timeNs, stored.value, ...Object.values(stored.tags)],
        JSON.stringify(line),
      );
    }
  });

  it('may come byte by byte, with and without a last newline', async (t) => {
    const gateway = await startGateway(t, temporaryFolder(t));
    const text = 'put a.b 1700000000 1 host=é\nput a.b 1700000001 2 host=é';
    assert.equal(await send(t, gateway, ...Array.from(Buffer.from(text), (byte) => Buffer.from([byte]))), '');
    assert.equal(await count(gateway, 'a.b'), 2);
  });

  it('are all there after 20,000 of them and an end at once, half of them bad', async (t) => {
    const gateway = await startGateway(t, temporaryFolder(t));
    const lines = Array.from({ length: 20_000 }, (_, i) =>
      i % 2 === 0 ? `put many ${i + 1} ${i} host=a\n` : `put many ${i + 1} x${i} host=a\n`,
    );
    await send(t, gateway, lines.join(''));
    assert.equal(await count(gateway, 'many'), 10_000);
    assert.equal(
      await metric(gateway.url, 'sluice_points_total{route="telnet",outcome="malformed"}'),
      10_000,
    );
  });

  it('are taken of a client that never reads, however many are wrong', async (t) => {
    const gateway = await startGateway(t, temporaryFolder(t));
    const socket = connect({ port: gateway.port, host: '127.0.0.1' });
    t.after(() => socket.destroy());
    socket.pause();
    for (let i = 0; i < 40; i++) {
      const lines = Array.from({ length: 1_000 }, (_, n) => `put deaf ${i * 1_000 + n + 1} bad host=a\n`);
      await new Promise<void>((resolve) =>
        socket.write(`${lines.join('')}put deaf ${i + 1} ${i} host=a\n`, () => resolve()),
      );
    }
    await eventually(
      'the good points are there',
      async () => (await count(gateway, 'deaf').catch(() => 0)) === 40,
    );
    assert.ok((await metric(gateway.url, 'sluice_telnet_replies_dropped_total')) > 0);
  });
});

describe('telnet connections', () => {
  it('share the port with HTTP', async (t) => {
    const gateway = await startGateway(t, temporaryFolder(t));
    const { socket, received } = open(t, gateway);
    socket.write('put both 1700000000 1 host=a\nversion\n');
    await eventually('an answer', () => received().includes('Built on'));
    const body = '{"metric":"both","timestamp":1700000001,"value":2,"tags":{"host":"a"}}';
    assert.equal((await post(`${gateway.url}/api/put`, body)).status, 204);
    assert.equal(await count(gateway, 'both'), 2);
    assert.equal(await metric(gateway.url, 'sluice_telnet_connections'), 1);
  });

  it('answer commands in their order, and end at exit', async (t) => {
    const gateway = await startGateway(t, temporaryFolder(t));
    const answer = await send(
      t,
      gateway,
      'help\nstatus\ndropcaches\n\ndiediedie\nstats\nexit\nput late 1 1 a=b\n',
    );
    assert.match(
      answer,
      /^available commands: .*\nok\nCaches dropped\.\nunknown command: diediedie\. {2}Try `help'\.\ntsd\./,
    );
    await assert.rejects(count(gateway, 'late'));
  });

  it('end at exit behind more commands than are answered at once', async (t) => {
    const gateway = await startGateway(t, temporaryFolder(t));
    const { socket, received, ended } = open(t, gateway);
    socket.write(`${'status\n'.repeat(100)}exit\nput late 1 1 a=b\n`);
    await ended;
    assert.match(received(), /^(ok\n)+$/);
    await assert.rejects(count(gateway, 'late'));
  });

  it('of a sender that never pauses do not hold up a stop', async (t) => {
    const gateway = await startGateway(t, temporaryFolder(t));
    const { socket, ended } = open(t, gateway);
    const lines = Buffer.from('put stream 1 1 host=a\n'.repeat(1_000));
    const more = (): void => {
      while (socket.writable && socket.write(lines));
    };
    socket.on('drain', more);
    more();
    await eventually('lines are stored', async () => (await count(gateway, 'stream').catch(() => 0)) > 0);
    assert.equal(await gateway.stop(), 0);
    await ended;
    assert.deepEqual(
      gateway.logs.filter(({ msg }) => msg.includes('in time')),
      [],
    );
  });

  it('end at a line that is too long, after those before it', async (t) => {
    const gateway = await startGateway(t, temporaryFolder(t), { SLUICE_TELNET_LINE_BYTES: '2KiB' });
    const { socket, received, ended } = open(t, gateway);
    socket.write(`put short 1 1 host=a\nput long 1 1 host=${'x'.repeat(5_000)}`);
    await ended;
    assert.equal(received(), 'put: illegal argument: line longer than 2048 bytes\n');
    assert.equal(await count(gateway, 'short'), 1);
  });

  it('end at a TLS greeting', async (t) => {
    const gateway = await startGateway(t, temporaryFolder(t));
    assert.equal(await send(t, gateway, Buffer.from([0x16, 0x03, 0x01, 0x00, 0x05])), '');
  });

  it('are finished when the gateway stops: what had come is stored', async (t) => {
    const folder = temporaryFolder(t);
    const gateway = await startGateway(t, folder);
    const { socket, ended } = open(t, gateway);
    const silent = open(t, gateway);
    socket.write('put last 1 1 host=a\nput last 2 2 ho');
    await eventually('the line is there', async () => (await count(gateway, 'last').catch(() => 0)) === 1);
    assert.equal(await gateway.stop(), 0);
    await Promise.all([ended, silent.ended]);
    assert.equal(await count(await startGateway(t, folder), 'last'), 1);
  });

  it('are refused for lack of rights', async (t) => {
    const folder = temporaryFolder(t);
    writeFileSync(`${folder}/users.yaml`, '[]\n');
    const gateway = await startGateway(t, folder, { SLUICE_ACCESS_FILE: 'users.yaml' });
    assert.match(await send(t, gateway, 'put m 1 1 a=b\n'), /^put: permission denied/);
  });
});

describe('telnet points that nobody can be told about', () => {
  it('are parked while their table waits, and go to the dead letter when it is refused', async (t) => {
    const folder = temporaryFolder(t);
    const gateway = await startGateway(t, folder, { SLUICE_POLICY_DENY: 'bad\\..*' });
    await fetch(`${gateway.url}/admin/pause?reason=test`, { method: 'POST' });
    assert.match(
      await send(t, gateway, 'put wait 1 1 host=a\nput bad.one 1 7 host=a\n'),
      /^put: illegal argument: .*denied/,
    );
    assert.equal(await metric(gateway.url, 'sluice_points_total{route="telnet",outcome="parked"}'), 1);
    assert.match(allFiles(join(folder, 'data/dead-letter')), /bad\.one,host=a value=7/);
    await fetch(`${gateway.url}/admin/resume`, { method: 'POST' });
    await eventually('it is there', async () => (await count(gateway, 'wait').catch(() => 0)) === 1);
  });
});
