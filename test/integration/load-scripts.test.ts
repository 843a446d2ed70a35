import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';

const run = promisify(execFile);
const skip = spawnSync('curl', ['--version']).status === 0 ? false : 'curl is not installed';

interface Received {
  readonly path: string;
  readonly body: string;
}

/** A stand-in for the gateway: keeps what it gets, answers 400 to bodies that mention a storm, else 204. */
async function startReceiver(t: TestContext): Promise<{ url: string; received: Received[] }> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      received.push({ path: String(request.url), body });
      if (request.url === '/metrics') response.end(`sluice_ddl_tasks_total{kind="x"} ${received.length}\n`);
      else response.writeHead(body.includes('storm') ? 400 : 204).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, received };
}

function count(output: string, stream: string, status: number): number {
  return Number(new RegExp(`^${stream} +${status} +(\\d+) `, 'm').exec(output)?.[1]);
}

describe('the load scripts', { skip }, () => {
  it('put.sh sends OpenTSDB points and counts every answer', async (t) => {
    const { url, received } = await startReceiver(t);
    const { stdout } = await run('sh', ['test/load/put.sh', url, '1', '30', '2']);
    assert.ok(received.length > 0);
    assert.equal(count(stdout, 'put', 204), received.length);
    for (const { path, body } of received) {
      const points = JSON.parse(body) as { metric: string; timestamp: number }[];
      assert.deepEqual([path, points.length, points[0]?.metric], ['/api/put', 30, 'load.put.0']);
    }
    const keys = received.flatMap(({ body }) =>
      (JSON.parse(body) as object[]).map((p) => JSON.stringify({ ...p, value: 0 })),
    );
    assert.equal(new Set(keys).size, keys.length);
  });

  it('line.sh sends line protocol and counts every answer', async (t) => {
    const { url, received } = await startReceiver(t);
    const { stdout } = await run('sh', ['test/load/line.sh', url, '1', '3', '1']);
    assert.ok(received.length > 0);
    assert.equal(count(stdout, 'line', 204), received.length);
    for (const { path, body } of received) {
      assert.equal(path, '/write?db=public&precision=ms');
      assert.match(
        body,
        /^(load_line_[0-2],host=h1,cpu=0 busy=[\d.]+,count=\d+i,up=true,state="ok" \d{13}\n){3}$/,
      );
    }
  });

  it('storm.sh makes the healthy tables, sends both streams, counts them apart, and shows the counters', async (t) => {
    const { url, received } = await startReceiver(t);
    const { stdout } = await run('sh', ['test/load/storm.sh', url, '1', '60', 'storm-%d', '1']);
    const [first, ...puts] = received.filter(({ path }) => path === '/api/put');
    const made = (JSON.parse(String(first?.body)) as { metric: string }[]).map(({ metric }) => metric);
    assert.deepEqual(new Set(made), new Set(Array.from({ length: 20 }, (_, i) => `load.healthy.${i}`)));
    const stormy = puts.filter(({ body }) => body.includes('"storm-59"') || body.includes('"storm-0"'));
    assert.ok(stormy.length > 0 && stormy.length < puts.length);
    assert.equal(count(stdout, 'storm', 400) + count(stdout, 'healthy', 204), puts.length);
    assert.match(stdout, /^sluice_ddl_tasks_total\{kind="x"\} \+\d+$/m);
  });

  it('end with 1 when nobody answers, and with 2 for arguments that make no sense', async () => {
    await assert.rejects(run('sh', ['test/load/put.sh', 'http://127.0.0.1:1', '1', '1', '1']), { code: 1 });
    for (const script of ['put.sh', 'line.sh', 'storm.sh']) {
      await assert.rejects(run('sh', [`test/load/${script}`, 'http://127.0.0.1:1', 'soon']), { code: 2 });
    }
  });

  it('explain themselves', async () => {
    for (const script of ['put.sh', 'line.sh', 'storm.sh']) {
      const { stdout } = await run('sh', [`test/load/${script}`, '--help']);
      assert.match(stdout, new RegExp(`^[^\\n]+\\n\\nUsage: ${script}`));
      assert.doesNotMatch(stdout, /shellcheck/);
    }
  });
});
