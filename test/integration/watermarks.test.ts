/** Watermarks of the real process: writes are refused before their body is read, all else answers. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { metric, post, startGateway, temporaryFolder } from '../helpers/gateway.ts';

describe('a gateway over a mark', () => {
  it('of its memory answers writes with 503 and goes on to tell how it is', async (t) => {
    const { url } = await startGateway(t, temporaryFolder(t), { SLUICE_PROTECT_RSS_BYTES: '1' });
    const refused = await post(`${url}/write?db=here`, 'cpu v=1 1');
    assert.equal(refused.status, 503);
    assert.ok(Number(refused.headers.get('retry-after')) > 0);
    assert.equal((await fetch(`${url}/health`)).status, 200);
    assert.equal(await metric(url, 'sluice_watermark_tripped{mark="rss_bytes"}'), 1);
    assert.equal(await metric(url, 'sluice_watermark_trips_total{mark="rss_bytes"}'), 1);
  });

  it('that is switched off takes them', async (t) => {
    const { url } = await startGateway(t, temporaryFolder(t), { SLUICE_PROTECT_HEAP_PERCENT: '0' });
    assert.equal((await post(`${url}/write?db=here`, 'cpu v=1 1')).status, 204);
    assert.equal(await metric(url, 'sluice_watermark_tripped{mark="rss_bytes"}'), 0);
  });
});
