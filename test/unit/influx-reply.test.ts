import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GatewayError } from '../../src/errors.ts';
import { influxError, influxProblem, writeReply } from '../../src/http/influx-reply.ts';
import { type Problem, retryAfterSeconds, toProblem } from '../../src/http/problem.ts';
import type { ParsedPoints } from '../../src/model/parse-result.ts';
import { result } from '../helpers/fake-ingest.ts';

/** As the parser would answer when all these lines are bad. */
function badLines(lines: readonly string[], good = 0): { body: Buffer; parsed: ParsedPoints } {
  const body = Buffer.from(lines.join('\n'));
  let offset = 0;
  const errors = lines.map((line, index) => {
    const error = { offset, length: Buffer.byteLength(line), position: index + 1, reason: 'missing fields' };
    offset += error.length + 1;
    return error;
  });
  return { body, parsed: { kind: 'parsed', good, failed: lines.length, errors } };
}

const ALL_GOOD: ParsedPoints = { kind: 'parsed', good: 2, failed: 0, errors: [] };

function errorOf(text: string | undefined): string {
  return (JSON.parse(text ?? '') as { error: string }).error;
}

describe('writeReply', () => {
  it('answers 204 without a body when all was stored', () => {
    for (const version of ['v1', 'v2'] as const) {
      const reply = writeReply(version, {
        body: Buffer.alloc(0),
        parsed: ALL_GOOD,
        result: result({ stored: 2 }),
      });
      assert.deepEqual([reply.status, reply.body, reply.headers['Content-Length']], [204, undefined, '0']);
    }
  });

  it('lists bad lines and refused rows together and counts both as dropped', () => {
    const refusals = [{ offset: 9, reason: 'type_conflict', message: 'field type conflict: v' } as const];
    const { body, parsed } = badLines(['x'], 3);
    const outcome = {
      body,
      parsed,
      result: result({ stored: 1, rejected: 2, refusals: [...refusals, ...refusals] }),
    };
    const reasons = "unable to parse 'x': missing fields\nfield type conflict: v";
    assert.equal(errorOf(writeReply('v1', outcome).body), `partial write: ${reasons} dropped=3`);
    const v2 = writeReply('v2', outcome);
    assert.deepEqual(
      [v2.status, JSON.parse(v2.body ?? '')],
      [400, { code: 'invalid', message: reasons, line: 1 }],
    );
  });

  it('lists 20 reasons and counts the rest', () => {
    const lines = Array.from({ length: 25 }, (_, i) => `line${i}`);
    const message = errorOf(writeReply('v1', { ...badLines(lines), result: undefined }).body);
    assert.equal(message.split('\n').length, 20);
    assert.ok(message.endsWith("unable to parse 'line19': missing fields (and 5 more)"), message);
  });

  it('cuts a long line between two characters', () => {
    for (const [line, kept] of [
      ['x'.repeat(300), 'x'.repeat(256)],
      [`${'x'.repeat(255)}é!`, 'x'.repeat(255)],
      [`${'x'.repeat(253)}😀!`, 'x'.repeat(253)],
      ['é'.repeat(128), 'é'.repeat(128)],
    ] as const) {
      const reply = writeReply('v1', { ...badLines([line]), result: undefined });
      assert.equal(errorOf(reply.body), `unable to parse '${kept}': missing fields`);
    }
  });

  it('makes a header of printable ASCII and at most 1,024 bytes', () => {
    const lines = Array.from({ length: 20 }, () => `é\u0000${'x'.repeat(200)}`);
    const header =
      writeReply('v1', { ...badLines(lines), result: undefined }).headers['X-InfluxDB-Error'] ?? '';
    assert.match(header, /^[ -~]{1024}$/);
  });
});

describe('what clients search for', () => {
  const phrases = [
    'database not found',
    'partial write',
    'unable to parse',
    'points beyond retention policy',
    'retention policy not found',
    'hinted handoff queue not empty',
  ];

  it('is in no temporary answer', () => {
    const problem = { status: 503, code: 'x', message: phrases.join(', '), retryAfterS: 1 };
    for (const version of ['v1', 'v2'] as const) {
      const { body, headers } = influxProblem(version, problem);
      const text = JSON.stringify([body, headers]);
      assert.deepEqual(
        phrases.filter((phrase) => text.includes(phrase)),
        [],
      );
    }
  });

  it('never is that the database was not found', () => {
    const { body, parsed } = badLines(['Database not found']);
    for (const version of ['v1', 'v2'] as const) {
      const refusals = [{ offset: 0, reason: 'ddl_failed', message: 'database not found: "x"' } as const];
      const outcome = { body, parsed, result: result({ stored: 0, rejected: 1, refusals }) };
      assert.doesNotMatch(JSON.stringify(writeReply(version, outcome)), /database not found/i);
    }
  });
});

describe('influxProblem', () => {
  const cases: readonly [Problem, string, string][] = [
    [
      { status: 413, code: 'body_too_large', message: 'x', retryAfterS: undefined },
      '{"error":"Request Entity Too Large"}',
      '{"code":"request too large","message":"unable to read data: points batch is too large"}',
    ],
    [
      { status: 503, code: 'overload', message: 'full', retryAfterS: 1 },
      '{"error":"service unavailable, try again"}',
      '{"code":"unavailable","message":"service unavailable, try again: full"}',
    ],
    [
      { status: 500, code: 'internal', message: 'internal error', retryAfterS: undefined },
      '{"error":"internal error"}',
      '{"code":"internal error","message":"internal error"}',
    ],
    [
      { status: 400, code: 'body_malformed', message: 'unexpected EOF', retryAfterS: undefined },
      '{"error":"unexpected EOF"}',
      '{"code":"invalid","message":"unexpected EOF"}',
    ],
  ];
  for (const [problem, v1, v2] of cases) {
    it(`gives ${problem.status} its shape`, () => {
      const replies = [influxProblem('v1', problem), influxProblem('v2', problem)];
      assert.deepEqual(
        replies.map((reply) => [reply.status, reply.body]),
        [
          [problem.status, `${v1}\n`],
          [problem.status, `${v2}\n`],
        ],
      );
      const seconds = problem.retryAfterS === undefined ? undefined : '1';
      assert.deepEqual(
        replies.map((reply) => reply.headers['Retry-After']),
        [seconds, seconds],
      );
    });
  }

  it('tells the line as a number, of v2 only', () => {
    assert.equal(influxError('v2', 400, 'm', 3).body, '{"code":"invalid","message":"m","line":3}\n');
    assert.equal(influxError('v1', 400, 'm', 3).body, '{"error":"m"}\n');
  });
});

describe('Retry-After', () => {
  const cases: readonly [number | undefined, number | undefined][] = [
    [undefined, undefined],
    [0, 1],
    [1, 1],
    [1_000, 1],
    [1_001, 2],
  ];
  for (const [ms, seconds] of cases) {
    it(`of ${ms} ms is ${seconds}`, () => assert.equal(retryAfterSeconds(ms), seconds));
  }

  it('is not told to a client that misreads it', () => {
    assert.equal(toProblem(new GatewayError('overload', 'x'), false, () => 0.5).retryAfterS, undefined);
  });

  it('is spread when nothing is known', () => {
    const seconds = [0, 0.3, 0.999].map(
      (random) => toProblem(new GatewayError('overload', 'x'), true, () => random).retryAfterS,
    );
    assert.deepEqual(seconds, [1, 2, 5]);
  });
});
