import assert from 'node:assert/strict';
import { it } from 'node:test';
import * as fc from 'fast-check';
import { PointBatch } from '../../src/model/point-batch.ts';
import { createOpenTsdbParser } from '../../src/protocol/opentsdb-json.ts';
import { createRollupParser } from '../../src/protocol/opentsdb-rollup.ts';
import { SeriesDictionary } from '../../src/protocol/series-dictionary.ts';
import { DEFAULT_LIMITS, DEFAULT_RULES } from '../helpers/parsers.ts';

const OPTIONS = { ...DEFAULT_RULES, limits: DEFAULT_LIMITS };
const GOOD = '{"metric":"m","timestamp":1700000000,"value":1,"tags":{"h":"a"}}';

const element = fc.constantFrom(
  GOOD,
  'null',
  '{}',
  '1',
  '{"interval":[]}',
  GOOD.replace('1,', 'NaN,'),
  GOOD.replace('{"metric"', '{"interval":"1h","aggregator":"sum","metric"'),
);

it('takes no rollup, and calls malformed what put calls malformed, but for members of its own', () => {
  const put = createOpenTsdbParser(new SeriesDictionary({ maxSeries: 100, maxBytes: 100_000 }, 1), OPTIONS);
  const rollup = createRollupParser(OPTIONS);
  const batch = new PointBatch();
  const body = fc.array(element, { maxLength: 4 }).map((elements) => `[${elements.join(',')}]`);
  const cut = fc.tuple(body, fc.nat(400)).map(([text, length]) => text.slice(0, length));
  fc.assert(
    fc.property(fc.oneof(body, cut), (text) => {
      batch.reset(Buffer.from(text), 'd');
      const asPut = put.parse(batch);
      batch.reset(Buffer.from(text), 'd');
      const asRollup = rollup.parse(batch);
      assert.equal(batch.rows, 0);
      if (asPut.kind === 'malformed') assert.deepEqual(asRollup, asPut);
      else
        assert.deepEqual(
          [asRollup.kind, 'failed' in asRollup && asRollup.failed],
          ['parsed', asPut.good + asPut.failed],
        );
    }),
    { numRuns: 2_000 },
  );
});
