import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PointBatch } from '../../src/model/point-batch.ts';
import type { Series } from '../../src/model/series.ts';
import { createLineParser } from '../../src/protocol/line-protocol.ts';
import { SeriesDictionary } from '../../src/protocol/series-dictionary.ts';
import { DEFAULT_LIMITS } from '../helpers/parsers.ts';

/** A dictionary of these bounds, and a parser of line protocol that answers the series of each row. */
function open(bounds: { maxSeries: number; maxBytes: number }): {
  dictionary: SeriesDictionary;
  readonly write: (body: string, database?: string) => Series[];
} {
  const dictionary = new SeriesDictionary(bounds, 5);
  const parser = createLineParser(dictionary, { limits: DEFAULT_LIMITS });
  const batch = new PointBatch();
  return {
    dictionary,
    write(body, database = 'public') {
      batch.reset(Buffer.from(body), database);
      parser.parse(batch, 'ns', 0);
      return batch.series.slice(0, batch.rows);
    },
  };
}

describe('the series dictionary', () => {
  const maxBytes = 400_000;
  const floods: [string, (n: number) => string, ((n: number) => string)?][] = [
    ['series', (n) => `m,t=${n} v=1`],
    ['tables', (n) => `m${n} v=1`],
    ['fields of one table', (n) => `m f${n}${'x'.repeat(500)}=1`],
    ['fields of tables that stay in use', (n) => `m${n % 8} f${n}${'x'.repeat(500)}=1`],
    ['tag keys of one table', (n) => `m,t${n}${'x'.repeat(500)}=1 v=1`],
    ['spellings of one field', (n) => `m a\\ ${'\\,'.repeat(n % 300)}${n % 7}=1`],
    ['databases', () => 'm v=1', (n) => `db${n}`],
  ];
  for (const [what, line, database] of floods) {
    it(`stays within its bytes when it is flooded with ${what}`, () => {
      const { dictionary, write } = open({ maxSeries: 1_000_000, maxBytes });
      for (let n = 0; n < 6_000; n++) {
        write(line(n), database?.(n));
        const { bytes } = dictionary.stats();
        assert.ok(bytes < maxBytes + 10_000, `${bytes} bytes after ${n}`);
      }
      assert.ok(dictionary.stats().rotations > 0, 'the flood is more than the dictionary holds');
    });
  }

  it('keeps one object for a series, its table and its tag set while they are used', () => {
    const { dictionary, write } = open({ maxSeries: 40, maxBytes });
    const [first] = write('m,t=a v=1');
    for (let n = 0; dictionary.stats().rotations < 5; n++) {
      const [other, again] = write(`m,t=x${n} v=1\nm,t=a v=1\n`);
      assert.equal(again, first);
      assert.equal(other?.tagSet, first?.tagSet);
    }
  });

  it('learns the fields of a table again after they were dropped', () => {
    const { dictionary, write } = open({ maxSeries: 40, maxBytes });
    for (let n = 0; dictionary.stats().rotations < 3; n++) {
      assert.equal(write(`m,t=x${n} v=1,w=2\nm,t=a w=1i,v=2\nm,t=a w=1i,v=2\n`).length, 3);
    }
  });

  it('never takes a series of one database for that of another', () => {
    const { write } = open({ maxSeries: 1_000_000, maxBytes });
    for (let n = 0; n < 10_000; n++) {
      const database = `db${n % 5_000}`;
      for (const series of write('m,t=a v=1\nm,t=a v=2\n', database)) {
        assert.equal(series.tagSet.table.database, database);
      }
    }
  });
});
