import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ClusterGateway, startCluster, write } from '../helpers/cluster.ts';
import { eventually } from '../helpers/wait.ts';

const SHARED_MS = 1_000;

async function act({ url }: ClusterGateway, action: string): Promise<unknown> {
  return (await fetch(`${url}/admin/${action}`, { method: 'POST' })).json();
}

async function isPaused({ url }: ClusterGateway): Promise<boolean> {
  const status = (await (await fetch(`${url}/admin/status`)).json()) as { paused: unknown };
  return status.paused !== null;
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
});
