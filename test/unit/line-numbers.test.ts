/** Numbers and times of line protocol against BigInt and Number, through both paths. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import type { Precision } from '../../src/model/parse-result.ts';
import { MAX_TIME, MIN_TIME, NANOS_PER_UNIT } from '../../src/protocol/line-time.ts';
import { lineParser, type Parse, type Parsed } from '../helpers/parse.ts';

const RUNS = { numRuns: 3_000 };

/** Digits of every length, with and without zeros in front. */
const digits = fc
  .tuple(
    fc.integer({ min: 0, max: 3 }),
    fc.integer({ min: 1, max: 21 }),
    fc.bigInt({ min: 0n, max: 10n ** 21n }),
  )
  .map(([zeros, length, number]) => '0'.repeat(zeros) + String(number).slice(0, length));
const signed = fc.tuple(fc.constantFrom('', '-'), digits).map(([sign, text]) => sign + text);

/** One parser that knows the series and its field, and a fresh one that does not. */
function parsers(precision: Precision): Parse[] {
  const known = lineParser(true, { precision });
  known('m v=1i,w=1u,x=1 1\n');
  return [known, (body) => lineParser(false, { precision })(body)];
}

function only(parsed: Parsed): { value: unknown; time: bigint } | undefined {
  const row = parsed.rows[0];
  return row && { value: row.fields[0]?.[2], time: row.time };
}

describe('numbers of line protocol', () => {
  const kinds = [
    ['v', 'i', -(2n ** 63n), 2n ** 63n - 1n],
    ['w', 'u', 0n, 2n ** 64n - 1n],
  ] as const;
  for (const [field, suffix, min, max] of kinds) {
    it(`with suffix ${suffix} are exact from ${min} to ${max} and refused beyond`, () => {
      const near = fc
        .tuple(fc.constantFrom(min, max), fc.integer({ min: -2, max: 2 }))
        .map(([edge, offset]) => String(edge + BigInt(offset)));
      const both = parsers('ns');
      fc.assert(
        fc.property(fc.oneof(signed, near), (text) => {
          const exact = BigInt(text);
          const taken = exact >= min && exact <= max && !(suffix === 'u' && text.startsWith('-'));
          for (const parse of both) {
            const parsed = only(parse(`m ${field}=${text}${suffix} 1\n`));
            assert.deepEqual(parsed, taken ? { value: exact, time: 1n } : undefined, text);
          }
        }),
        RUNS,
      );
    });
  }

  it('without suffix are what Number makes of them', () => {
    const both = parsers('ns');
    const text = fc.oneof(
      signed,
      fc.tuple(signed, digits).map(([whole, part]) => `${whole}.${part}`),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
      fc.float({ noNaN: true, noDefaultInfinity: true }).map((number) => number.toFixed(9)),
    );
    fc.assert(
      fc.property(text, (number) => {
        if (/^-?\d+e\+/.test(number)) return; // a plus sign in the exponent is fine, JavaScript's own form
        for (const parse of both) {
          const value = only(parse(`m x=${number} 1\n`))?.value;
          assert.ok(Object.is(value, Number(number)), `${number} gave ${String(value)}`);
        }
      }),
      RUNS,
    );
  });
});

describe('times of line protocol', () => {
  for (const precision of ['ns', 'us', 'ms', 's', 'm', 'h'] as const) {
    it(`in ${precision} are exact to the ends of the range and refused beyond`, () => {
      const unit = NANOS_PER_UNIT[precision];
      const near = fc
        .tuple(fc.constantFrom(MIN_TIME / unit, MAX_TIME / unit, 0n), fc.integer({ min: -2, max: 2 }))
        .map(([edge, offset]) => String(edge + BigInt(offset)));
      const both = parsers(precision);
      fc.assert(
        fc.property(fc.oneof(signed, near), (text) => {
          const nanos = BigInt(text) * unit;
          for (const parse of both) {
            const time = only(parse(`m v=1i ${text}\n`))?.time;
            assert.equal(time, nanos < MIN_TIME || nanos > MAX_TIME ? undefined : nanos, text);
          }
        }),
        RUNS,
      );
    });
  }
});
