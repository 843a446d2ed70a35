import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assertSame, openTsdbParser, type Parsed, type ParseSettings } from '../helpers/parse.ts';

function parse(body: string | Uint8Array, settings: ParseSettings = {}): Parsed {
  return assertSame(openTsdbParser(true, settings), openTsdbParser(false, settings), body);
}

function point(members: string): string {
  return `{"metric":"m","timestamp":1700000000,"value":1,"tags":{"a":"b"}${members}}`;
}

const GOOD = point('');

describe('OpenTSDB JSON: values that are taken (protocols: 2.3-2.5)', () => {
  const values: [string, number][] = [
    ['42', 42],
    ['-0.0', -0],
    ['-0', 0],
    ['1.5', 1.5],
    ['1e3', 1000],
    ['1E-2', 0.01],
    ['0.1234567890123456789', 0.12345678901234568],
    ['9223372036854775807', 2 ** 63],
    ['"42"', 42],
    ['"1."', 1],
    ['".5"', 0.5],
    ['"0042"', 42],
    ['"+7"', 7],
    ['1e-400', 0],
  ];
  for (const [text, value] of values) {
    it(text, () => {
      const { rows, result } = parse(
        `{"metric":"m","timestamp":1700000000,"value":${text},"tags":{"a":"b"}}`,
      );
      assert.deepEqual(result, { kind: 'parsed', good: 1, failed: 0, errors: [] });
      assert.deepEqual(rows[0]?.fields, [['value', 'float64', value]]);
    });
  }

  const times: [string, bigint][] = [
    ['1700000000', 1700000000_000_000_000n],
    ['1700000000123', 1700000000_123_000_000n],
    ['1700000000.987', 1700000000_000_000_000n],
    ['1.7e9', 1700000000_000_000_000n],
    ['"1700000000"', 1700000000_000_000_000n],
    ['" 1700000000 "', 1700000000_000_000_000n],
    ['4294967295', 4294967295_000_000_000n],
    ['4294967296', 4294967_296_000_000n],
    ['1', 1_000_000_000n],
    ['9223372036854', 9223372036_854_000_000n],
  ];
  for (const [text, time] of times) {
    it(`timestamp ${text}`, () => {
      assert.equal(
        parse(`{"metric":"m","timestamp":${text},"value":1,"tags":{"a":"b"}}`).rows[0]?.time,
        time,
      );
    });
  }

  it('a single object, an array, white space anywhere, members in any order', () => {
    const spaced =
      ' [ { "tags" : { "a" : "b" } ,\n"value"\t: 1 , "timestamp" : 1700000000 , "metric" : "m" }\r\n, ' +
      GOOD +
      ' ] \n';
    const [expected] = parse(GOOD).rows;
    const { rows } = parse(spaced);
    assert.equal(rows.length, 2);
    for (const row of rows) assert.deepEqual({ ...row, offset: 0 }, expected);
  });

  it('unknown members are skipped at any depth up to the limit', () => {
    assert.equal(parse(point(',"x":{"y":[1,{"z":[]},{}],"metric":"no"},"w":[[],[[]]]')).rows.length, 1);
  });

  it('the last of duplicate members and tags wins', () => {
    const { rows } = parse(
      '{"metric":"x","metric":"m","timestamp":5,"timestamp":1700000000,"value":2,"value":1,"tags":{"c":"d"},"tags":{"a":"x","a":"b"}}',
    );
    const [expected] = parse(GOOD).rows;
    assert.deepEqual(rows[0], expected);
  });

  it('numbers and booleans as names and tag values keep their text', () => {
    const { rows } = parse('{"metric":7,"timestamp":1700000000,"value":1,"tags":{"a":1.50,"b":true}}');
    assert.equal(rows[0]?.table, '7');
    assert.deepEqual(rows[0]?.tags, { 'tag:a': '1.50', 'tag:b': 'true' });
  });

  it('escapes in strings spell the same names', () => {
    const { rows } = parse(
      String.raw`[{"metric":"m\u002Ex","timestamp":1,"value":1,"tags":{"\u0061":"b\/c"}},{"metric":"m.x","timestamp":1,"value":1,"tags":{"a":"b/c"}}]`,
    );
    assert.deepEqual(rows[0]?.tags, rows[1]?.tags);
    assert.equal(rows[0]?.table, rows[1]?.table);
  });

  it('letters of all languages are names, also __proto__ and SQL words', () => {
    for (const name of ['größe', '中文', 'ª', '__proto__', 'constructor', 'DROP']) {
      const text = JSON.stringify(name);
      const { rows } = parse(`{"metric":${text},"timestamp":1,"value":1,"tags":{${text}:${text}}}`, {
        rules: { extraNameChars: '_' },
      });
      assert.deepEqual(
        [rows[0]?.table, Object.entries(rows[0]?.tags ?? {})],
        [name, [[`tag:${name}`, name]]],
      );
    }
  });

  it('up to eight tags, or as many as configured', () => {
    const tags = (count: number) => Array.from({ length: count }, (_, i) => `"t${i}":"v"`).join();
    const body = (count: number) => `{"metric":"m","timestamp":1,"value":1,"tags":{${tags(count)}}}`;
    assert.equal(parse(body(8)).rows.length, 1);
    assert.equal(parse(body(9)).rows.length, 0);
    assert.equal(parse(body(20), { rules: { maxTags: 20 } }).rows.length, 1);
  });

  it('points without tags when that is configured', () => {
    for (const tags of ['', ',"tags":{}', ',"tags":null']) {
      const body = `{"metric":"m","timestamp":1,"value":1${tags}}`;
      assert.equal(parse(body).rows.length, 0);
      assert.deepEqual(parse(body, { rules: { requireTags: false } }).rows[0]?.tags, {});
    }
  });
});

describe('OpenTSDB JSON: a bad point fails alone', () => {
  const with_ = (changes: Record<string, string>): string => {
    const members = { metric: '"m"', timestamp: '1700000000', value: '1', tags: '{"a":"b"}', ...changes };
    return `{${Object.entries(members)
      .filter(([, v]) => v !== '')
      .map(([k, v]) => `"${k}":${v}`)
      .join()}}`;
  };
  const tooLarge = (shown: string) => `value is NaN or Infinite: ${shown} for metric=m timestamp=1700000000`;
  const cases: [string, string][] = [
    ['null', 'Unexpected null datapoint encountered in set.'],
    ['{}', 'Metric name was empty'],
    [with_({ metric: '' }), 'Metric name was empty'],
    [with_({ metric: 'null' }), 'Metric name was empty'],
    [with_({ metric: '""' }), 'Metric name was empty'],
    [with_({ timestamp: '' }), 'Invalid timestamp'],
    [with_({ timestamp: 'null' }), 'Invalid timestamp'],
    [with_({ timestamp: '""' }), 'Invalid timestamp'],
    [with_({ timestamp: '0' }), 'Invalid timestamp'],
    [with_({ timestamp: '-5' }), 'Invalid timestamp'],
    [with_({ value: '' }), 'Empty value'],
    [with_({ value: 'null' }), 'Empty value'],
    [with_({ value: '""' }), 'Empty value'],
    [with_({ tags: '' }), 'Missing tags'],
    [with_({ tags: 'null' }), 'Missing tags'],
    [with_({ tags: '{}' }), 'Missing tags'],
    [with_({ value: '"x"' }), 'Unable to parse value to a number'],
    [with_({ value: 'true' }), 'Unable to parse value to a number'],
    [with_({ value: 'NaN' }), 'Unable to parse value to a number'],
    [with_({ value: 'Infinity' }), 'Unable to parse value to a number'],
    [with_({ value: '-Infinity' }), 'Unable to parse value to a number'],
    [with_({ value: '+INF' }), 'Unable to parse value to a number'],
    [with_({ value: '"nan"' }), 'Unable to parse value to a number'],
    [with_({ value: '"1.5f"' }), 'Unable to parse value to a number'],
    [with_({ value: '"0x10"' }), 'Unable to parse value to a number'],
    [with_({ value: '" 5"' }), 'Unable to parse value to a number'],
    [with_({ value: '9223372036854775808' }), 'Unable to parse value to a number'],
    [with_({ value: '1e400' }), tooLarge('Infinity')],
    [with_({ value: '-1e400' }), tooLarge('-Infinity')],
    [
      with_({ timestamp: '9223372036855' }),
      'bad timestamp=9223372036855 when trying to add value=1 to metric=m, tags={a=b}',
    ],
    [
      with_({ timestamp: '17000000001234567' }),
      'bad timestamp=17000000001234567 when trying to add value=1 to metric=m, tags={a=b}',
    ],
    [with_({ metric: '"a;b"' }), 'Invalid metric name ("a;b"): illegal character: ;'],
    [with_({ metric: '"a b"' }), 'Invalid metric name ("a b"): illegal character:  '],
    [with_({ tags: '{"k k":"v"}' }), 'Invalid tag name with value [v] ("k k"): illegal character:  '],
    [with_({ tags: '{"k":"v;"}' }), 'Invalid tag value with key [k] ("v;"): illegal character: ;'],
    [with_({ tags: '{"k":""}' }), 'Invalid tag value with key [k]: empty string'],
    [with_({ tags: '{"k":null}' }), 'Invalid tag value with key [k]: null'],
    [with_({ tags: '{"":"v"}' }), 'Invalid tag name with value [v]: empty string'],
    [with_({ metric: '"²"' }), 'Invalid metric name ("²"): illegal character: ²'],
    [with_({ metric: '"a\\u0000b"' }), 'Invalid metric name ("a\0b"): illegal character: \0'],
    [with_({ metric: `"${'m'.repeat(1025)}"` }), 'Invalid metric name: longer than 1024 bytes'],
    [
      with_({ tags: '{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9}' }),
      'Too many tags: 9 maximum allowed: 8, tags: {a=1, b=2, c=3, d=4, e=5, f=6, g=7, h=8, i=9}',
    ],
  ];
  for (const [text, reason] of cases) {
    it(`${text.slice(0, 90)}: ${reason.slice(0, 60)}`, () => {
      const { result, rows } = parse(`[${GOOD},${text},${GOOD}]`);
      assert.ok(result.kind === 'parsed');
      assert.equal(rows.length, 2);
      assert.deepEqual(result.errors, [
        { offset: GOOD.length + 2, length: Buffer.byteLength(text), position: 1, reason },
      ]);
    });
  }

  it('astral letters and emoji are illegal, as in Java', () => {
    const { result } = parse(point('').replace('"m"', '"a😀"'));
    assert.ok(
      result.kind === 'parsed' &&
        result.errors[0]?.reason.startsWith('Invalid metric name ("a😀"): illegal character: '),
    );
  });
});

describe('OpenTSDB JSON: a malformed body stores nothing', () => {
  const unable = 'Unable to parse the given JSON';
  const cases: [string, string][] = [
    ['', 'Missing request content'],
    [' \n\t ', 'Missing request content'],
    ['[]', 'No datapoints found in content'],
    ['[\n\n]\n', 'No datapoints found in content'],
    ['null', 'The JSON must start as an object or an array'],
    ['1', 'The JSON must start as an object or an array'],
    ['"x"', 'The JSON must start as an object or an array'],
    [`\ufeff${GOOD}`, 'The JSON must start as an object or an array'],
    [`[${GOOD}`, unable],
    [`[${GOOD},]`, unable],
    [`[${GOOD}]x`, unable],
    [`${GOOD}${GOOD}`, unable],
    [`[${GOOD},1]`, unable],
    [`[${GOOD},"x"]`, unable],
    [`[${GOOD},[]]`, unable],
    [`[${GOOD},{"metric":{}}]`, unable],
    [`[${GOOD},{"value":[]}]`, unable],
    [`[${GOOD},{"tags":[]}]`, unable],
    [`[${GOOD},{"tags":""}]`, unable],
    [`[${GOOD},{"tags":"x"}]`, unable],
    [`[${GOOD},{"tags":{"a":{}}}]`, unable],
    [`[${GOOD},{"timestamp":true}]`, unable],
    [`[${GOOD},{"timestamp":"1.5"}]`, unable],
    [`[${GOOD},{"timestamp":"x"}]`, unable],
    [`[${GOOD},{"timestamp":9223372036854775808}]`, unable],
    [`[${GOOD},{"value":INF}]`, unable],
    [`[${GOOD},{"value":Nan}]`, unable],
    [`[${GOOD},{"value":01}]`, unable],
    [`[${GOOD},{"value":.5}]`, unable],
    [`[${GOOD},{"value":5.}]`, unable],
    [`[${GOOD},{"value":+5}]`, unable],
    [`[${GOOD},{"value":1e}]`, unable],
    [`[${GOOD},{'value':1}]`, unable],
    [`[${GOOD},{"value":1,}]`, unable],
    [`[${GOOD},{"metric":"a\nb"}]`, unable],
    [`[${GOOD},{"metric":"a\\x"}]`, unable],
    [`[${GOOD},{"metric":"a]`, unable],
    [point(`,"x":${'['.repeat(101)}${']'.repeat(101)}`), unable],
    [`{"metric":"m","timestamp":1,"value":1,"tags":{"a":"b"}`, unable],
  ];
  for (const [body, message] of cases) {
    it(JSON.stringify(body.replace(GOOD, '…')).slice(0, 70), () => {
      const { result, rows } = parse(body);
      assert.ok(result.kind === 'malformed');
      assert.equal(result.message, message);
      assert.equal(rows.length, 0);
    });
  }

  it('invalid UTF-8 anywhere in a string', () => {
    const body = Buffer.concat([Buffer.from('[{"metric":"'), Buffer.from([0xff]), Buffer.from('"}]')]);
    assert.equal(parse(body).result.kind, 'malformed');
  });

  it('nesting up to the limit, and 100,000 levels without harm', () => {
    const nested = (depth: number) => point(`,"x":${'['.repeat(depth)}${']'.repeat(depth)}`);
    assert.equal(parse(nested(99)).result.kind, 'parsed');
    assert.equal(parse(nested(100_000)).result.kind, 'malformed');
  });
});

describe('OpenTSDB JSON: metrics of one request', () => {
  it('refuses the points of further ones', () => {
    const body = ['m', 'n', 'o', 'm'].map((name) => GOOD.replace('"m"', `"${name}"`)).join();
    const { result, rows } = parse(`[${body}]`, { limits: { tablesPerRequest: 2 } });
    assert.ok(result.kind === 'parsed');
    assert.deepEqual(
      rows.map(({ table }) => table),
      ['m', 'n', 'm'],
    );
    assert.deepEqual(
      result.errors.map(({ position, reason }) => [position, reason]),
      [[2, 'more than 2 metrics in one request']],
    );
  });
});
