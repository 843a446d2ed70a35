import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { simulate } from '../sim/simulation.ts';
import { STEPS } from '../sim/steps.ts';

const SEEDS = 50;
/** Tests of ten seeds each, so that a failing one shows soon. */
const PER_TEST = 10;

describe('a simulated cluster under trouble', () => {
  const figuresSeen = new Set<string>();

  for (let first = 1; first <= SEEDS; first += PER_TEST) {
    it(`keeps every invariant and comes to rest (seeds ${first} to ${first + PER_TEST - 1})`, async () => {
      for (let seed = first; seed < first + PER_TEST; seed++) {
        const { violations, figures, tail } = await simulate({ seed });
        const again = `npm run sim -- --seeds 1 --first-seed ${seed}`;
        assert.deepEqual(violations, [], `again with ${again}; the end of its trace:\n${tail.join('\n')}`);
        for (const name of figures.keys()) figuresSeen.add(name);
      }
    });
  }

  it('has been killed and has been frozen at every step', () => {
    const rare = /(breaker|drain|forget)/;
    const traps = STEPS.flatMap((step) => [`trap kill ${step}`, `trap freeze ${step}`]);
    const missing = traps.filter((name) => !figuresSeen.has(name));
    assert.deepEqual(
      missing.filter((name) => !rare.test(name)),
      [],
    );
    assert.ok(missing.length < 9, missing.join(', '));
  });

  it('repeats itself for the same seed, and not for another', async () => {
    const [first, again, other] = [
      await simulate({ seed: 7 }),
      await simulate({ seed: 7 }),
      await simulate({ seed: 8 }),
    ];
    assert.deepEqual(again, first);
    assert.notEqual(other.hash, first.hash);
  });
});
