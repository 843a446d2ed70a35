/** Gateways on an etcd of three members: one may go, and when the quorum is lost it comes back without them. */
import { describe, it } from 'node:test';
import { startCluster } from '../helpers/cluster.ts';
import { startTraffic } from '../helpers/cluster-traffic.ts';
import { type Etcd, startEtcdCluster } from '../helpers/etcd.ts';

describe('gateways on three members of etcd', () => {
  it('go on with two, defer new tables with one, and recover', async (t) => {
    const members = (await startEtcdCluster(t, 3)) as readonly [Etcd, Etcd, Etcd];
    const cluster = await startCluster(t, { etcd: members });
    const traffic = await startTraffic(cluster);
    await traffic.answered('fresh', 204);
    await members[0].kill9();
    await cluster.assertCreates();
    await members[1].kill9();
    await traffic.answered('fresh', 503);
    await traffic.answered('known', 204, 20);
    await members[1].restart();
    await cluster.assertCreates();
    await members[0].restart();
    await cluster.assertCreates();
    await traffic.finish();
    await cluster.assertQuiescent();
  });
});
