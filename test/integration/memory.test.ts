/** Memory is bounded by configuration, not by what clients send. Measured on the real process. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { flood } from '../helpers/flood.ts';
import { metric, post, startGateway, temporaryFolder } from '../helpers/gateway.ts';

describe('a million refused names', () => {
  it('leave memory under its bound', async (t) => {
    const { url, child } = await startGateway(t, temporaryFolder(t), {
      SLUICE_POLICY_DENY: 'bad\\..*',
      SLUICE_DICTIONARY_MAX_BYTES: '64MiB',
    });
    await flood(500, 4, async (i) => {
      const lines = Array.from({ length: 2_000 }, (_, k) => `bad.${i * 2_000 + k},host=a v=1 1`);
      assert.equal((await post(`${url}/write?db=d`, lines.join('\n'))).status, 400);
    });
    assert.equal(
      await metric(url, 'sluice_points_total{route="influx_write",outcome="rejected"}'),
      1_000_000,
    );
    assert.equal(await metric(url, 'sluice_ddl_tasks_submitted_total'), 0);
    const rssMb = (await metric(url, 'process_resident_memory_bytes')) / 2 ** 20;
    t.diagnostic(`RSS ${Math.round(rssMb)} MiB, pid ${child.pid}`);
    assert.ok(rssMb < 600, `RSS ${rssMb} MiB`);
  });
});
