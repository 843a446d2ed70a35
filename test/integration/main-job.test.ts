/** The main job, on the real process with the embedded database. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { metric, post, query, startGateway, temporaryFolder } from '../helpers/gateway.ts';

const DONE = 'sluice_ddl_attempts_total{class="done"}';

function put(metricName: string, timestamp: number, value: number): string {
  return JSON.stringify({ metric: metricName, timestamp, value, tags: { host: 'a' } });
}

describe('the gateway on the embedded database', () => {
  it('takes OpenTSDB and line protocol, makes each table once, and gives the rows back', async (t) => {
    const { url } = await startGateway(t, temporaryFolder(t));
    assert.equal(
      (
        await post(
          `${url}/api/put`,
          `[${put('sys.cpu', 1_700_000_000, 1.5)},${put('sys.mem', 1_700_000_000, 2)}]`,
        )
      ).status,
      204,
    );
    assert.equal(
      (
        await post(
          `${url}/write?db=tele`,
          'cpu,host=a usage=1.5,n=3i,big=18446744073709551615u,ok=t,s="x" 1700000000123456789',
        )
      ).status,
      204,
    );
    assert.equal(
      (
        await post(
          `${url}/api/v2/write?bucket=tele&org=o`,
          'cpu,host=b,zone=z usage=2.5,more=1i 1700000000000000001',
        )
      ).status,
      204,
    );
    assert.equal(
      await query(url, 'SELECT time, host, value FROM "sys.cpu"'),
      '[[1700000000000000000,"a",1.5]]',
    );
    assert.equal(
      await query(url, 'SELECT time, host, zone, usage, n, big, ok, s, more FROM cpu ORDER BY time', 'tele'),
      '[[1700000000000000001,"b","z",2.5,null,null,null,null,1],[1700000000123456789,"a",null,1.5,3,18446744073709551615,true,"x",null]]',
    );
    // Two databases, three tables, one table widened.
    assert.equal(await metric(url, DONE), 6);
  });

  it('50 concurrent requests for one new metric make one CREATE', async (t) => {
    const { url } = await startGateway(t, temporaryFolder(t));
    await post(`${url}/api/put`, put('first', 1, 1));
    const before = await metric(url, DONE);
    const bodies = Array.from({ length: 50 }, (_, i) => put('crowd', 1_700_000_000 + i, i));
    const answers = await Promise.all(bodies.map((body) => post(`${url}/api/put`, body)));
    assert.deepEqual(
      answers.map(({ status }) => status),
      bodies.map(() => 204),
    );
    assert.equal((await metric(url, DONE)) - before, 1);
    assert.equal(await query(url, 'SELECT count(*), sum(value) FROM crowd'), '[[50,1225]]');
  });

  it('a batch that is sent again is there once, the last value wins', async (t) => {
    const { url } = await startGateway(t, temporaryFolder(t));
    for (const value of [1, 1, 2]) {
      assert.equal((await post(`${url}/write?db=d`, `m,a=b v=${value} 5\nm,a=c v=9 5\n`)).status, 204);
    }
    assert.equal(await query(url, 'SELECT a, v FROM m ORDER BY a', 'd'), '[["b",2],["c",9]]');
  });

  it('rows that were acknowledged survive kill -9, and series go on under their old numbers', async (t) => {
    const folder = temporaryFolder(t);
    const first = await startGateway(t, folder);
    for (let i = 0; i < 20; i++)
      assert.equal((await post(`${first.url}/write?db=d`, `m,a=${i % 4} v=${i}i ${i}`)).status, 204);
    assert.equal(await first.stop('SIGKILL'), 'SIGKILL');
    const second = await startGateway(t, folder);
    assert.equal((await post(`${second.url}/write?db=d`, 'm,a=1 v=100i 100')).status, 204);
    assert.equal(
      await query(second.url, 'SELECT count(*), sum(v), count(DISTINCT a) FROM m', 'd'),
      '[[21,290,4]]',
    );
    assert.equal(await metric(second.url, 'sluice_duckdb_series'), 4);
    // The tables were found, not made again.
    assert.equal(await metric(second.url, DONE), 0);
    assert.equal(await second.stop(), 0);
  });

  it('names that differ in case only are different tables and columns', async (t) => {
    const { url } = await startGateway(t, temporaryFolder(t));
    const body = 'CPU,Host=a,host=b Value=1,value=2,TIME=3 1\ncpu,host=c value=4 1\n';
    assert.deepEqual(await post(`${url}/write?db=d`, body).then(({ status, text }) => [status, text]), [
      204,
      '',
    ]);
    const rows = await query(
      url,
      "SELECT sum(columns) FROM (SELECT count(*) AS columns FROM information_schema.columns WHERE table_schema = 'd' GROUP BY table_name)",
      'd',
    );
    // CPU: time, Host, host, Value, value, TIME; cpu: time, host, value.
    assert.equal(rows, '[[9]]');
  });

  it('finishes a request that is under way when it is told to stop', async (t) => {
    const gateway = await startGateway(t, temporaryFolder(t));
    const body = put('late', 1_700_000_000, 1);
    const socket = connect(gateway.port, '127.0.0.1');
    t.after(() => socket.destroy());
    let answer = '';
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    await once(socket, 'connect');
    // The gateway asks for the body, so it has the request in hand when the signal comes.
    socket.write(
      `POST /api/put HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: ${body.length}\r\n\r\n`,
    );
    await once(socket, 'data');
    gateway.child.kill('SIGTERM');
    await gateway.logged('stopping');
    socket.write(body);
    await once(socket, 'close');
    assert.match(answer, /HTTP\/1.1 204 No Content/);
    const [code] =
      gateway.child.exitCode === null
        ? ((await once(gateway.child, 'exit')) as [number])
        : [gateway.child.exitCode];
    assert.equal(code, 0);
  });

  it('ends at once at the second signal', async (t) => {
    const gateway = await startGateway(t, temporaryFolder(t));
    const socket = connect(gateway.port, '127.0.0.1');
    t.after(() => socket.destroy());
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    socket.write('POST /api/put HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n');
    await once(socket, 'data');
    gateway.child.kill('SIGTERM');
    await gateway.logged('stopping');
    assert.equal(await gateway.stop('SIGINT'), 1);
  });
});
