/** Telnet lines: what is stored, what is refused with which words, and that both paths answer the same. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { PointBatch } from '../../src/model/point-batch.ts';
import { SeriesDictionary } from '../../src/protocol/series-dictionary.ts';
import { createTelnetParser } from '../../src/protocol/telnet-put.ts';
import { DEFAULT_LIMITS, DEFAULT_RULES, readRows } from '../helpers/parsers.ts';

function parser(fastPath: boolean): (text: string | Buffer) => object {
  const dictionary = new SeriesDictionary({ maxSeries: 64, maxBytes: 10_000_000 }, 5);
  const telnet = createTelnetParser(dictionary, { ...DEFAULT_RULES, limits: DEFAULT_LIMITS, fastPath });
  return (text) => {
    const batch = new PointBatch(1, 1);
    batch.reset(Buffer.from(text), 'public');
    const result = telnet.parse(batch);
    return { ...result, rows: readRows(batch) };
  };
}

function outcome(line: string): string {
  const { rows, errors } = parser(false)(`${line}\n`) as {
    rows: ReturnType<typeof readRows>;
    errors: { reason: string }[];
  };
  const [row] = rows;
  if (row === undefined) return errors[0]?.reason ?? 'nothing';
  return `${row.table} ${JSON.stringify(row.tags)} ${row.time} ${String(row.fields[0]?.[2])}`;
}

const STORED: readonly (readonly [line: string, time: bigint, value: string])[] = [
  ['put m 1700000000 42 a=b', 1_700_000_000_000_000_000n, '42'],
  ['put m 1700000000 42 a=b\r', 1_700_000_000_000_000_000n, '42'],
  ['put  m  1700000000  42  a=b  ', 1_700_000_000_000_000_000n, '42'],
  ['put m 1700000000123 -1.5 a=b', 1_700_000_000_123_000_000n, '-1.5'],
  ['put m 1700000000.123 1e3 a=b', 1_700_000_000_123_000_000n, '1000'],
  ['put m 1700000000.5 .5 a=b', 1_700_000_000_500_000_000n, '0.5'],
  ['put m 1700000000123.25 +5 a=b', 1_700_000_000_123_250_000n, '5'],
  ['put m 4294967295 0 a=b', 4_294_967_295_000_000_000n, '0'],
  ['put m 4294967296 0042 a=b', 4_294_967_296_000_000n, '42'],
  ['put m 1700000000 1 a=b a=b', 1_700_000_000_000_000_000n, '1'],
];
const REFUSED: readonly (readonly [line: string, reason: string])[] = [
  ['put', 'illegal argument: not enough arguments (need least 4, got 0)'],
  ['put m 1 1', 'illegal argument: not enough arguments (need least 4, got 3)'],
  ['put m 1 1 ', 'illegal argument: Need at least one tag (metric=m, tags={})'],
  ['put m 0 1 a=b', 'illegal argument: invalid timestamp: 0'],
  ['put m -5 1 a=b', 'illegal argument: invalid timestamp: -5'],
  ['put m 12x 1 a=b', "invalid value: Invalid character 'x' in 12x"],
  ['put m 1 inf a=b', "invalid value: Invalid character 'i' in inf"],
  ['put m 1 -nan a=b', "invalid value: Invalid character 'n' in -nan"],
  ['put m 1 9223372036854775808 a=b', 'invalid value: Value too long: 9223372036854775808'],
  ['put m 1 1e400 a=b', 'illegal argument: value is NaN or Infinite: Infinity for metric=m timestamp=1'],
  ['put m 1 1 a', 'illegal argument: invalid tag: a'],
  ['put m 1 1 a=', 'illegal argument: invalid tag: a='],
  ['put m 1 1 =b', 'illegal argument: invalid tag: =b'],
  ['put m 1 1 a=b=c', 'illegal argument: invalid tag: a=b=c'],
  ['put m 1 1 a=b a=c', 'illegal argument: duplicate tag: a=c, tags={a=b}'],
  ['put m;x 1 1 a=b', 'illegal argument: Invalid metric name ("m;x"): illegal character: ;'],
  [
    'put m 99999999999999999 1 a=b',
    'illegal argument: bad timestamp=99999999999999999 when trying to add value=1 to metric=m, tags={a=b}',
  ],
];

describe('telnet put', () => {
  for (const [line, time, value] of STORED)
    it(`stores ${JSON.stringify(line)}`, () =>
      assert.equal(outcome(line), `m {"tag:a":"b"} ${time} ${value}`));
  for (const [line, reason] of REFUSED)
    it(`refuses ${JSON.stringify(line)}`, () => assert.equal(outcome(line), reason));

  it('lists commands, ignores blank lines and reads nothing behind exit', () => {
    const text = 'version\n\n  \nput m 1 1 a=b\nexit\nput m 2 1 a=b\n';
    const { commands, good, failed } = parser(true)(text) as Record<string, unknown>;
    assert.deepEqual(
      { commands, good, failed },
      {
        commands: [
          { offset: 0, length: 7 },
          { offset: 26, length: 4 },
        ],
        good: 1,
        failed: 0,
      },
    );
  });

  it('refuses a line that is not UTF-8 and keeps the next', () => {
    const bytes = Buffer.concat([
      Buffer.from('put m\xff 1 1 a=b\n', 'latin1'),
      Buffer.from('put m 1 1 a=ü\n'),
    ]);
    const { good, failed } = parser(true)(bytes) as Record<string, unknown>;
    assert.deepEqual({ good, failed }, { good: 1, failed: 1 });
  });

  it('answers the same on the fast path and on the slow one', () => {
    const words = [
      fc.constantFrom('put', 'put ', 'version', 'exit', ''),
      fc.constantFrom('m', 'größe', 'm;', '__proto__'),
      fc.oneof(fc.nat().map(String), fc.constantFrom('0', '1700000000', '1700000000123', '17.5', 'x', '01')),
      fc.oneof(
        fc.integer().map(String),
        fc.double().map(String),
        fc.constantFrom('-0', '-0.0', '1e400', '.5'),
      ),
      fc.constantFrom('a=b', 'a=b c=d', 'c=d a=b', ' a=b ', 'a=', '', 'a=b\r', '\r', 'a=\r'),
    ] as const;
    const line = fc
      .tuple(...words, fc.constantFrom('\n', '\r\n', ''))
      .map(([put, metric, time, value, tags, end]) => `${put} ${metric} ${time} ${value} ${tags}${end}`);
    const fast = parser(true);
    fc.assert(
      fc.property(fc.array(line, { maxLength: 6 }), (lines) => {
        const expected = parser(false)(lines.join(''));
        assert.deepEqual(fast(lines.join('')), expected);
        assert.deepEqual(fast(lines.join('')), expected);
      }),
      { numRuns: 4_000 },
    );
  });
});
