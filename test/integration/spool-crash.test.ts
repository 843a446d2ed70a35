/** A short run of `npm run crash`: what was acknowledged survives kill -9 at named steps and at any moment. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { crashRounds } from '../crash/rounds.ts';
import { temporaryFolder } from '../helpers/gateway.ts';

const ROUNDS = 16;

describe('kill -9 with rows on disk', () => {
  it('loses, doubles and reorders no acknowledged point', async (t) => {
    const folder = temporaryFolder(t);
    const progress = (line: string): void => t.diagnostic(line);
    const options = { folder, rounds: ROUNDS, seed: 1, verifyEvery: 8, progress };
    const { kills, batches, replayed, faults } = await crashRounds(t, options);
    assert.deepEqual(faults, []);
    assert.ok(batches > ROUNDS, `only ${batches} batches were acknowledged`);
    assert.ok(replayed > 0, 'no gateway found rows on disk');
    assert.ok(kills.size > 3, `it only died at ${[...kills.keys()].join(', ')}`);
  });
});
