import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { GatewayError } from '../../src/errors.ts';
import { createBodyBudget } from '../../src/http/body-budget.ts';
import { BodyPieces } from '../../src/http/body-pieces.ts';

describe('the pieces of a body', () => {
  it('become the body, in whatever sizes they come', () => {
    const piece = fc.uint8Array({ maxLength: 50 });
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), fc.nat(3_000), (parts, expected) => {
        const budget = createBodyBudget(10_000);
        const lease = budget.lease();
        const pieces = new BodyPieces(expected, lease);
        const whole = Buffer.concat(parts);
        let size = 0;
        for (const part of parts) {
          size += part.length;
          assert.equal(pieces.add(Buffer.from(part)), size);
        }
        assert.deepEqual(pieces.join(), whole);
        assert.ok(budget.usedBytes >= whole.length && budget.usedBytes <= 2 * whole.length);
        lease.release();
        assert.equal(budget.usedBytes, 0);
      }),
    );
  });

  it('are not copied when there is one', () => {
    const pieces = new BodyPieces(100, createBodyBudget(100).lease());
    const piece = Buffer.from('m v=1');
    pieces.add(piece);
    assert.equal(pieces.join(), piece);
  });

  it('take no more than the body when its length is known', () => {
    const budget = createBodyBudget(1_000);
    const pieces = new BodyPieces(100, budget.lease());
    for (let i = 0; i < 100; i++) pieces.add(Buffer.from('x'));
    assert.equal(budget.usedBytes, 100);
    assert.equal(pieces.join().length, 100);
  });

  it('are refused when the budget is used up', () => {
    const pieces = new BodyPieces(1_000, createBodyBudget(100).lease());
    pieces.add(Buffer.alloc(90));
    const overload = (error: unknown): boolean => error instanceof GatewayError && error.code === 'overload';
    assert.throws(() => pieces.add(Buffer.alloc(20)), overload);
  });
});
