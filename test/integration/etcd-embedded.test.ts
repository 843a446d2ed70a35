/** Gateways with an embedded database each, on one etcd: nothing is shared but etcd, so no one waits for another. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gauge, write } from '../helpers/cluster.ts';
import { type Etcd, startEtcd } from '../helpers/etcd.ts';
import { type Gateway, query, startGateway, temporaryFolder } from '../helpers/gateway.ts';
import { eventually } from '../helpers/wait.ts';

/** A write is acknowledged only once its table is made, not when it is parked. */
const MADE = { SLUICE_SPOOL_ENABLED: 'false', SLUICE_DDL_STORE: 'etcd' };

/** The leaders' keys under the default prefix. */
async function leaderKeys(etcd: Etcd): Promise<readonly string[]> {
  const keys = await etcd.ctl(['get', '--prefix', '/sluice/', '--keys-only']);
  return keys.split('\n').filter((key) => key.endsWith('/lead'));
}

async function assertMakes(gateway: Gateway, table: string): Promise<void> {
  await eventually(`${table} is made`, async () => (await write(gateway, table)) === 204);
  assert.equal(await query(gateway.url, `SELECT count(*) FROM ${table}`), '[[1]]');
}

describe('gateways with the same etcd and prefix, each with a DuckDB file of its own', () => {
  it('each make their tables, and find their own keys again after a restart', async (t) => {
    const etcd = await startEtcd(t);
    const env = { ...MADE, SLUICE_ETCD_ENDPOINTS: etcd.url, SLUICE_DDL_LEASE_MS: '6000' };
    const folders = [temporaryFolder(t), temporaryFolder(t)] as const;
    const [one, other] = await Promise.all(folders.map((folder) => startGateway(t, folder, env)));
    assert.ok(one !== undefined && other !== undefined);
    await Promise.all([assertMakes(one, 'same'), assertMakes(other, 'same')]);
    await Promise.all([assertMakes(one, 'first'), assertMakes(other, 'second')]);
    const before = await leaderKeys(etcd);
    assert.equal(before.length, 2, before.join());
    assert.equal(await one.stop(), 0);
    const again = await startGateway(t, folders[0], env);
    await eventually('it leads', async () => (await gauge(again, 'sluice_ddl_leader')) === 1);
    assert.deepEqual(await leaderKeys(etcd), before);
  });

  it('with discard in its place, too', async (t) => {
    const etcd = await startEtcd(t);
    const env = { ...MADE, SLUICE_SINK_KIND: 'discard', SLUICE_ETCD_ENDPOINTS: etcd.url };
    const gateways = await Promise.all([1, 2].map(() => startGateway(t, temporaryFolder(t), env)));
    for (const gateway of gateways) {
      await eventually('a table is made', async () => (await write(gateway, 'same')) === 204);
    }
  });
});
