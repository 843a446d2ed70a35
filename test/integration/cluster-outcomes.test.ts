/** What one gateway's leader learned, all gateways know: failures, breakers, purges; without asking etcd again and again. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Cluster, gauge, startCluster, write } from '../helpers/cluster.ts';
import type { Etcd } from '../helpers/etcd.ts';
import { countCalls } from '../helpers/etcd-meter.ts';
import { eventually } from '../helpers/wait.ts';

/** The mission's bound on how long one gateway's knowledge takes to be everyone's. */
const SHARED_MS = 1_000;

async function eachKnows(cluster: Cluster, what: string, status: number, table: string): Promise<void> {
  await Promise.all(
    cluster.alive.map((gateway) =>
      eventually(`${gateway.id} ${what}`, async () => (await write(gateway, table)) === status, SHARED_MS),
    ),
  );
}

describe('what the leader learned', () => {
  it('is known to all within a second, and refusing costs no call to etcd', async (t) => {
    const cluster = await startCluster(t);
    const [etcd] = cluster.etcd as [Etcd];
    cluster.database.rules = [{ pattern: /^bad/, fault: 'invalid' }];
    const [follower] = await cluster.followers();
    assert.ok(follower !== undefined);
    assert.equal(await write(follower, 'bad'), 400);
    await Promise.all(
      cluster.alive.map((gateway) =>
        eventually(
          `${gateway.id} has it`,
          async () => (await gauge(gateway, 'sluice_negative_entries')) === 1,
          SHARED_MS,
        ),
      ),
    );
    const before = await countCalls(etcd.url);
    for (let i = 0; i < 300; i++) {
      assert.equal(await write(cluster.alive[i % 3] ?? follower, 'bad'), 400);
    }
    // Each gateway looks at etcd's size every few seconds; that is all.
    const calls = (await countCalls(etcd.url)) - before;
    assert.ok(calls < 30, `${calls} calls to etcd for 300 refusals`);
    assert.equal(cluster.database.creates(/^bad$/).length, 1);
    await cluster.assertQuiescent();
  });

  it('is purged in all of them at once, and one attempt follows', async (t) => {
    const cluster = await startCluster(t);
    cluster.database.rules = [{ pattern: /^bad/, fault: 'invalid' }];
    const [follower] = await cluster.followers();
    assert.ok(follower !== undefined);
    assert.equal(await write(follower, 'bad_1'), 400);
    assert.equal(await write(follower, 'other_bad'), 204);
    await eachKnows(cluster, 'refuses', 400, 'bad_1');
    cluster.database.rules = [];
    // Left alone it would be tried again after 24 s at the earliest.
    assert.equal(await cluster.forget({ kind: 'prefix', database: 'public', table: 'bad_' }), 1);
    await eachKnows(cluster, 'has the table', 204, 'bad_1');
    assert.equal(cluster.database.creates(/^bad_1$/).length, 2);
    await cluster.assertQuiescent();
  });

  it('about a permission stops all creates of the tenant, everywhere, until one probe goes through', async (t) => {
    const cluster = await startCluster(t, { env: { SLUICE_DDL_BREAKER_MS: '2000' } });
    cluster.database.rules = [{ pattern: /^/, fault: 'denied' }];
    const [follower] = await cluster.followers();
    assert.ok(follower !== undefined);
    assert.equal(await write(follower, 'first'), 503);
    const tried = cluster.database.creates().length;
    assert.equal(tried, 1);
    await Promise.all(
      cluster.alive.map(async (gateway, i) => assert.equal(await write(gateway, `more_${i}`), 503)),
    );
    cluster.database.rules = [];
    await cluster.assertCreates();
    await cluster.assertQuiescent();
  });

  it('about a temporary failure is tried again by one gateway at a time', async (t) => {
    const env = {
      SLUICE_DDL_MAX_ATTEMPTS: '1',
      SLUICE_DDL_TRANSIENT_MIN_MS: '300',
      SLUICE_DDL_TRANSIENT_MAX_MS: '600',
    };
    const cluster = await startCluster(t, { env });
    cluster.database.rules = [{ pattern: /^shaky$/, fault: 'transient' }];
    const writers = cluster.alive.map(async (gateway) => {
      for (;;) if ((await write(gateway, 'shaky')) === 204) return;
    });
    await eventually('some attempts', () => cluster.database.creates(/^shaky$/).length >= 4);
    cluster.database.rules = [];
    await Promise.all(writers);
    const times = cluster.database.creates(/^shaky$/).map(({ atMs }) => atMs);
    // 300 ms less 20 % jitter is the shortest back-off.
    for (const [i, atMs] of times.slice(1).entries()) assert.ok(atMs - (times[i] ?? 0) >= 240, times.join());
    await cluster.assertQuiescent();
  });

  it('not even whether its statements worked, keeps nobody from other tables', async (t) => {
    const cluster = await startCluster(t, { env: { SLUICE_DDL_TIMEOUT_MS: '1000' } });
    const [follower] = await cluster.followers();
    assert.ok(follower !== undefined);
    cluster.database.rules = [{ pattern: /^held_/, fault: 'hang' }];
    // As many as the leader runs at a time; for minutes they count as running.
    const held = [0, 1, 2, 3].map((i) => write(follower, `held_${i}`));
    await eventually('their statements run', () => cluster.database.creates(/^held_/).length === 4);
    await Promise.all(held);
    await cluster.assertCreates();
    assert.equal(cluster.database.creates(/^held_/).length, 4);
    await cluster.history.caughtUp();
    cluster.invariants.assertHeld();
  });
});
