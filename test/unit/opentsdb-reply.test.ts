import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GatewayError } from '../../src/errors.ts';
import { datapointJson } from '../../src/http/datapoint.ts';
import { openTsdbProblem, type PutFlags, type PutOutcome, putReply } from '../../src/http/opentsdb-reply.ts';
import { toProblem } from '../../src/http/problem.ts';
import type { ParsedPoints } from '../../src/model/parse-result.ts';
import { result } from '../helpers/fake-ingest.ts';

const NEITHER: PutFlags = { summary: false, details: false, syncTimeoutMs: 0 };
const SUMMARY: PutFlags = { ...NEITHER, summary: true };
const DETAILS: PutFlags = { ...NEITHER, details: true };

function parsed(good: number, failed = 0): ParsedPoints {
  const errors = Array.from({ length: failed }, (_, i) => ({
    offset: i,
    length: 1,
    position: i,
    reason: 'why',
  }));
  return { kind: 'parsed', good, failed, errors };
}

function outcome(parts: Partial<PutOutcome>): PutOutcome {
  return { body: Buffer.from('nullnull'), parsed: parsed(0), result: undefined, timeouts: 0, ...parts };
}

describe('putReply', () => {
  const allGood = outcome({ parsed: parsed(2), result: result({ stored: 2 }) });
  const oneBad = outcome({ parsed: parsed(1, 1), result: result({ stored: 1 }) });
  const noneGood = outcome({ parsed: parsed(0, 2) });
  const cases: readonly [string, PutFlags, PutOutcome, number, unknown][] = [
    ['all good', NEITHER, allGood, 204, undefined],
    ['all good, summary', SUMMARY, allGood, 200, { success: 2, failed: 0 }],
    ['all good, details', DETAILS, allGood, 200, { success: 2, failed: 0, errors: [] }],
    ['one bad, summary', SUMMARY, oneBad, 400, { success: 1, failed: 1 }],
    ['none good, summary', SUMMARY, noneGood, 400, { success: 0, failed: 2 }],
    [
      'sync_timeout set and not reached',
      { ...SUMMARY, syncTimeoutMs: 9 },
      allGood,
      200,
      { success: 2, failed: 0, timeouts: 0 },
    ],
    [
      'sync_timeout reached',
      { ...SUMMARY, syncTimeoutMs: 9 },
      outcome({ parsed: parsed(5, 1), result: result({ stored: 2, rejected: 1, deferred: 2 }), timeouts: 2 }),
      400,
      { success: 2, failed: 2, timeouts: 2 },
    ],
  ];
  for (const [name, flags, given, status, json] of cases) {
    it(`answers ${name}`, () => {
      const reply = putReply(flags, given);
      assert.deepEqual(
        [reply.status, reply.body === undefined ? undefined : JSON.parse(reply.body)],
        [status, json],
      );
    });
  }

  it('lists malformed and refused points in the order of the body', () => {
    const body = Buffer.from('[{"metric":"a"},{"metric":"b"},{"metric":"c"}]');
    const at = (name: string): number => body.indexOf(`{"metric":"${name}"`);
    const reply = putReply(
      DETAILS,
      outcome({
        body,
        parsed: {
          ...parsed(2, 1),
          errors: [{ offset: at('b'), length: 14, position: 1, reason: 'malformed' }],
        },
        result: result({
          rejected: 2,
          refusals: [
            { offset: at('a'), reason: 'denied_name', message: 'refused a' },
            { offset: at('c'), reason: 'denied_name', message: 'refused c' },
          ],
        }),
      }),
    );
    assert.deepEqual(JSON.parse(reply.body ?? ''), {
      success: 0,
      failed: 3,
      errors: [
        { datapoint: { metric: 'a', timestamp: 0 }, error: 'refused a' },
        { datapoint: { metric: 'b', timestamp: 0 }, error: 'malformed' },
        { datapoint: { metric: 'c', timestamp: 0 }, error: 'refused c' },
      ],
    });
  });
});

describe('openTsdbProblem', () => {
  it('asks to come back with whole seconds', () => {
    const problem = toProblem(new GatewayError('overload', 'too many bytes in flight'), true, () => 0.5);
    const reply = openTsdbProblem(problem);
    assert.deepEqual([reply.status, reply.headers['Retry-After']], [503, '3']);
    assert.deepEqual(JSON.parse(reply.body ?? ''), {
      error: { code: 503, message: 'Service unavailable, try again', details: 'too many bytes in flight' },
    });
  });
});

describe('datapointJson', () => {
  const cases: readonly [string, string, string][] = [
    [
      'all members in any order, the value as text',
      '{"tags":{"k":"v"},"value":1.50,"timestamp":1700000000,"metric":"m"}',
      '{"metric":"m","timestamp":1700000000,"value":"1.50","tags":{"k":"v"}}',
    ],
    ['64-bit integers in full', '{"timestamp":9223372036854775807}', '{"timestamp":9223372036854775807}'],
    ['a time in text', '{"timestamp":" 17 "}', '{"timestamp":17}'],
    ['a time with a fraction, cut', '{"timestamp":1.7e9}', '{"timestamp":1700000000}'],
    ['a time that is none as 0', '{"timestamp":NaN}', '{"timestamp":0}'],
    ['no nulls', '{"metric":null,"value":null,"tags":{"a":null}}', '{"timestamp":0,"tags":{}}'],
    ['no null tags', '{"tags":null}', '{"timestamp":0}'],
    ['a bare NaN', '{ "value" : NaN }', '{"timestamp":0,"value":"NaN"}'],
    ['literals of tags', '{"tags":{"a":true,"b":1.50}}', '{"timestamp":0,"tags":{"a":"true","b":"1.50"}}'],
    ['the last of two members', '{"metric":"a","metric":"b"}', '{"metric":"b","timestamp":0}'],
    ['escapes', '{"metric":"\\u0041\\"}"}', '{"metric":"A\\"}","timestamp":0}'],
    ['__proto__ like any tag', '{"tags":{"__proto__":"x"}}', '{"timestamp":0,"tags":{"__proto__":"x"}}'],
    [
      'nothing of unknown members',
      '{"x":[{"metric":"no","y":"]}"},[[]]],"metric":"m","z":{"tags":{}}}',
      '{"metric":"m","timestamp":0}',
    ],
    ['only the element', '{"metric":"m"},{"metric":"n"}', '{"metric":"m","timestamp":0}'],
    ['null for what is no object', 'null', 'null'],
  ];
  for (const [name, text, expected] of cases) {
    it(`shows ${name}`, () => assert.equal(datapointJson(Buffer.from(`[ ${text}`), 2), expected));
  }

  it('passes unknown members however deep they are', () => {
    const deep = `{"x":${'['.repeat(200_000)}${']'.repeat(200_000)},"metric":"m"}`;
    assert.equal(datapointJson(Buffer.from(deep), 0), '{"metric":"m","timestamp":0}');
  });
});
