/**
 * Gateways that die at every step of a creation (kill -9), on a real etcd: no task is lost or made twice, another
 * leads within the lease, and the table is made. CLUSTER_ROUNDS=20 goes round so often.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Cluster, type ClusterGateway, startCluster, write } from '../helpers/cluster.ts';
import { KILL_POINTS, type KillPoint } from '../helpers/kill-points.ts';
import { eventually } from '../helpers/wait.ts';

const ROUNDS = Number(process.env['CLUSTER_ROUNDS'] ?? 1);
const ROUND_MS = 120_000;

/** Dies at the step while new tables are made; answers the names of those that were asked for. */
async function dieAt(cluster: Cluster, point: KillPoint): Promise<readonly string[]> {
  const tables: string[] = [];
  const leader = await cluster.leader();
  const [follower] = await cluster.followers();
  assert.ok(follower !== undefined);
  const victim = point.startsWith('enqueue') || point.startsWith('elect') ? follower : leader;
  await victim.killAt(point);
  if (point.startsWith('elect')) {
    // Only the victim is left to be elected.
    for (const other of cluster.alive) if (other !== victim) await other.stop('SIGKILL');
  }
  const writer = point.startsWith('enqueue') ? victim : follower;
  // One is enough but for the lease of outcomes, of which there is a new one every two seconds.
  while (victim.alive && !point.startsWith('elect')) {
    const table = cluster.freshTable(point.replace('.', '_'));
    tables.push(table);
    await Promise.race([write(writer, table), victim.exited]);
  }
  assert.equal(await victim.exited, 'SIGKILL');
  return tables;
}

async function assertMade(cluster: Cluster, table: string): Promise<void> {
  const [gateway] = cluster.alive as [ClusterGateway];
  await eventually(`${table} is made`, async () => (await write(gateway, table)) === 204);
  const creates = cluster.database.creates(new RegExp(`^${table}$`)).length;
  // Only when the leader dies with the statement sent must it be sent again.
  assert.ok(creates >= 1 && creates <= 2, `${creates} CREATEs of ${table}`);
}

async function refill(cluster: Cluster): Promise<void> {
  while (cluster.alive.length < 3) await cluster.add();
}

describe('a gateway that is killed', { timeout: ROUND_MS * ROUNDS }, () => {
  it('at any step of a creation leaves nothing behind, and the table is made', async (t) => {
    const cluster = await startCluster(t);
    for (let round = 0; round < ROUNDS; round++) {
      for (const point of KILL_POINTS) {
        const beganMs = performance.now();
        const tables = await dieAt(cluster, point);
        await refill(cluster);
        for (const table of tables) await assertMade(cluster, table);
        await cluster.assertCreates();
        t.diagnostic(`${point}: ${Math.round(performance.now() - beganMs)} ms`);
      }
      await cluster.assertQuiescent();
    }
  });
});
