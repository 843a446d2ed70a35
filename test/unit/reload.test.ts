import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pino } from 'pino';
import { createReloads } from '../../src/reload.ts';
import { createDeferred } from '../../src/util/deferred.ts';

const logger = pino({ level: 'silent' });

describe('the reloads', () => {
  it('reload every part, and say which of them kept what they had', async () => {
    const reloads = createReloads({ logger });
    const done: string[] = [];
    reloads.add('first', () => Promise.reject(new Error('line 3: no')));
    reloads.add('second', async () => void done.push('second'));
    assert.deepEqual(await reloads.reload('test'), [
      { name: 'first', error: 'line 3: no' },
      { name: 'second', error: undefined },
    ]);
    assert.deepEqual(done, ['second']);
  });

  it('share one more reload among all who ask while one runs', async () => {
    const reloads = createReloads({ logger });
    const first = createDeferred<void>();
    let runs = 0;
    reloads.add('part', () => (++runs === 1 ? first.promise : Promise.resolve()));
    const calls = [reloads.reload('a'), reloads.reload('b'), reloads.reload('c')];
    first.resolve();
    await Promise.all(calls);
    assert.equal(runs, 2);
    await reloads.reload('d');
    assert.equal(runs, 3);
  });
});
