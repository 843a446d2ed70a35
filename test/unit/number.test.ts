import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { high64, low64 } from '../../src/model/int64.ts';
import { viewOf } from '../../src/protocol/bytes.ts';
import { scanDecimal, scanInteger, scanNanos, scanUnits, scratch } from '../../src/protocol/number.ts';

/** What `scanDecimal` makes of a whole text: the value, or undefined when it declines or stops early. */
function decimal(text: string): number | undefined {
  const bytes = Buffer.from(text);
  return scanDecimal(bytes, 0, bytes.length) === bytes.length ? scratch.value : undefined;
}

describe('scanDecimal', () => {
  for (const text of [
    '0',
    '-0',
    '7',
    '-12.5',
    '0005',
    '1234567890',
    '1234567890.5',
    '123456789.25',
    '-123456789.5',
    '0.1',
    '98.23788546255483',
  ]) {
    it(`reads ${text} as Number does`, () => assert.ok(Object.is(decimal(text), Number(text))));
  }

  for (const text of [
    '',
    '-',
    '.',
    '.5',
    '5.',
    '-.5',
    '123456789.',
    '1.2.3',
    '1e5',
    '+1',
    'x',
    '1234567890123456789',
  ]) {
    it(`leaves ${JSON.stringify(text)} to the slow path`, () => assert.equal(decimal(text), undefined));
  }

  it('agrees with Number on every decimal it takes', () => {
    const digits = (max: number) => fc.stringMatching(new RegExp(`^[0-9]{1,${max}}$`));
    fc.assert(
      fc.property(fc.boolean(), digits(12), fc.option(digits(20)), (negative, whole, fraction) => {
        const text = `${negative ? '-' : ''}${whole}${fraction === null ? '' : `.${fraction}`}`;
        const value = decimal(text);
        assert.ok(value === undefined || Object.is(value, Number(text)), `${text} gave ${value}`);
      }),
      { numRuns: 5_000 },
    );
  });

  it('takes nearly all shortest forms of doubles of everyday size', () => {
    let declined = 0;
    fc.assert(
      fc.property(fc.double({ min: 1e-4, max: 1e9, noNaN: true }), (number) => {
        const value = decimal(String(number));
        if (value === undefined) declined++;
        else assert.equal(value, number);
      }),
      { numRuns: 5_000, seed: 1 },
    );
    assert.ok(declined < 1_000, `${declined} of 5,000 declined`);
  });
});

describe('integers', () => {
  const cases = [
    '0',
    '9',
    '1790000000',
    '1790000000123',
    '1790000000123456789',
    '9223372036854775807',
    '0000000000000000001',
  ];
  for (const text of cases) {
    it(`splits ${text} at the billions`, () => {
      const bytes = Buffer.from(`${text} `);
      for (const scan of [scanInteger, (b: Buffer, i: number, e: number) => scanNanos(viewOf(b), b, i, e)]) {
        assert.equal(scan(bytes, 0, bytes.length), text.length);
        assert.equal(BigInt(scratch.seconds) * 1_000_000_000n + BigInt(scratch.nanos), BigInt(text));
      }
    });
  }

  it('declines no digits and more than 19', () => {
    for (const text of ['', 'x', '12345678901234567890']) {
      const bytes = Buffer.from(text);
      assert.equal(scanInteger(bytes, 0, bytes.length), -1);
      assert.equal(scanNanos(viewOf(bytes), bytes, 0, bytes.length), -1);
    }
  });

  it('scanUnits reads up to 15 digits and stops at the first other byte', () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^[0-9]{1,18}$/),
        fc.constantFrom('', ' ', '.', 'x1', ',"value"'),
        (digits, rest) => {
          const bytes = Buffer.from(digits + rest);
          const end = scanUnits(viewOf(bytes), bytes, 0, bytes.length);
          assert.equal(end, digits.length > 15 ? -1 : digits.length);
          if (end > 0) assert.equal(scratch.value, Number(digits));
        },
      ),
    );
  });

  it('high64 and low64 are the halves of the 64-bit number', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 9_223_372_035 }),
        fc.integer({ min: 0, max: 999_999_999 }),
        (s, n) => {
          const exact = BigInt(s) * 1_000_000_000n + BigInt(n);
          assert.equal(high64(s, n), Number(exact >> 32n));
          assert.equal(low64(s, n), Number(BigInt.asIntN(32, exact)));
        },
      ),
    );
  });
});
