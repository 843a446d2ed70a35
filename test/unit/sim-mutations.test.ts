import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MUTATIONS } from '../sim/mutations.ts';
import { simulate } from '../sim/simulation.ts';

/** A defect must be found in so many seeds. */
const MAX_SEEDS = 100;

/** Which check finds it. */
const FOUND_AS: Readonly<Record<keyof typeof MUTATIONS, RegExp>> = {
  'the fence compare': /I8|I4|I7/,
  'the compare of slots': /I1|I2/,
  'the compare of tenant slots': /I2|I3/,
  'the nonce of leaders': /G1 .* the leader is|I8/,
  'the uniqueness of nonces': /I4/,
  'the compare of the task in queueing': /I5/,
  'the compare of the task in completing': /I4|I7/,
  'the compare of outcomes': /I6/,
  'the compare of breakers': /I6/,
  'the compare of the election': /lead overwritten/,
  'the deadline of leaders': /G1 .* the leader is/,
  'a revision of the watch': /the view of|was not made/,
};

describe('the simulation finds what the queue is without', () => {
  for (const [name, mutation] of Object.entries(MUTATIONS)) {
    it(name, async () => {
      // Only what gateways miss is seen when they have come to rest.
      const rest = name === 'a revision of the watch';
      let found: readonly string[] = [];
      for (let seed = 1; found.length === 0 && seed <= MAX_SEEDS; seed++) {
        found = (await simulate({ seed, mutation, rest })).violations;
      }
      const expected = FOUND_AS[name as keyof typeof MUTATIONS];
      assert.ok(
        found.some((violation) => expected.test(violation)),
        `found ${found.join('; ') || 'nothing'}`,
      );
    });
  }
});
