/** Lines written for rows: this project's own parser reads back exactly the same rows. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { lineText } from '../../src/model/line-text.ts';
import { PointBatch } from '../../src/model/point-batch.ts';
import { createLineParser } from '../../src/protocol/line-protocol.ts';
import { SeriesDictionary } from '../../src/protocol/series-dictionary.ts';
import { anyPoint, exactRows } from '../helpers/exact-rows.ts';
import { EXTREMES, ODD_NAMES } from '../helpers/hostile.ts';
import { WIDEST_LIMITS } from '../helpers/parsers.ts';
import { createTestSource, type TestPoint, type TestValue } from '../helpers/points.ts';

const parser = createLineParser(new SeriesDictionary({ maxSeries: 500, maxBytes: 10_000_000 }, 3), {
  limits: WIDEST_LIMITS,
});

function read(lines: readonly string[]): PointBatch {
  const batch = new PointBatch();
  batch.reset(Buffer.from(lines.map((line) => `${line}\n`).join('')), 'public');
  assert.deepEqual(parser.parse(batch, 'ns', 0).errors, []);
  return batch;
}

const batchOf = (points: readonly TestPoint[]): PointBatch => createTestSource('public').batch(points);

/** Writes all rows that can be written and asserts that they read back; answers how many could not. */
function assertReadsBack(batch: PointBatch): number {
  const lines = [...Array(batch.rows).keys()].map((row) => lineText(batch, row));
  const spelled = [...lines.keys()].filter((row) => lines[row] !== undefined);
  const back = read(lines.filter((line) => line !== undefined));
  assert.deepEqual(exactRows(back, undefined, 'text'), exactRows(batch, spelled, 'text'));
  return batch.rows - spelled.length;
}

const point = (more: Partial<TestPoint>): TestPoint => ({
  table: 'm',
  fields: [['f', ['bool', true]]],
  ...more,
});

/** Plain by what the documentation of `lineText` says: all rows of such points can be written. */
function isPlain({ table, tags = {}, timeNs = 0n, fields }: TestPoint): boolean {
  const texts = [table, ...Object.entries(tags).flat(), ...fields.map(([name]) => name)];
  return (
    !texts.some((text) => /[\\\n]|^time$/.test(text)) &&
    !/^[\t#\ufeff]/.test(table) &&
    timeNs > -(2n ** 63n) + 1n &&
    timeNs < 2n ** 63n - 1n &&
    fields.every(([, [type, value]]) => type !== 'float64' || Number.isFinite(value))
  );
}

describe('the line of a row', () => {
  it('reads back as the same row, in any company', () => {
    let [spelled, all] = [0, 0];
    fc.assert(
      fc.property(fc.array(anyPoint, { minLength: 1, maxLength: 6 }), (points) => {
        all += points.length;
        spelled += points.length - assertReadsBack(batchOf(points));
      }),
      { numRuns: 6_000 },
    );
    assert.ok(spelled > all / 5, `${spelled} of ${all}`);
  });

  it('is there for every row without backslashes, line breaks and values that have no spelling', () => {
    fc.assert(
      fc.property(anyPoint.filter(isPlain), (one) => assert.equal(assertReadsBack(batchOf([one])), 0)),
      { numRuns: 2_000 },
    );
  });

  for (const [type, values] of Object.entries(EXTREMES)) {
    it(`holds extreme values of type ${type}`, () => {
      const unspelled = assertReadsBack(batchOf(values.map((value) => point({ fields: [['f', value]] }))));
      assert.equal(unspelled, 0);
    });
  }

  it('holds odd names', () => {
    const points = ODD_NAMES.filter((name) => name !== 'time' && !name.includes('\n')).map((name) =>
      point({ table: name, tags: { [name]: name }, fields: [['f', ['string', `${name}\n# {"x":1}\\`]]] }),
    );
    assert.equal(assertReadsBack(batchOf(points)), 0);
  });

  it('has its exact form', () => {
    const batch = batchOf([
      point({
        table: 'a b,c',
        tags: { 'k=': 'v w' },
        timeNs: -5n,
        fields: [
          ['x', ['float64', 1.5]],
          ['i', ['int64', -3n]],
          ['u', ['uint64', 7n]],
          ['s', ['string', 'q"\\']],
        ],
      }),
    ]);
    assert.equal(lineText(batch, 0), 'a\\ b\\,c,k\\==v\\ w x=1.5,i=-3i,u=7u,s="q\\"\\\\" -5');
  });

  const long = 'n'.repeat(32_766);
  const unspeakable: [what: string, point: Partial<TestPoint>][] = [
    ['a line break in the measurement', { table: 'a\nb' }],
    ['a backslash at the end of the measurement', { table: 'a\\' }],
    ['a measurement that looks like a comment', { table: '#m' }],
    ['a tab ahead of the measurement', { table: '\tm' }],
    ['a byte order mark ahead of the measurement', { table: '\ufeffm' }],
    ['no measurement', { table: '' }],
    ['a line break in a tag', { tags: { k: 'a\nb' } }],
    ['a backslash at the end of a tag value', { tags: { k: 'v\\' } }],
    ['a backslash at the end of a tag key', { tags: { 'k\\': 'v' } }],
    ['a tag without a name', { tags: { '': 'v' } }],
    ['a tag named time', { tags: { time: 'v' } }],
    ['a field named time', { fields: [['time', ['bool', true]]] }],
    ['a field without a name', { fields: [['', ['bool', true]]] }],
    ['a line break in a field name', { fields: [['a\nb', ['bool', true]]] }],
    ['a backslash at the end of a field name', { fields: [['a\\', ['bool', true]]] }],
    ['a backslash ahead of a comma in a field name', { fields: [['a\\,b', ['bool', true]]] }],
    ['NaN', { fields: [['f', ['float64', Number.NaN]]] }],
    ['infinity', { fields: [['f', ['float64', Number.NEGATIVE_INFINITY]]] }],
    ['the latest time', { timeNs: 2n ** 63n - 1n }],
    ['the earliest time', { timeNs: -(2n ** 63n) }],
    ['names beyond 65,535 bytes together', { table: long, fields: [[long, ['bool', true]]] }],
  ];
  for (const [what, one] of unspeakable) {
    it(`is not there for ${what}`, () => assert.equal(lineText(batchOf([point(one)]), 0), undefined));
  }

  it('is not there for a string that is no UTF-8', () => {
    const batch = batchOf([point({ fields: [['s', ['string', 'é'] satisfies TestValue]] })]);
    batch.body[1] = 0x20;
    assert.equal(lineText(batch, 0), undefined);
  });
});
