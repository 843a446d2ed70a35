import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { NameKind } from '../../src/model/names.ts';
import { createNameIndex } from '../../src/protocol/name-index.ts';
import { SeriesDictionary } from '../../src/protocol/series-dictionary.ts';

/** A dictionary with these series, `metric key=value`, all admitted. */
function open(series: readonly string[], database = 'd'): SeriesDictionary {
  const dictionary = new SeriesDictionary({ maxSeries: 1_000_000, maxBytes: 2 ** 30 }, 3);
  for (const text of series) {
    const [metric = '', ...tags] = text.split(' ');
    const { tagSet } = dictionary.series(
      database,
      metric,
      tags.map((tag) => tag.split('=') as [string, string]),
    );
    tagSet.admittedBy = tagSet.table.admittedBy = dictionary;
  }
  return dictionary;
}

function suggest(dictionary: SeriesDictionary, kind: NameKind, prefix = '', max = 25): readonly string[] {
  return createNameIndex(dictionary).suggest(kind, { database: 'd', prefix, max });
}

describe('the name index', () => {
  const dictionary = open(['b x=1 y=2', 'a x=3', 'ab x=1 __proto__=p', 'c']);
  const cases: readonly [NameKind, string, number, readonly string[]][] = [
    ['metrics', '', 25, ['a', 'ab', 'b', 'c']],
    ['metrics', 'a', 25, ['a', 'ab']],
    ['metrics', '', 2, ['a', 'ab']],
    ['metrics', 'A', 25, []],
    ['tagk', '', 25, ['__proto__', 'x', 'y']],
    ['tagv', '', 25, ['1', '2', '3', 'p']],
    ['tagv', '3', 25, ['3']],
  ];
  for (const [kind, prefix, max, expected] of cases) {
    it(`finds ${max} ${kind} that begin with ${JSON.stringify(prefix)}`, () => {
      assert.deepEqual(suggest(dictionary, kind, prefix, max), expected);
    });
  }

  it('tells nothing of other databases, nor of names that were not admitted', () => {
    const other = open(['m k=v'], 'other');
    other.series('d', 'refused', [['k', 'v']]);
    for (const kind of ['metrics', 'tagk', 'tagv'] as const) assert.deepEqual(suggest(other, kind), []);
  });

  it('looks at a bounded number of names', () => {
    const many = open(Array.from({ length: 120_000 }, (_, i) => `m k=${i}`));
    assert.equal(suggest(many, 'tagv', '', 1_000_000).length, 100_000);
  });
});
