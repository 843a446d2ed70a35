import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Precision } from '../../src/model/parse-result.ts';
import { assertSame, lineParser, NOW_MS, type ParseSettings } from '../helpers/parse.ts';

type Fields = Record<string, number | bigint | boolean | string>;

/** The only row of a line, as [table, tags, fields, time]. */
function row(line: string, settings: ParseSettings = {}): [string, Record<string, string>, Fields, bigint] {
  const { result, rows } = assertSame(lineParser(true, settings), lineParser(false, settings), line);
  assert.equal(result.kind, 'parsed');
  assert.deepEqual(result.kind === 'parsed' ? result.errors : [], []);
  assert.equal(rows.length, 1);
  const [{ table, tags, fields, time }] = rows as [(typeof rows)[number]];
  const plainTags = Object.fromEntries(Object.entries(tags).map(([key, value]) => [key.slice(4), value]));
  return [table, plainTags, Object.fromEntries(fields.map(([name, , value]) => [name, value])), time];
}

/** The reasons why lines of a body were refused, by line number, and how many points were good. */
function failures(
  body: string | Uint8Array,
  settings: ParseSettings = {},
): { good: number; errors: Record<number, string> } {
  const { result, rows } = assertSame(lineParser(true, settings), lineParser(false, settings), body);
  assert.ok(result.kind === 'parsed');
  assert.equal(rows.length, result.good);
  return { good: result.good, errors: Object.fromEntries(result.errors.map((e) => [e.position, e.reason])) };
}

const T = 1_700_000_000_000_000_000n;
const NOW = BigInt(NOW_MS) * 1_000_000n;

describe('line protocol: what is taken (protocols: section 4, column GW)', () => {
  const cases: [string, string, ReturnType<typeof row>][] = [
    ['a plain line', `cpu,host=a v=1 ${T}`, ['cpu', { host: 'a' }, { v: 1 }, T]],
    ['no tags', `cpu v=1 ${T}\n`, ['cpu', {}, { v: 1 }, T]],
    ['no timestamp: the time of the server', 'cpu v=1', ['cpu', {}, { v: 1 }, NOW]],
    ['several spaces', `cpu,a=b   v=1   ${T}   \n`, ['cpu', { a: 'b' }, { v: 1 }, T]],
    ['CRLF', `cpu v=1 ${T}\r\n`, ['cpu', {}, { v: 1 }, T]],
    ['CR at the end of the body', `cpu v="z"\r`, ['cpu', {}, { v: 'z' }, NOW]],
    ['leading blanks, tabs and NULs', ` \t\0cpu v=1 ${T}`, ['cpu', {}, { v: 1 }, T]],
    ['a byte order mark', `\ufeffcpu v=1 ${T}`, ['cpu', {}, { v: 1 }, T]],
    ['a newline in a quoted string', `cpu v="a\nb" ${T}`, ['cpu', {}, { v: 'a\nb' }, T]],
    [
      'string escapes: only quote and backslash',
      String.raw`cpu v="a\"b\\c\nd" ${T}`,
      ['cpu', {}, { v: String.raw`a"b\c\nd` }, T],
    ],
    ['commas, blanks, equals in strings', `cpu v="a, b=c",w=1i ${T}`, ['cpu', {}, { v: 'a, b=c', w: 1n }, T]],
    ['escapes in tags', String.raw`cpu,a\ b=c\,d\=e v=1 ${T}`, ['cpu', { 'a b': 'c,d=e' }, { v: 1 }, T]],
    [
      'other backslashes in tags stay',
      String.raw`cpu,path=C:\\dir\x v=1 ${T}`,
      ['cpu', { path: String.raw`C:\\dir\x` }, { v: 1 }, T],
    ],
    ['escapes in measurements', String.raw`my\ cpu\,x v=1 ${T}`, ['my cpu,x', {}, { v: 1 }, T]],
    ['escapes in field keys', String.raw`cpu a\ b\=c=1 ${T}`, ['cpu', {}, { 'a b=c': 1 }, T]],
    ['quotes in names are text', `"cpu",t="x v"=1 ${T}`, ['"cpu"', { t: '"x' }, { 'v"': 1 }, T]],
    ['5. .5 -.5 0005', `cpu a=5.,b=.5,c=-.5,d=0005 ${T}`, ['cpu', {}, { a: 5, b: 0.5, c: -0.5, d: 5 }, T]],
    ['exponents', `cpu a=1e5,b=1E-5,c=-1.5e+3 ${T}`, ['cpu', {}, { a: 1e5, b: 1e-5, c: -1500 }, T]],
    ['underflow is 0', `cpu a=1e-400 ${T}`, ['cpu', {}, { a: 0 }, T]],
    [
      'int64 to its limits',
      `cpu a=9223372036854775807i,b=-9223372036854775808i,c=-0i ${T}`,
      ['cpu', {}, { a: 2n ** 63n - 1n, b: -(2n ** 63n), c: 0n }, T],
    ],
    [
      'uint64 to its limit',
      `cpu a=18446744073709551615u,b=0u ${T}`,
      ['cpu', {}, { a: 2n ** 64n - 1n, b: 0n }, T],
    ],
    [
      'every word for true',
      `cpu a=t,b=T,c=true,d=True,e=TRUE ${T}`,
      ['cpu', {}, { a: true, b: true, c: true, d: true, e: true }, T],
    ],
    [
      'every word for false',
      `cpu a=f,b=F,c=false,d=False,e=FALSE ${T}`,
      ['cpu', {}, { a: false, b: false, c: false, d: false, e: false }, T],
    ],
    [
      'a field that comes twice: the last wins, across types',
      `cpu a=1,b=2,a="x" ${T}`,
      ['cpu', {}, { a: 'x', b: 2 }, T],
    ],
    ['an empty string', `cpu a="" ${T}`, ['cpu', {}, { a: '' }, T]],
    [
      'names like __proto__',
      `__proto__,__proto__=constructor __proto__=1 ${T}`,
      [
        '__proto__',
        Object.fromEntries([['__proto__', 'constructor']]),
        Object.fromEntries([['__proto__', 1]]),
        T,
      ],
    ],
    ['names that are SQL', `a";DROP\\ TABLE\\ x;-- v=1 ${T}`, ['a";DROP TABLE x;--', {}, { v: 1 }, T]],
    ['UTF-8', `größe,ort=köln wért="✓😀" ${T}`, ['größe', { ort: 'köln' }, { wért: '✓😀' }, T]],
    ['time 0', 'cpu v=1 0', ['cpu', {}, { v: 1 }, 0n]],
    ['negative times', 'cpu v=1 -1', ['cpu', {}, { v: 1 }, -1n]],
    ['the greatest time', 'cpu v=1 9223372036854775806', ['cpu', {}, { v: 1 }, 9223372036854775806n]],
    ['the least time', 'cpu v=1 -9223372036854775806', ['cpu', {}, { v: 1 }, -9223372036854775806n]],
    ['a comment with an odd quote before it', `# x="\ncpu v=1 ${T}`, ['cpu', {}, { v: 1 }, T]],
    ['blank lines, also with CR', `\n  \n\r\ncpu v=1 ${T}\n\n`, ['cpu', {}, { v: 1 }, T]],
    ['tags in any order are one series', `cpu,b=2,a=1 v=1 ${T}`, ['cpu', { a: '1', b: '2' }, { v: 1 }, T]],
    ['an equals sign in the measurement', `a=b v=1 ${T}`, ['a=b', {}, { v: 1 }, T]],
  ];
  for (const [name, line, expected] of cases) it(name, () => assert.deepEqual(row(line), expected));

  const precisions: [Precision, string, bigint][] = [
    ['ns', '1700000000123456789', 1700000000123456789n],
    ['us', '1700000000123456', 1700000000123456000n],
    ['ms', '1700000000123', 1700000000123000000n],
    ['s', '1700000000', 1700000000000000000n],
    ['m', '28333333', 28333333n * 60_000_000_000n],
    ['h', '472222', 472222n * 3_600_000_000_000n],
    ['auto', '1700000000', 1700000000000000000n],
    ['auto', '1700000000123', 1700000000123000000n],
    ['auto', '1700000000123456', 1700000000123456000n],
    ['auto', '1700000000123456789', 1700000000123456789n],
  ];
  for (const [precision, text, time] of precisions) {
    it(`a time of ${text.length} digits in ${precision}`, () =>
      assert.equal(row(`cpu v=1 ${text}`, { precision })[3], time));
  }

  for (const [precision, time] of [
    ['ns', NOW],
    ['ms', NOW],
    ['s', (NOW / 1_000_000_000n) * 1_000_000_000n],
    ['h', (NOW / 3_600_000_000_000n) * 3_600_000_000_000n],
  ] as const) {
    it(`the server's time is cut to ${precision}`, () =>
      assert.equal(row('cpu v=1', { precision })[3], time));
  }
});

describe('line protocol: what is refused, with the reason', () => {
  const cases: [string, string][] = [
    ['cpu', 'missing fields'],
    ['cpu,a=b', 'missing fields'],
    ['cpu ', 'missing fields'],
    [',a=b v=1', 'missing measurement'],
    ['cpu, v=1', 'missing tag key'],
    ['cpu,=b v=1', 'missing tag key'],
    ['cpu,a v=1', 'missing tag value'],
    ['cpu,a= v=1', 'missing tag value'],
    ['cpu,a=b=c v=1', 'invalid tag format'],
    ['cpu,a==c v=1', 'invalid tag format'],
    ['cpu,a=1,b=2,a=3 v=1', 'duplicate tags'],
    ['cpu =1', 'missing field key'],
    ['cpu v', 'invalid field format'],
    ['cpu v=', 'missing field value'],
    ['cpu v=,w=1', 'missing field value'],
    ['cpu v=1,', 'invalid field format'],
    ['cpu v=1,w', 'invalid field format'],
    ['cpu v="a', 'unbalanced quotes'],
    ['cpu v="a"b', 'invalid field format'],
    ['cpu v=NaN', 'invalid number'],
    ['cpu v=nan', 'invalid number'],
    ['cpu v=Inf', 'invalid boolean'],
    ['cpu v=-inf', 'invalid number'],
    ['cpu v=1e400', 'invalid number'],
    ['cpu v=+1', 'invalid boolean'],
    ['cpu v=0x1F', 'invalid number'],
    ['cpu v=1_000', 'invalid number'],
    ['cpu v=1f', 'invalid number'],
    ['cpu v=1.5i', 'invalid number'],
    ['cpu v=1e5i', 'invalid number'],
    ['cpu v=-1u', 'invalid number'],
    ['cpu v=9223372036854775808i', 'unable to parse integer 9223372036854775808: value out of range'],
    ['cpu v=-9223372036854775809i', 'unable to parse integer -9223372036854775809: value out of range'],
    ['cpu v=18446744073709551616u', 'unable to parse unsigned 18446744073709551616: value out of range'],
    ['cpu v=tru', 'invalid boolean'],
    ['cpu v=yes', 'invalid boolean'],
    ['cpu v=1 +5', 'bad timestamp'],
    ['cpu v=1 1.5', 'bad timestamp'],
    ['cpu v=1 1e9', 'bad timestamp'],
    ['cpu v=1 1 2', 'point is invalid'],
    ['cpu v=1 9223372036854775807', 'time outside range -9223372036854775806 - 9223372036854775806'],
    ['cpu,time=x v=1', 'invalid tag key: input tag "time" on measurement "cpu" is invalid'],
    ['cpu time=1', 'invalid field name: input field "time" on measurement "cpu" is invalid'],
    ['cp\0u v=1', 'NUL or line break in a name or tag value'],
  ];
  for (const [line, reason] of cases) {
    it(JSON.stringify(line), () => {
      const good = `good v=1 ${T}`;
      assert.deepEqual(failures(line), { good: 0, errors: { 1: reason } });
      if (reason === 'unbalanced quotes') return;
      assert.deepEqual(failures(`${good}\n${line}\n${good}\n`), { good: 2, errors: { 2: reason } });
    });
  }

  it('an unclosed quote swallows the rest of the body as one bad line', () => {
    assert.deepEqual(failures(`a v=1 ${T}\nb v="x ${T}\nc v=1 ${T}\n`), {
      good: 1,
      errors: { 2: 'unbalanced quotes' },
    });
  });

  it('a field named time is left out and reported, the other fields are stored', () => {
    const { result, rows } = lineParser(true)(`cpu time=1,v=2 ${T}`);
    assert.ok(result.kind === 'parsed');
    assert.deepEqual([result.good, result.failed], [1, 1]);
    assert.deepEqual(rows[0]?.fields, [['v', 'float64', 2]]);
  });

  it('invalid UTF-8 refuses its own line only', () => {
    const bad = Buffer.concat([
      Buffer.from('a,t=x'),
      Buffer.from([0xff]),
      Buffer.from(' v=1\nb v=1\nc v="'),
      Buffer.from([0xc3]),
      Buffer.from('" \n'),
    ]);
    assert.deepEqual(failures(bad), { good: 1, errors: { 1: 'invalid UTF-8', 3: 'invalid UTF-8' } });
  });

  it('counts physical lines, also those inside strings', () => {
    assert.deepEqual(failures(`a v="1\n2" ${T}\n\n# c\nbad\n`), { good: 1, errors: { 5: 'missing fields' } });
  });

  for (const line of ['#', '', 'bad', 'bad\\ ', 'bad\\', 'm\tm', 'm v="']) {
    // Read to its end once per line, a body of this size would take hours, and the test would be ended.
    it(`reads a body of half a million lines ${JSON.stringify(line)} in one pass`, () => {
      const parse = lineParser(true);
      parse(`m v="x" ${T}`);
      const { result } = parse(`${line}\n`.repeat(500_000));
      assert.equal(result.kind, 'parsed');
    });
  }

  it('lists a bounded number of errors and counts all', () => {
    const { result } = lineParser(true)('bad\n'.repeat(5_000));
    assert.ok(result.kind === 'parsed');
    assert.equal(result.failed, 5_000);
    assert.equal(result.errors.length, 1_000);
  });
});

describe('line protocol: tables of one request', () => {
  it('refuses the points of further ones, also when they are known', () => {
    const body = 'a v=1 1\nb v=1 1\nc v=1 1\na v=2 2\n';
    const reason = 'more than 2 measurements in one request';
    assert.deepEqual(failures(body, { limits: { tablesPerRequest: 2 } }), { good: 3, errors: { 3: reason } });
    const parse = lineParser(true, { limits: { tablesPerRequest: 2 } });
    assert.equal(parse('c v=1 1\n').rows.length, 1);
    assert.equal(parse(body).rows.length, 3);
  });
});

describe('line protocol: limits', () => {
  const limits = {
    lineBytes: 200,
    nameBytes: 10,
    tagValueBytes: 12,
    stringBytes: 20,
    tagsPerPoint: 2,
    fieldsPerPoint: 3,
  };
  const cases: [string, string | undefined][] = [
    ['mmmmmmmmmm v=1', undefined],
    ['mmmmmmmmmmm v=1', 'measurement is longer than 10 bytes'],
    ['m,kkkkkkkkkkk=1 v=1', 'tag key is longer than 10 bytes'],
    ['m,k=vvvvvvvvvvvv v=1', undefined],
    ['m,k=vvvvvvvvvvvvv v=1', 'tag value is longer than 12 bytes'],
    ['m fffffffffff=1', 'field key is longer than 10 bytes'],
    [`m f="${'x'.repeat(20)}"`, undefined],
    [`m f="${'x'.repeat(21)}"`, 'input field "f" is too long, 21 > 20'],
    ['m,a=1,b=2 v=1', undefined],
    ['m,a=1,b=2,c=3 v=1', 'more than 2 tags'],
    ['m a=1,b=2,c=3', undefined],
    ['m a=1,b=2,c=3,d=4', 'more than 3 fields'],
    [`m v=1${' '.repeat(200)}`, 'line is longer than 200 bytes'],
  ];
  for (const [line, reason] of cases) {
    it(`${line.slice(0, 40)}: ${reason ?? 'taken'}`, () => {
      assert.deepEqual(failures(line, { limits }).errors, reason === undefined ? {} : { 1: reason });
    });
  }
});

describe('line protocol: limits of lines spelled before', () => {
  const cases: [string, string, ParseSettings['limits'], string | undefined][] = [
    ['length', 'm v=1', { lineBytes: 15 }, undefined],
    ['length', `m v=1${' '.repeat(11)}`, { lineBytes: 15 }, 'line is longer than 15 bytes'],
    ['length with a time', `m v=1 ${T}`, { lineBytes: 24 }, 'line is longer than 24 bytes'],
    ['length of a string', 'm v="12345"', { stringBytes: 5 }, undefined],
    ['length of a string', 'm v="123456"', { stringBytes: 5 }, 'input field "v" is too long, 6 > 5'],
    ['number of fields', 'm v=1,w=2', { fieldsPerPoint: 1 }, 'more than 1 fields'],
  ];
  for (const [what, line, limits, reason] of cases) {
    it(`${what}: ${JSON.stringify(line)} is ${reason ?? 'taken'}`, () => {
      const parse = lineParser(true, { limits: { ...limits } });
      parse(`m v=1\nm w=1\nm v="x"\n`);
      for (const body of [line, `${line}\n`, `${line}\r\n`, `${line}\nm v=1\n`]) {
        const { result } = parse(body);
        assert.ok(result.kind === 'parsed');
        assert.deepEqual(
          result.errors.map((error) => error.reason),
          reason === undefined ? [] : [reason],
        );
      }
    });
  }
});
