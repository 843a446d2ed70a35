import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createMetrics, type Metrics } from '../../src/metrics.ts';

/** Samples by name and labels, as Prometheus prints them. */
async function scrape(metrics: Metrics): Promise<ReadonlyMap<string, number>> {
  const { body } = await metrics.render();
  const samples = body.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    samples.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]),
  );
}

describe('metrics', () => {
  it('are named by the conventions of Prometheus', async () => {
    const metrics = createMetrics('1');
    const { body } = await metrics.render();
    const types = [...body.matchAll(/^# TYPE (sluice_\S+) (\S+)$/gm)];
    assert.ok(types.length > 20);
    for (const [, name = '', type] of types) {
      assert.equal(name.endsWith('_total'), type === 'counter', name);
      if (type === 'histogram') assert.match(name, /_seconds$/);
      assert.match(body, new RegExp(`^# HELP ${name} .+\\.$`, 'm'));
    }
    assert.match(body, /^nodejs_eventloop_lag_p99_seconds /m);
    assert.match(body, /^process_resident_memory_bytes /m);
  });

  it('keep counting across scrapes', async () => {
    const metrics = createMetrics('1');
    for (let round = 1; round <= 3; round++) {
      metrics.ingest.rowsRejected('denied_name', 5);
      metrics.guard.rejected('denied_name');
      metrics.guard.rejected('type_conflict');
      metrics.guard.lookup('negative', true);
      const samples = await scrape(metrics);
      assert.equal(samples.get('sluice_rows_rejected_total{reason="denied_name"}'), round * 5);
      assert.equal(samples.get('sluice_guard_rejected_total{reason="denied_name"}'), round);
      assert.equal(samples.get('sluice_guard_rejected_total{reason="type_conflict"}'), round);
      assert.equal(samples.get('sluice_guard_negative_lookups_total{result="hit"}'), round);
    }
  });

  it('read gauges and counters of the parts at each scrape', async () => {
    const metrics = createMetrics('1');
    let value = 1;
    metrics.gauge('sluice_some', 'Some.', () => value);
    metrics.counter('sluice_more_total', 'More.', () => value * 10);
    await scrape(metrics);
    value = 2;
    const samples = await scrape(metrics);
    assert.deepEqual([samples.get('sluice_some'), samples.get('sluice_more_total')], [2, 20]);
  });
});
