import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ClientBase } from 'pg';
import {
  ddlFailure,
  type FailureClass,
  failureClass,
  isSessionUsable,
  wordsOf,
} from '../../src/sink/postgres/errors.ts';
import { createHeldTables } from '../../src/sink/postgres/held-tables.ts';
import { PipelineError, sendSheets } from '../../src/sink/postgres/pipeline.ts';
import { PreparedStatements } from '../../src/sink/postgres/statements.ts';

function serverError(code: string, severity = 'ERROR'): Error {
  return Object.assign(new Error(`error ${code}`), { code, severity });
}

describe('postgres errors', () => {
  const classes: Record<FailureClass, readonly string[]> = {
    exists: ['42P07', '42701', '42P06', '42710'],
    missing: ['42P01', '42703', '3F000', '42883'],
    denied: ['42501', '28P01', '28000', '3D000'],
    transient:
      '53100 53200 53300 57P01 57P02 57P03 08006 08P01 40001 40P01 55P03 57014 25006 58030 XX000 26000'.split(
        ' ',
      ),
    invalid: ['54011', '42601', '42611', '22003', '23514', '0A000'],
    lost: [],
  };
  for (const [expected, codes] of Object.entries(classes)) {
    for (const code of codes) {
      it(`takes ${code} for ${expected}`, () => {
        assert.equal(failureClass(serverError(code)), expected);
      });
    }
  }

  it('takes an error of the connection for an unknown end, once something was sent', () => {
    const lost = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
    assert.equal(failureClass(lost), 'lost');
    assert.equal(ddlFailure(lost, true).kind, 'ambiguous');
    assert.equal(ddlFailure(lost, false).kind, 'transient');
  });

  it('uses a session on after an error, but not after its end', () => {
    assert.ok(isSessionUsable(serverError('42P01')));
    assert.ok(!isSessionUsable(serverError('57P01', 'FATAL')));
    assert.ok(!isSessionUsable(new Error('Connection terminated')));
  });

  it('tells what the server has told, and each address that was tried', () => {
    const error = Object.assign(serverError('53100'), { detail: 'No space left.', hint: 'Check it.' });
    assert.deepEqual(wordsOf(error), { code: '53100', message: 'error 53100; No space left.; Check it.' });
    const both = Object.assign(new AggregateError([new Error('a'), new Error('b')]), {
      code: 'ECONNREFUSED',
    });
    assert.deepEqual(wordsOf(both), { code: 'ECONNREFUSED', message: 'Error: a; Error: b' });
  });
});

describe('postgres pipeline', () => {
  it('fails when the driver finds the connection ended before it submits anything', async () => {
    const ended = new Error('the client is not queryable');
    const query = (pipeline: { handleError(error: Error): void }): void => pipeline.handleError(ended);
    const sending = sendSheets({ query } as unknown as ClientBase, new PreparedStatements(), [], []);
    await assert.rejects(sending, (error) => error instanceof PipelineError && error.cause === ended);
  });
});

describe('postgres tables that are held', () => {
  it('are held longer at each failure, and not at all after a success', () => {
    let nowMs = 0;
    const held = createHeldTables({ now: () => nowMs });
    const [bad, good] = ['bad', 'good'].map((table) => ({ database: 'd', table })) as [never, never];
    const why = { kind: 'transient', code: '55P03', message: 'locked' } as const;
    for (const holdMs of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      held.failed([bad], why);
      assert.deepEqual(held.among([good, bad]), { ...why, tables: [bad] });
      nowMs += holdMs - 1;
      assert.notEqual(held.among([bad]), undefined);
      nowMs += 1;
      assert.equal(held.among([bad]), undefined);
    }
    held.succeeded([bad]);
    held.failed([bad], why);
    nowMs += 1_000;
    assert.equal(held.among([bad]), undefined);
  });
});
