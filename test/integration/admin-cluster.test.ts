import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ClusterGateway, gauge, startCluster, write } from '../helpers/cluster.ts';
import { temporaryFolder } from '../helpers/gateway.ts';
import { eventually } from '../helpers/wait.ts';

const SHARED_MS = 1_000;

async function act({ url }: ClusterGateway, action: string): Promise<unknown> {
  return (await fetch(`${url}/admin/${action}`, { method: 'POST' })).json();
}

async function isPaused({ url }: ClusterGateway): Promise<boolean> {
  const status = (await (await fetch(`${url}/admin/status`)).json()) as { paused: unknown };
  return status.paused !== null;
}

/** Tables with negative results, as the gateway knows them. */
async function failures({ url }: ClusterGateway): Promise<readonly unknown[]> {
  const { items } = (await (await fetch(`${url}/admin/failures`)).json()) as { items: { table: string }[] };
  return items.map(({ table }) => table);
}

describe('the admin API of a cluster', () => {
  it('pauses all gateways within a second, and those that start afterwards', async (t) => {
    const cluster = await startCluster(t, { gateways: 2 });
    const [a, b] = cluster.gateways as [ClusterGateway, ClusterGateway];
    assert.deepEqual(await act(a, 'pause?reason=test'), { changed: true });
    await eventually('the other knows', () => isPaused(b), SHARED_MS);
    assert.equal(await write(b, 'held'), 503);
    await Promise.all([a.stop(), b.stop()]);
    const c = await cluster.add();
    await eventually('the new one knows', () => isPaused(c));
    assert.equal(await write(c, 'held'), 503);
    assert.equal(cluster.database.has('held'), false);
    assert.deepEqual(await act(c, 'resume'), { changed: true });
    await cluster.assertCreates();
    await cluster.assertQuiescent();
  });

  it('forgets on all gateways within a second, asked of any', async (t) => {
    const cluster = await startCluster(t, { gateways: 2 });
    const gateways = cluster.gateways as [ClusterGateway, ClusterGateway];
    cluster.database.rules = [{ pattern: /^bad/, fault: 'invalid' }];
    for (const [asked, scope] of [
      [gateways[0], 'all=true'],
      [gateways[1], 'database=public&prefix=bad'],
    ] as const) {
      const table = cluster.freshTable('bad');
      assert.equal(await write(asked, table), 400);
      for (const gateway of gateways)
        await eventually('it is known', async () => (await failures(gateway)).includes(table), SHARED_MS);
      assert.deepEqual(await act(asked, `forget?${scope}`), { forgotten: 1 });
      for (const gateway of gateways)
        await eventually('it is forgotten', async () => (await failures(gateway)).length === 0, SHARED_MS);
      cluster.database.rules = [];
      for (const gateway of gateways.toReversed()) assert.equal(await write(gateway, table), 204);
      cluster.database.rules = [{ pattern: /^bad/, fault: 'invalid' }];
    }
    await cluster.assertQuiescent();
  });

  it('tries a table again at once for the rows that are parked, wherever they are', async (t) => {
    const env = {
      SLUICE_SPOOL_ENABLED: 'true',
      SLUICE_DDL_TRANSIENT_MIN_MS: '20000',
      SLUICE_DDL_MAX_ATTEMPTS: '1',
    };
    const cluster = await startCluster(t, { gateways: 0, env });
    for (let i = 0; i < 2; i++) await cluster.add({ SLUICE_SPOOL_PATH: temporaryFolder(t) });
    await cluster.ready();
    const [a, b] = cluster.gateways as [ClusterGateway, ClusterGateway];
    cluster.database.rules = [{ pattern: /^late$/, fault: 'transient' }];
    assert.equal(await write(b, 'late'), 204);
    await eventually('it failed', async () => (await failures(a)).includes('late'));
    cluster.database.rules = [];
    assert.equal(cluster.database.rowsOf('late'), 0);
    assert.deepEqual(await act(a, 'retry?database=public&table=late'), { forgotten: 1 });
    await eventually('its row is written', () => cluster.database.rowsOf('late') === 1, 10_000);
    await cluster.assertQuiescent();
  });

  it('cancels a task that waits, asked of the leader alone', async (t) => {
    const cluster = await startCluster(t, { gateways: 2, env: { SLUICE_DDL_CONCURRENCY: '1' } });
    const leader = await cluster.leader();
    const [follower = leader] = await cluster.followers();
    cluster.database.rules = [{ pattern: /^slow$/, fault: 'slow', ms: 4_000 }];
    const slow = write(follower, 'slow');
    await eventually('its statement runs', () => cluster.database.creates(/^slow$/).length === 1);
    const next = write(follower, 'next');
    await eventually('both are open', async () => (await gauge(leader, 'sluice_ddl_open_tasks')) === 2);
    const cancel = (gateway: ClusterGateway, table: string) =>
      act(gateway, `cancel?database=public&table=${table}`);
    assert.match(JSON.stringify(await cancel(follower, 'next')), /only the leader can: g/);
    assert.match(JSON.stringify(await cancel(leader, 'slow')), /its statement runs/);
    assert.deepEqual(await cancel(leader, 'next'), { cancelled: true });
    assert.equal(await next, 503);
    await eventually('all know', async () => (await failures(follower)).includes('next'), SHARED_MS);
    assert.equal(cluster.database.has('next'), false);
    await slow;
    await cluster.assertCreates();
    await cluster.assertQuiescent();
  });
});
