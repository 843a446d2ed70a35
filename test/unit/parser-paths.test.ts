/** The fast paths answer what the slow paths answer, on valid documents and on damaged ones. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import type { Precision } from '../../src/model/parse-result.ts';
import { lineParser, openTsdbParser, type Parse } from '../helpers/parse.ts';

const RUNS = 4_000;

/** Names of a small alphabet, so that they come again and the fast path is taken; some need escapes. */
const name = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom('cpu', 'mem.used', 'host', 'a', 'value', 'usage_idle', 'größe', '__proto__'),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom('a b', 'x=y', 'p,q', 'back\\slash', 'quo"te', 'brace}', 'time', ''),
  },
);
const number = fc.oneof(
  fc.integer().map(String),
  fc.double({ noDefaultInfinity: true, noNaN: true }).map(String),
  fc.constantFrom(
    '0',
    '-0',
    '-0.0',
    '1.',
    '.5',
    '007',
    '1e400',
    '9223372036854775808',
    '12345678901234567890.5',
    'NaN',
    'nan',
  ),
  fc.tuple(fc.nat(), fc.nat()).map(([whole, part]) => `${whole}.${part}`),
);
const time = fc.oneof(
  fc.constantFrom(
    '1700000000123456789',
    '1700000000',
    '1700000000123',
    '1700000000123456',
    '0',
    '-1',
    '9223372036854775807',
    '99999999999',
    '1.5',
  ),
  fc.bigInt({ min: 0n, max: 2n ** 64n }).map(String),
);
const escapeName = (text: string): string => text.replace(/[,= ]/g, '\\$&');

const lineValue = fc.oneof(
  { weight: 5, arbitrary: number },
  { weight: 2, arbitrary: fc.tuple(number, fc.constantFrom('i', 'u')).map(([n, suffix]) => n + suffix) },
  { weight: 2, arbitrary: fc.constantFrom('t', 'true', 'False', 'TRUE', 'tru', 'truex', 'f') },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      '""',
      '"x"',
      '"a b,c=d"',
      '"q\\"uote"',
      '"back\\\\"',
      '"line\nbreak"',
      '"open',
      '"x"y',
      '"é"',
      '"\\',
    ),
  },
);
const lineText = fc
  .tuple(
    name.map(escapeName),
    fc.array(fc.tuple(name.map(escapeName), name.map(escapeName)), { maxLength: 3 }),
    fc.array(fc.tuple(name.map(escapeName), lineValue), { minLength: 1, maxLength: 4 }),
    fc.option(time),
    fc.constantFrom('\n', '\n', '\n', '\r\n', ' \n', '\n\n', '\n#c"=\n', '\n \t'),
  )
  .map(([measurement, tags, fields, at, end]) => {
    const key = [measurement, ...tags.map(([k, v]) => `${k}=${v}`)].join();
    return `${key} ${fields.map(([k, v]) => `${k}=${v}`).join()}${at === null ? '' : ` ${at}`}${end}`;
  });

const pointText = fc
  .record({
    metric: name.map((n) => JSON.stringify(n)),
    timestamp: fc.oneof(
      time,
      time.map((t) => `"${t}"`),
      fc.constant('null'),
    ),
    value: fc.oneof(
      { weight: 4, arbitrary: number },
      { weight: 1, arbitrary: number.map((n) => `"${n}"`) },
      fc.constant('true'),
    ),
    tags: fc
      .array(fc.tuple(name, name), { maxLength: 3 })
      .map((tags) => `{${tags.map(([k, v]) => `${JSON.stringify(k)}:${JSON.stringify(v)}`).join()}}`),
    more: fc.constantFrom('', '', '', ',"x":[{"y":"}"}]', ',"value":3', ' '),
    order: fc.shuffledSubarray(['metric', 'timestamp', 'value', 'tags'] as const, { minLength: 3 }),
    blank: fc.constantFrom('', '', '', ' ', '\n\t'),
  })
  .map(
    ({ order, more, blank, ...members }) =>
      `{${order.map((key) => `${blank}"${key}"${blank}:${blank}${members[key]}`).join()}${more}}`,
  );

/** Flips, drops, repeats or inserts a byte here and there. */
function damaged(text: fc.Arbitrary<string>): fc.Arbitrary<Buffer> {
  const change = fc.tuple(
    fc.nat(),
    fc.constantFrom('flip', 'drop', 'double', 'insert'),
    fc.constantFrom(...Buffer.from('"\\{}[],:= \n\r0.-+eiut#\0\xff', 'latin1')),
  );
  return fc.tuple(text, fc.array(change, { maxLength: 2 })).map(([source, changes]) => {
    let bytes = [...Buffer.from(source)];
    for (const [where, kind, byte] of changes) {
      const at = bytes.length === 0 ? 0 : where % bytes.length;
      if (kind === 'flip') bytes[at] = byte;
      else if (kind === 'drop') bytes.splice(at, 1);
      else bytes.splice(at, 0, kind === 'insert' ? byte : (bytes[at] ?? byte));
      bytes = bytes.filter((value) => value !== undefined);
    }
    return Buffer.from(bytes);
  });
}

/** One fast parser learns from all documents; a fresh slow one per document has nothing to remember. */
function assertPathsAgree(fast: Parse, slow: () => Parse, body: Buffer): void {
  const expected = slow()(body);
  assert.deepEqual(fast(body), expected);
  assert.deepEqual(fast(body), expected);
}

describe('fast path and slow path', () => {
  for (const precision of ['ns', 'ms', 's', 'us', 'auto'] as Precision[]) {
    it(`agree on line protocol in ${precision}, whole and damaged`, () => {
      // A small dictionary also drops generations while the documents come.
      const fast = lineParser(true, { precision, maxSeries: 64 });
      const body = damaged(fc.array(lineText, { maxLength: 6 }).map((lines) => lines.join('')));
      fc.assert(
        fc.property(body, (bytes) => assertPathsAgree(fast, () => lineParser(false, { precision }), bytes)),
        { numRuns: RUNS / 2 },
      );
    });
  }

  for (const requireTags of [true, false]) {
    it(`agree on OpenTSDB JSON, whole and damaged, tags ${requireTags ? 'required' : 'optional'}`, () => {
      const settings = { rules: { requireTags, extraNameChars: '_' }, maxSeries: 64 };
      const fast = openTsdbParser(true, settings);
      const body = damaged(fc.array(pointText, { maxLength: 5 }).map((points) => `[${points.join()}]`));
      fc.assert(
        fc.property(body, (bytes) => assertPathsAgree(fast, () => openTsdbParser(false, settings), bytes)),
        { numRuns: RUNS },
      );
    });
  }
});
