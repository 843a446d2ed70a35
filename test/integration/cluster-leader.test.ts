/**
 * The leader paused beyond its lease, cut off, or stopped on request: another takes over, the old one changes nothing
 * any more, and no revision in etcd breaks an invariant.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Cluster, type ClusterGateway, gauge, startCluster, write } from '../helpers/cluster.ts';
import { startTraffic } from '../helpers/cluster-traffic.ts';
import { startEtcd } from '../helpers/etcd.ts';
import { startTcpProxy } from '../helpers/tcp-proxy.ts';
import { eventually } from '../helpers/wait.ts';

/** Another gateway than this one leads. */
async function successor(cluster: Cluster, old: ClusterGateway): Promise<ClusterGateway> {
  return await eventually('another leader', async () => {
    for (const gateway of cluster.alive) {
      if (gateway !== old && (await gauge(gateway, 'sluice_ddl_leader')) === 1) return gateway;
    }
    return undefined;
  });
}

describe('a leader', () => {
  it('that is paused beyond its lease, a statement running, does no harm when it wakes', async (t) => {
    const cluster = await startCluster(t);
    const traffic = await startTraffic(cluster);
    const leader = await cluster.leader();
    const [follower] = await cluster.followers();
    assert.ok(follower !== undefined);
    cluster.database.rules = [{ pattern: /^held_/, fault: 'hang' }];
    void write(follower, 'held_1');
    await eventually('the statement runs', () => cluster.database.creates(/^held_/).length === 1);
    traffic.skip.add(leader);
    leader.child.kill('SIGSTOP');
    cluster.database.rules = [];
    await successor(cluster, leader);
    await traffic.answered('fresh', 204);
    await eventually('the new leader makes the table', () => cluster.database.has('held_1'));
    leader.child.kill('SIGCONT');
    await eventually('the old one has noticed', async () => (await gauge(leader, 'sluice_ddl_leader')) === 0);
    traffic.skip.delete(leader);
    await cluster.assertCreates();
    await traffic.finish();
    await cluster.assertQuiescent();
  });

  it('whose link to etcd swallows everything is replaced, and comes back as a follower', async (t) => {
    const etcd = await startEtcd(t);
    const proxies = await Promise.all([0, 1, 2].map(() => startTcpProxy(t, etcd.port)));
    const cluster = await startCluster(t, {
      etcd: [etcd],
      endpoints: (index) => `http://127.0.0.1:${proxies[index]?.port}`,
    });
    const traffic = await startTraffic(cluster);
    const leader = await cluster.leader();
    const proxy = proxies[Number(leader.id.slice(1))];
    assert.ok(proxy !== undefined);
    proxy.drop();
    await successor(cluster, leader);
    assert.equal(await write(leader, cluster.freshTable()), 503);
    await traffic.answered('known', 204, 10);
    // Connections that lost something stay dead, until the ping finds out.
    proxy.heal();
    await eventually('it follows', async () => (await gauge(leader, 'sluice_ddl_leader')) === 0);
    await cluster.assertCreates();
    await traffic.finish();
    await cluster.assertQuiescent();
  });

  it('whose answers from etcd get lost completes nothing twice', async (t) => {
    const etcd = await startEtcd(t);
    const proxies = await Promise.all([0, 1, 2].map(() => startTcpProxy(t, etcd.port)));
    const cluster = await startCluster(t, {
      etcd: [etcd],
      endpoints: (index) => `http://127.0.0.1:${proxies[index]?.port}`,
    });
    const traffic = await startTraffic(cluster);
    for (let i = 0; i < 3; i++) {
      const leader = await cluster.leader();
      const proxy = proxies[Number(leader.id.slice(1))];
      assert.ok(proxy !== undefined);
      const dropped = proxy.dropped();
      proxy.drop('answers');
      await dropped;
      proxy.heal();
      // What was cut into stays dead, and would be noticed by a ping; here it breaks.
      proxy.cut();
      await cluster.assertCreates();
    }
    await traffic.finish();
    await cluster.assertQuiescent();
  });

  it('that is stopped hands over at once, long before its lease ends', async (t) => {
    // The lease is twice as long as any wait in this test.
    const cluster = await startCluster(t, { env: { SLUICE_DDL_LEASE_MS: '60000' } });
    const leader = await cluster.leader();
    assert.equal(await leader.stop(), 0);
    await successor(cluster, leader);
    await cluster.assertCreates();
    await cluster.assertQuiescent();
  });

  it('that is stopped while the database leaves a statement unanswered hands over all the same', async (t) => {
    const cluster = await startCluster(t, { env: { SLUICE_DDL_LEASE_MS: '60000' } });
    const leader = await cluster.leader();
    const [follower] = await cluster.followers();
    assert.ok(follower !== undefined);
    cluster.database.rules = [{ pattern: /^held_/, fault: 'hang' }];
    void write(follower, 'held_1');
    await eventually('the statement runs', () => cluster.database.creates(/^held_/).length === 1);
    cluster.database.rules = [];
    assert.equal(await leader.stop(), 0);
    await successor(cluster, leader);
    await eventually('the new leader makes the table', () => cluster.database.has('held_1'));
    await cluster.assertCreates();
    await cluster.assertQuiescent();
  });
});
