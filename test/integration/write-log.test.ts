/** The log that acknowledges and the rows that wait on disk, with a real DuckDB and a real spool. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { DdlResult } from '../../src/model/sink.ts';
import { WriteError } from '../../src/model/sink.ts';
import {
  launchGateway,
  metric,
  post,
  query,
  runGateway,
  startGateway,
  temporaryFolder,
} from '../helpers/gateway.ts';
import { startInProcess } from '../helpers/in-process.ts';
import { eventually } from '../helpers/wait.ts';

const AWAY: DdlResult = { kind: 'transient', code: '5000', message: 'storage is away' };
const DOWN = new WriteError({ kind: 'transient', code: 'DOWN', message: 'the disk of the database' });
const LOG = { SLUICE_FLUSH_ACK: 'log' };
/** Nothing is written to the database before somebody asks. */
const SLOW = { ...LOG, SLUICE_FLUSH_MAX_DELAY_MS: '3600000' };

function put(url: string, query: string, name: string): Promise<{ status: number; text: string }> {
  const point = { metric: name, timestamp: 1_700_000_000, value: 1, tags: { host: 'a' } };
  return post(`${url}/api/put?${query}`, JSON.stringify(point));
}

function emptied(url: string, gauge: string): Promise<unknown> {
  return eventually(`${gauge} at 0`, async () => (await metric(url, gauge)) === 0);
}

describe('the log acknowledges', () => {
  it('and a query sees it at once, strings included', async (t) => {
    const { url } = await startGateway(t, temporaryFolder(t), SLOW);
    for (let i = 0; i < 20; i++) {
      assert.equal((await post(`${url}/write?db=d`, `m n=${i}i,s="text ${i} \\"x\\"" ${i}`)).status, 204);
      const expected = JSON.stringify([[i + 1, `text ${i} "x"`]]);
      assert.equal(await query(url, 'SELECT count(*), max_by(s, n) FROM m', 'd'), expected);
    }
  });

  it('and kill -9 right after it loses nothing and shows nothing twice', async (t) => {
    const folder = temporaryFolder(t);
    for (let round = 0; round < 3; round++) {
      const gateway = await startGateway(t, folder, SLOW);
      for (let i = 0; i < 10; i++) {
        const lines = Array.from({ length: 50 }, (_, k) => `m${k % 3} n=${i}i ${round * 1_000 + i * 50 + k}`);
        assert.equal((await post(`${gateway.url}/write?db=d`, lines.join('\n'))).status, 204);
      }
      // The newest value of one point, of several.
      for (const v of [1, 2, 3])
        assert.equal((await post(`${gateway.url}/write?db=d`, `last v=${round * 10 + v} 1`)).status, 204);
      gateway.child.kill('SIGKILL');
      await once(gateway.child, 'exit');
    }
    const gateway = await startGateway(t, folder, LOG);
    const count = 'SELECT (SELECT count(*) FROM m0) + (SELECT count(*) FROM m1) + (SELECT count(*) FROM m2)';
    assert.equal(await query(gateway.url, count, 'd'), '[[1500]]');
    assert.equal(await query(gateway.url, 'SELECT v, time FROM last', 'd'), '[[23,1]]');
    await emptied(gateway.url, 'sluice_spool_records');
    assert.equal(await gateway.stop(), 0);
  });

  it('and what was stopped in time is in the database, so that the log may be left out afterwards', async (t) => {
    const folder = temporaryFolder(t);
    const gateway = await startGateway(t, folder, SLOW);
    assert.equal((await post(`${gateway.url}/write?db=d`, 'm n=1i 1')).status, 204);
    assert.equal(await gateway.stop(), 0);
    const next = await startGateway(t, folder, { SLUICE_SPOOL_ENABLED: 'false' });
    assert.equal(await query(next.url, 'SELECT n FROM m', 'd'), '[[1]]');
  });

  it('also while the database fails; the rows follow in order', async (t) => {
    let away = true;
    const { url } = await startInProcess(
      t,
      () => undefined,
      LOG,
      () => (away ? DOWN : undefined),
    );
    for (let v = 0; v < 5; v++)
      assert.equal((await post(`${url}/write?db=d`, `m v=${v} 1\nm v=${v} ${v + 2}`)).status, 204);
    await eventually('a failure', async () => (await metric(url, 'sluice_log_retries_total')) > 0);
    const health = (await (await fetch(`${url}/health`)).json()) as { status: string; message: string };
    assert.equal(health.status, 'pass');
    assert.match(health.message, /the disk of the database/);
    assert.equal(await metric(url, 'sluice_log_records'), 5);
    away = false;
    await emptied(url, 'sluice_log_records');
    assert.equal(await query(url, 'SELECT count(*), max_by(v, time) FROM m', 'd'), '[[6,4]]');
    assert.equal(await query(url, 'SELECT v FROM m WHERE epoch_ns(time) = 1', 'd'), '[[4]]');
  });

  it('until it is full', async (t) => {
    const { url } = await startInProcess(
      t,
      () => undefined,
      { ...LOG, SLUICE_SPOOL_MAX_BYTES: '1MiB' },
      () => DOWN,
    );
    const body = `m s="${'x'.repeat(300_000)}" 1`;
    const statuses: number[] = [];
    for (let i = 0; i < 5; i++) statuses.push((await post(`${url}/write?db=d`, body)).status);
    assert.deepEqual(statuses, [204, 204, 204, 503, 503]);
    assert.equal(await metric(url, 'sluice_log_refused_total{reason="full"}'), 2);
  });

  it('but not for who asks for storage itself, whose rows come after all others', async (t) => {
    const { url } = await startGateway(t, temporaryFolder(t), SLOW);
    assert.equal((await put(url, '', 'm')).status, 204);
    assert.equal((await put(url, 'sync&summary', 'n')).text, '{"success":1,"failed":0}');
    assert.equal(await metric(url, 'sluice_log_rows_total{to="database"}'), 1);
    assert.equal(await metric(url, 'sluice_flush_rows_total'), 2);
  });
});

describe('rows whose table is not there yet', () => {
  for (const [ack, env] of [
    ['log', LOG],
    ['database', { SLUICE_FLUSH_ACK: 'database' }],
  ] as const) {
    it(`wait on disk and come when it is made, the newest last (ack: ${ack})`, async (t) => {
      let away = true;
      const short = {
        ...env,
        SLUICE_GUARD_WAIT_MS: '0',
        SLUICE_DDL_TRANSIENT_MIN_MS: '100',
        SLUICE_DDL_TRANSIENT_MAX_MS: '200',
        SLUICE_DDL_MAX_ATTEMPTS: '1',
      };
      const { url } = await startInProcess(t, (table) => (away && table === 'new' ? AWAY : undefined), short);
      for (let v = 1; v <= 3; v++)
        assert.equal((await post(`${url}/write?db=d`, `new v=${v} 1\nok v=${v} ${v}`)).status, 204);
      assert.equal((await put(url, 'sync', 'new')).status, 503);
      assert.ok((await metric(url, 'sluice_spool_parked_rows_total')) >= 3);
      away = false;
      await emptied(url, 'sluice_spool_records');
      assert.equal(await query(url, 'SELECT v, time FROM new', 'd'), '[[3,1]]');
      assert.equal(await query(url, 'SELECT count(*) FROM ok', 'd'), '[[3]]');
      assert.equal((await post(`${url}/write?db=d`, 'new v=4 1')).status, 204);
      await eventually('the next row', async () => (await query(url, 'SELECT v FROM new', 'd')) === '[[4]]');
    });
  }
});

describe('a spool', () => {
  it('belongs to one process', async (t) => {
    const folder = temporaryFolder(t);
    await startGateway(t, folder, LOG);
    const { code, out } = await runGateway(folder, [], {
      SLUICE_LISTEN_PORT: '0',
      SLUICE_DUCKDB_PATH: join(folder, 'other.duckdb'),
    });
    assert.equal(code, 2, out);
    assert.match(out, /data\/spool.*(in use|another process)/);
  });

  it('may be missing, if nothing asks for it', async (t) => {
    const folder = temporaryFolder(t);
    const { url } = await startGateway(t, folder, { SLUICE_SPOOL_ENABLED: 'false' });
    assert.equal((await post(`${url}/write?db=d`, 'm n=1i 1')).status, 204);
    assert.equal(await query(url, 'SELECT n FROM m', 'd'), '[[1]]');
    const launched = launchGateway(t, temporaryFolder(t), { ...LOG, SLUICE_SPOOL_ENABLED: 'false' });
    assert.deepEqual(await once(launched.child, 'exit'), [2, null]);
  });
});
