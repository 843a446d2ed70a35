import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createLogSampler } from '../../src/util/log-sampler.ts';
import { FakeClock } from '../helpers/fake-clock.ts';

it('a log sampler writes once per kind and interval and tells how many it left out', async () => {
  const clock = new FakeClock();
  const sampler = createLogSampler(1_000, clock);
  const lines: string[] = [];
  const event = (kind: string): void =>
    sampler.sample(kind, (suppressed) => lines.push(`${kind} ${suppressed}`));
  for (const kind of ['a', 'a', 'b', 'a']) event(kind);
  await clock.advance(1_000);
  event('a');
  event('b');
  assert.deepEqual(lines, ['a 0', 'b 0', 'a 2', 'b 0']);
});

it('a log sampler without an interval writes everything', () => {
  const sampler = createLogSampler(0, new FakeClock());
  let lines = 0;
  for (let i = 0; i < 3; i++) sampler.sample('a', () => lines++);
  assert.equal(lines, 3);
});
