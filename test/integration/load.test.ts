/** Many connections at once, for a bounded number of requests; `npm run load` does it with a thousand for a minute. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { temporaryFolder } from '../helpers/gateway.ts';
import { runLoad } from '../load/run.ts';

const CONNECTIONS = 200;
const REQUESTS = 3_000;

describe('the gateway under many connections', () => {
  it('stores all it acknowledged, and lets go of every descriptor', async (t) => {
    let requests = 0;
    const { acknowledged, others, faults } = await runLoad(t, {
      folder: temporaryFolder(t),
      connections: CONNECTIONS,
      kinds: ['keep-alive', 'pipelined'],
      more: () => requests++ < REQUESTS,
    });
    assert.deepEqual([faults, [...others]], [[], []]);
    assert.ok(acknowledged >= REQUESTS);
  });
});
