/** The storm that Sluice exists for: tables that can't be created, beside traffic that must not notice. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DdlResult } from '../../src/model/sink.ts';
import { flood } from '../helpers/flood.ts';
import { metric, post, query, startGateway, temporaryFolder } from '../helpers/gateway.ts';
import { startInProcess } from '../helpers/in-process.ts';

const INVALID: DdlResult = { kind: 'invalid', code: '1004', message: 'this table can not be' };
const TRANSIENT: DdlResult = { kind: 'transient', code: '5000', message: 'storage is away' };

function point(name: string, second = 1_700_000_000): object {
  return { metric: name, timestamp: second, value: 1, tags: { host: 'a' } };
}

describe('a metric that can not be created', () => {
  it('costs one attempt and one open task in its back-off window, however many requests come', async (t) => {
    const env = { SLUICE_DDL_PERMANENT_MIN_MS: '3600000', SLUICE_DDL_PERMANENT_MAX_MS: '3600000' };
    const { url, creates } = await startInProcess(t, (table) => (table === 'bad' ? INVALID : undefined), env);
    const statuses = new Map<number, number>();
    let mostOpen = 0;
    await flood(10_000, 16, async (i) => {
      const { status } = await post(`${url}/api/put`, JSON.stringify(point('bad')));
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      if (i % 500 === 0) mostOpen = Math.max(mostOpen, await metric(url, 'sluice_ddl_open_tasks'));
    });
    assert.deepEqual(creates, ['bad']);
    assert.ok(mostOpen <= 1, `${mostOpen} open tasks`);
    assert.deepEqual([...statuses], [[400, 10_000]]);
    assert.equal(await metric(url, 'sluice_ddl_open_tasks'), 0);
    // The guard's own memory has answered: nothing but the database and the table was ever asked of the queue.
    assert.equal(await metric(url, 'sluice_ddl_tasks_submitted_total'), 2);
    for (const answer of ['joined', 'known'])
      assert.equal(await metric(url, `sluice_ddl_tasks_${answer}_total`), 0);
  });

  it('tells each point why, and stores the healthy and the new ones of the same request', async (t) => {
    const { url } = await startInProcess(t, (table) => (table === 'bad' ? INVALID : undefined));
    assert.equal((await post(`${url}/api/put`, JSON.stringify(point('known')))).status, 204);
    const mixed = JSON.stringify([
      point('known', 1_700_000_001),
      point('bad'),
      point('new'),
      point('bad', 7),
    ]);
    const { status, text } = await post(`${url}/api/put?details`, mixed);
    assert.equal(status, 400);
    const answer = JSON.parse(text) as {
      success: number;
      failed: number;
      errors: { error: string; datapoint: object }[];
    };
    assert.deepEqual([answer.success, answer.failed], [2, 2]);
    for (const { error } of answer.errors) assert.match(error, /this table can not be/);
    assert.deepEqual(
      answer.errors.map(({ datapoint }) => (datapoint as { timestamp: number }).timestamp),
      [1_700_000_000, 7],
    );
    assert.equal(
      await query(url, 'SELECT (SELECT count(*) FROM known), (SELECT count(*) FROM new)'),
      '[[2,1]]',
    );
  });

  it('is told 503 with Retry-After while the cause is temporary, if nothing is parked, and heals without help', async (t) => {
    let away = true;
    const env = {
      SLUICE_DDL_TRANSIENT_MIN_MS: '100',
      SLUICE_DDL_TRANSIENT_MAX_MS: '200',
      SLUICE_DDL_MAX_ATTEMPTS: '1',
      SLUICE_SPOOL_PARK: 'false',
    };
    const { url, creates } = await startInProcess(t, () => (away ? TRANSIENT : undefined), env);
    const refused = await post(`${url}/write?db=d`, 'm v=1 1\n');
    assert.equal(refused.status, 503);
    assert.ok(Number(refused.headers.get('retry-after')) >= 1);
    assert.equal(JSON.parse(refused.text).error, 'service unavailable, try again');
    const tried = creates.length;
    away = false;
    let status = 0;
    for (let i = 0; i < 10_000 && status !== 204; i++)
      ({ status } = await post(`${url}/write?db=d`, 'm v=1 1\n'));
    assert.equal(status, 204);
    assert.equal(creates.length - tried, 1);
    assert.equal(await query(url, 'SELECT count(*) FROM m', 'd'), '[[1]]');
  });

  it('thousands of them keep within the bound of open tasks and leave healthy traffic alone', async (t) => {
    const env = {
      SLUICE_DDL_MAX_OPEN_TASKS: '8',
      SLUICE_DDL_MAX_OPEN_TASKS_PER_TENANT: '8',
      SLUICE_GUARD_WAIT_MS: '0',
      SLUICE_SPOOL_PARK: 'false',
    };
    const { url } = await startInProcess(t, (table) => (table.startsWith('bad') ? INVALID : undefined), env);
    for (let status = 0; status !== 204; )
      ({ status } = await post(`${url}/api/put`, JSON.stringify(point('good'))));
    let mostOpen = 0;
    await flood(500, 8, async (i) => {
      const bad = Array.from({ length: 20 }, (_, k) => point(`bad${i * 20 + k}`));
      const { status } = await post(`${url}/api/put`, JSON.stringify([...bad, point('good', i + 1)]));
      assert.ok(status === 503 || status === 400, `status ${status}`);
      mostOpen = Math.max(mostOpen, await metric(url, 'sluice_ddl_open_tasks'));
    });
    assert.ok(mostOpen <= 8, `${mostOpen} open tasks`);
    assert.equal(await query(url, 'SELECT count(*) FROM good'), '[[501]]');
  });
});

describe('a database that can not be created', () => {
  it('is bounded by its own budget', async (t) => {
    const { url } = await startGateway(t, temporaryFolder(t), { SLUICE_POLICY_MAX_DATABASES: '3' });
    const statuses: number[] = [];
    for (let i = 0; i < 6; i++) statuses.push((await post(`${url}/write?db=db${i}`, 'm v=1 1')).status);
    assert.deepEqual(statuses, [204, 204, 204, 400, 400, 400]);
    assert.equal((await post(`${url}/write?db=db1`, 'm v=2 2')).status, 204);
  });
});
