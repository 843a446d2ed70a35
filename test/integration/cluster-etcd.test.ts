/**
 * What becomes of gateways when etcd itself suffers: killed, absent at the start, wiped, full, compacted. Known tables
 * flow on, new ones are told to come again, and all of it heals without a restart.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Cluster, gauge, live, startCluster, write } from '../helpers/cluster.ts';
import { startTraffic } from '../helpers/cluster-traffic.ts';
import { type Etcd, startEtcd } from '../helpers/etcd.ts';
import { readEtcd } from '../helpers/etcd-meter.ts';
import { startTcpProxy } from '../helpers/tcp-proxy.ts';
import { eventually } from '../helpers/wait.ts';

const QUOTA_BYTES = 16 * 2 ** 20;

/** Puts a MiB at a time until etcd refuses. */
async function fill(etcd: Etcd): Promise<void> {
  for (let i = 0; ; i++) {
    const body = JSON.stringify({ key: btoa(`/junk/${i}`), value: btoa('x'.repeat(2 ** 20)) });
    const response = await fetch(`${etcd.url}/v3/kv/put`, { method: 'POST', body });
    const text = await response.text();
    if (response.ok) continue;
    assert.match(text, /database space exceeded/);
    return;
  }
}

/** What an operator does about it. */
async function makeRoom(etcd: Etcd): Promise<void> {
  await etcd.ctl(['del', '--prefix', '/junk/']);
  const [head] = JSON.parse(await etcd.ctl(['endpoint', 'status', '-w', 'json'])) as [
    { readonly Status: { readonly header: { readonly revision: number } } },
  ];
  await etcd.ctl(['compact', String(head.Status.header.revision)]);
  await etcd.ctl(['defrag']);
  await etcd.ctl(['alarm', 'disarm']);
}

async function finish(cluster: Cluster, traffic: { finish(): Promise<void> }): Promise<void> {
  await cluster.assertCreates();
  await traffic.finish();
  await cluster.assertQuiescent();
}

describe('gateways whose etcd', () => {
  it('is killed and comes back: known tables flow, new ones wait', async (t) => {
    const cluster = await startCluster(t);
    const [etcd] = cluster.etcd as [Etcd];
    const traffic = await startTraffic(cluster);
    await traffic.answered('fresh', 204);
    await etcd.kill9();
    await traffic.answered('known', 204, 20);
    await traffic.answered('fresh', 503);
    await etcd.restart();
    await finish(cluster, traffic);
  });

  it('is not there at the start: they serve what exists, and the rest once it comes', async (t) => {
    const etcd = await startEtcd(t);
    await etcd.kill9();
    const cluster = await startCluster(t, { etcd: [etcd], gateways: 0 });
    cluster.database.tables.set('public\u0000known', [
      { name: 'host', kind: 'tag', type: 'string' },
      { name: 'value', kind: 'field', type: 'float64' },
    ]);
    const [one] = await Promise.all([cluster.add(), cluster.add()]);
    assert.equal(await write(one, 'known'), 204);
    assert.equal(await write(one, 'new'), 503);
    await etcd.restart();
    await eventually('the new table is made', async () => (await write(one, 'new')) === 204);
    await finish(cluster, { finish: () => Promise.resolve() });
  });

  it('loses all its data: they begin anew', async (t) => {
    const cluster = await startCluster(t);
    const [etcd] = cluster.etcd as [Etcd];
    const traffic = await startTraffic(cluster);
    await traffic.answered('fresh', 204);
    await cluster.history.caughtUp();
    cluster.invariants.assertHeld();
    await cluster.history.close();
    await etcd.wipe();
    cluster.judge();
    await finish(cluster, traffic);
  });

  it('runs full with tasks open: these end, known tables flow, and room heals it', async (t) => {
    const cluster = await startCluster(t, {
      quotaBytes: QUOTA_BYTES,
      env: { SLUICE_DDL_TIMEOUT_MS: '2000' },
    });
    const [etcd] = cluster.etcd as [Etcd];
    const traffic = await startTraffic(cluster);
    const [follower] = await cluster.followers();
    assert.ok(follower !== undefined);
    cluster.database.rules = [{ pattern: /^slow_/, fault: 'hang' }];
    for (const table of ['slow_1', 'slow_2', 'slow_3']) void write(follower, table);
    await eventually('their statements run', () => cluster.database.creates(/^slow_/).length === 3);
    cluster.invariants.drainAllowed = true;
    await fill(etcd);
    assert.equal((await readEtcd(etcd.url, '/'))?.nospace, true);
    // The statements have worked after all: the leader finds them in the schema.
    for (const table of ['slow_1', 'slow_2', 'slow_3'])
      cluster.database.tables.set(`public\u0000${table}`, []);
    cluster.database.rules = [];
    await traffic.answered('known', 204, 20);
    await traffic.answered('fresh', 503);
    await makeRoom(etcd);
    await finish(cluster, traffic);
  });

  it('forgets its history while a gateway is away: that one reads everything anew', async (t) => {
    const etcd = await startEtcd(t);
    const proxy = await startTcpProxy(t, etcd.port);
    const through = `http://127.0.0.1:${proxy.port}`;
    const cluster = await startCluster(t, {
      etcd: [etcd],
      endpoints: (index) => (index === 3 ? through : etcd.url),
    });
    const away = await cluster.add();
    await live(away);
    proxy.refuse();
    proxy.cut();
    await eventually('it has lost sight of etcd', async () => (await gauge(away, 'sluice_ddl_live')) === 0);
    const [one] = cluster.alive;
    assert.ok(one !== undefined);
    for (let i = 0; i < 5; i++) assert.equal(await write(one, cluster.freshTable()), 204);
    await cluster.history.caughtUp();
    await etcd.ctl(['compact', String(cluster.history.rev)]);
    assert.equal(await write(away, cluster.freshTable()), 503);
    proxy.heal();
    await eventually('it is told that its place is gone', async () => {
      return (await gauge(away, 'sluice_ddl_watch_ended_total{reason="compacted"}')) >= 1;
    });
    await live(away);
    await finish(cluster, { finish: () => Promise.resolve() });
  });
});
