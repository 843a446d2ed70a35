import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { GUARD_OPTIONS as OPTION_TABLE } from '../../src/config/options-guard.ts';
import { Describer } from '../../src/guard/describer.ts';
import { shortKey, targetKey } from '../../src/guard/keys.ts';
import { createNegativeCache, MAX_VARIANTS } from '../../src/guard/negative-cache.ts';
import { createPace } from '../../src/guard/pace.ts';
import { compilePatterns } from '../../src/guard/policy.ts';
import { createSingleFlight } from '../../src/guard/single-flight.ts';
import { createThrottle } from '../../src/guard/throttle.ts';
import { createDefer } from '../../src/guard/verdict.ts';
import { within } from '../../src/guard/within.ts';
import { fingerprint } from '../../src/model/ddl-queue.ts';
import { createDeferred } from '../../src/util/deferred.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import {
  countingMetrics,
  FakeDatabase,
  failure,
  field,
  GUARD_OPTIONS,
  NO_PACE,
  SILENT,
} from '../helpers/guard-rig.ts';

describe('single flight', () => {
  it('lets everyone share the work and starts anew afterwards, even from a follower', async () => {
    const flights = createSingleFlight<string, number>();
    const first = createDeferred<number>();
    const result = flights.start('k', 'ticket', () => first.promise);
    const follower = flights.find('k')?.result.then(() => flights.find('k'));
    assert.equal(flights.find('k')?.ticket, 'ticket');
    first.resolve(1);
    assert.equal(await result, 1);
    assert.equal(await follower, undefined);
    assert.equal(flights.size, 0);
  });

  it('shares a failure too, and is free again after it', async () => {
    const flights = createSingleFlight<undefined, number>();
    const result = flights.start('k', undefined, () => Promise.reject(new Error('broken')));
    await assert.rejects(result, /broken/);
    assert.equal(flights.find('k'), undefined);
  });

  it('tells detached work that it is no longer current, and leaves its successor alone', async () => {
    const flights = createSingleFlight<undefined, boolean>();
    const hold = createDeferred<void>();
    const work = async (isCurrent: () => boolean) => {
      await hold.promise;
      return isCurrent();
    };
    const old = flights.start('k', undefined, work);
    flights.detach('k');
    const fresh = flights.start('k', undefined, work);
    hold.resolve();
    assert.deepEqual(await Promise.all([old, fresh]), [false, true]);
    await flights.idle();
  });
});

describe('within', () => {
  it('leaves neither a timer nor a listener behind, however it ends', async () => {
    const clock = new FakeClock();
    const signal = new AbortController();
    assert.equal(await within(Promise.resolve(1), 100, clock, signal.signal), 1);
    const never = new Promise<number>(() => {});
    const late = within(never, 100, clock, signal.signal);
    await clock.advance(100);
    assert.equal(await late, undefined);
    const aborted = within(never, 100, clock, signal.signal);
    signal.abort(new Error('enough'));
    await assert.rejects(aborted, /enough/);
    await assert.rejects(within(never, 100, clock, signal.signal), /enough/);
    assert.equal(clock.sleeping, 0);
  });
});

describe('throttle', () => {
  const options = { perSec: 4, burst: 4, tenantPerSec: 2, tenantBurst: 2, maxOpen: 3, maxOpenPerTenant: 2 };

  it('grants a burst, then the rate, to each tenant and over all', async () => {
    const clock = new FakeClock();
    const throttle = createThrottle(options, clock);
    const take = (tenant: string) => {
      const grant = throttle.tryTake(tenant);
      if (grant.granted) grant.release();
      return grant.granted ? 0 : Math.round(grant.retryAfterMs);
    };
    assert.deepEqual(['a', 'a', 'a', 'b', 'b', 'c'].map(take), [0, 0, 500, 0, 0, 250]);
    await clock.advance(250);
    assert.deepEqual(['a', 'c', 'c'].map(take), [250, 0, 250]);
    await clock.advance(60_000);
    assert.deepEqual(['a', 'a', 'a'].map(take), [0, 0, 500], 'no more than the burst was saved');
  });

  it('holds the rates that are stated as the defaults, whoever asks and however often', async () => {
    const { createsPerSec, createsPerSecPerTenant, createBurst } = OPTION_TABLE.guard;
    const rates = { perSec: createsPerSec.default, tenantPerSec: createsPerSecPerTenant.default };
    const bursts = { burst: createBurst.default, tenantBurst: createBurst.default };
    for (const [tenants, perSec] of [
      [['a'], rates.tenantPerSec],
      [['a', 'b', 'c'], rates.perSec],
    ] as const) {
      const clock = new FakeClock();
      const throttle = createThrottle({ ...options, ...rates, ...bursts }, clock);
      let granted = 0;
      const takeAll = (tenant: string): void => {
        for (let grant = throttle.tryTake(tenant); grant.granted; grant = throttle.tryTake(tenant)) {
          granted++;
          grant.release();
        }
      };
      for (let step = 0; step < 600; step++) {
        tenants.forEach(takeAll);
        await clock.advance(100);
      }
      tenants.forEach(takeAll);
      const stated = createBurst.default + 60 * perSec;
      assert.ok(granted <= stated && granted >= stated - 1, `${granted} of ${stated}`);
    }
  });

  it('grants at any rate when the rates are 0, and still bounds what is open', () => {
    const throttle = createThrottle({ ...options, perSec: 0, tenantPerSec: 0 }, new FakeClock());
    for (let taken = 0; taken < 1_000; taken++) {
      const grant = throttle.tryTake('a');
      assert.ok(grant.granted);
      grant.release();
    }
    const open = Array.from({ length: 3 }, () => throttle.tryTake('a'));
    assert.deepEqual(open[2], { granted: false, retryAfterMs: 1_000 });
  });

  it('grants no more open submits than allowed, and gives places back', () => {
    const clock = new FakeClock();
    const throttle = createThrottle({ ...options, burst: 100, tenantBurst: 100 }, clock);
    const grants = ['a', 'a', 'a', 'b', 'b'].map((tenant) => throttle.tryTake(tenant));
    assert.deepEqual(
      grants.map((grant) => grant.granted),
      [true, true, false, true, false],
    );
    for (const grant of grants) if (grant.granted) grant.release();
    assert.equal(throttle.tryTake('a').granted, true);
  });

  it('never grants more than burst plus rate times time', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(1_000), { maxLength: 50 }), async (pauses) => {
        const clock = new FakeClock();
        const throttle = createThrottle({ ...options, tenantPerSec: 100, tenantBurst: 100 }, clock);
        let granted = 0;
        let passed = 0;
        for (const pause of pauses) {
          const grant = throttle.tryTake('a');
          if (grant.granted) {
            granted++;
            grant.release();
          }
          passed += pause;
          await clock.advance(pause);
        }
        assert.ok(granted <= options.burst + (passed / 1_000) * options.perSec);
      }),
      { numRuns: 30 },
    );
  });
});

describe('negative cache', () => {
  const a = [field('a')];
  const wants = (name: string) => fingerprint([field(name)]);

  function make(maxEntries = 100, maxBytes = 1 << 20) {
    const clock = new FakeClock();
    const cache = createNegativeCache(
      { maxEntries, maxBytes },
      clock,
      createDefer(() => 0),
    );
    const look = (key: string, fp: string) => {
      const answer = cache.lookup(key, () => fp);
      return typeof answer === 'object' ? answer.kind : answer;
    };
    return { clock, cache, look };
  }

  it('rejects exactly the wants that failed for good, until the time is up', async () => {
    const { clock, cache, look } = make();
    cache.put('k', failure('permanent', 1_000, a));
    assert.deepEqual(
      [look('k', wants('a')), look('k', wants('b')), look('l', wants('a'))],
      ['rejected', undefined, undefined],
    );
    await clock.advance(1_000);
    assert.deepEqual([look('k', wants('a')), cache.has('k')], ['expired', true]);
    await clock.advance(60_001);
    assert.deepEqual([look('k', wants('a')), cache.has('k')], [undefined, false]);
  });

  it('defers every want for a table that failed for now, and says until when', async () => {
    const { clock, cache } = make();
    cache.put('k', failure('transient', 1_000, a));
    await clock.advance(400);
    const answer = cache.lookup('k', () => wants('b'));
    assert.ok(typeof answer === 'object' && answer.kind === 'deferred');
    assert.deepEqual([answer.reason, answer.retryAfterMs], ['ddl_backoff', 600]);
  });

  it('holds the whole table back once too many different wants have failed', () => {
    const { cache, look } = make();
    for (let i = 0; i < MAX_VARIANTS - 1; i++) cache.put('k', failure('permanent', 1_000, [field(`f${i}`)]));
    assert.equal(look('k', wants('new')), undefined);
    cache.put('k', failure('permanent', 1_000, [field('one more')]));
    assert.equal(look('k', wants('new')), 'deferred');
    for (let i = 0; i < 1_000; i++) cache.put('k', failure('permanent', 1_000, [field(`g${i}`)]));
    assert.ok(cache.stats().negativeBytes < 10_000);
  });

  it('holds nothing against a table that was cleared, but knows that it had failed', async () => {
    const { clock, cache, look } = make();
    cache.put('k', failure('transient', 1_000, a));
    cache.clear('k');
    cache.clear('never heard of');
    assert.deepEqual(
      [look('k', wants('a')), cache.has('k'), cache.has('never heard of')],
      [undefined, true, false],
    );
    await clock.advance(60_001);
    assert.equal(cache.has('k'), false);
    cache.put('k', failure('transient', 1_000, a));
    cache.forget('k');
    assert.equal(cache.has('k'), false);
  });

  it('keeps names apart whatever they are, and short', () => {
    const { cache, look } = make(10_000);
    const names = [
      '__proto__',
      'constructor',
      '\ud800'.repeat(300),
      '\ud801'.repeat(300),
      'x'.repeat(1e6),
      "'; --",
    ];
    for (const name of names) cache.put(name, failure('permanent', 1_000, [field(name)]));
    for (const name of names) {
      assert.deepEqual(
        names.filter((other) => look(name, wants(other)) === 'rejected'),
        [name],
      );
    }
    assert.ok(cache.stats().negativeBytes < 20_000);
  });
});

describe('keys', () => {
  it('never meet for different targets', () => {
    const name = fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\u0000', ''));
    const target = fc.record({
      database: name,
      table: fc.option(
        name.filter((text) => text !== ''),
        { nil: undefined },
      ),
    });
    fc.assert(
      fc.property(target, target, (one, other) => {
        const same = one.database === other.database && one.table === other.table;
        assert.equal(shortKey(targetKey(one)) === shortKey(targetKey(other)), same);
      }),
    );
  });
});

describe('patterns', () => {
  const cases: readonly [string, string, boolean][] = [
    ['cpu', 'cpu', true],
    ['cpu', 'cpu2', false],
    ['cpu', 'my cpu', false],
    ['a|ab', 'ab', true],
    ['tmp_.*', 'tmp_\n', true],
    ['tmp_.*', '\ntmp_x', false],
    ['.*', '__proto__\ud800', true],
    ['(?i)CPU', 'cPu', true],
  ];
  for (const [pattern, name, matches] of cases) {
    it(`${JSON.stringify(pattern)} ${matches ? 'matches' : 'does not match'} ${JSON.stringify(name)}`, () => {
      assert.equal(compilePatterns([pattern])(name), matches);
    });
  }

  it('name the one that is not RE2 syntax', () => {
    for (const bad of ['(', 'a(?=b)', '(a)\\1', 'a{2000}']) {
      assert.throws(() => compilePatterns(['fine', bad]), {
        code: 'config_invalid',
        message: `not a pattern in RE2 syntax: "${bad}"`,
      });
    }
  });

  it('take time linear in the name for patterns that other engines choke on', () => {
    const matches = compilePatterns(['(a+)+b', '(a|a)*b', '(.*)*c']);
    assert.equal(matches('a'.repeat(20_000)), false);
  });
});

describe('describer', () => {
  function make(options = {}) {
    const clock = new FakeClock();
    const database = new FakeDatabase();
    const { metrics, counts } = countingMetrics();
    const deps = { ddl: database, clock, metrics, logger: SILENT, random: () => 0.5, pace: NO_PACE };
    return {
      clock,
      database,
      counts,
      describer: new Describer({ ...GUARD_OPTIONS.describer, ...options }, deps),
    };
  }
  const id = (n: number) => ({ database: 'db', table: `t${n}` });

  it('asks for the names of many callers in one query, and for more in the next', async () => {
    const { describer, database } = make({ maxNames: 100 });
    const answers = Array.from({ length: 250 }, (_, n) => describer.describe(id(n), false));
    assert.equal(describer.pending, 250);
    assert.ok((await Promise.all(answers)).every((answer) => answer.kind === 'missing'));
    // The first name finds nobody to share with.
    assert.deepEqual([database.describes, describer.pending], [4, 0]);
    await describer.close();
  });

  it('refuses beyond its places, and background questions beyond half of them', async () => {
    const { describer, database } = make({ maxPending: 4, maxNames: 1 });
    const hold = createDeferred<void>();
    database.hold = hold.promise;
    const first = describer.describe(id(0), false);
    const kinds = [1, 2, 3].map((n) => describer.describe(id(n), true));
    const more = [4, 5, 6].map((n) => describer.describe(id(n), false));
    assert.equal((await (kinds[2] as Promise<{ kind: string }>)).kind, 'busy');
    assert.equal((await (more[2] as Promise<{ kind: string }>)).kind, 'busy');
    hold.resolve();
    await Promise.all([first, ...kinds, ...more]);
    await describer.close();
  });

  it('leaves a database alone that does not answer, for longer each time', async () => {
    const { clock, database, describer, counts } = make({
      timeoutMs: 1_000,
      minDownMs: 500,
      maxDownMs: 1_500,
    });
    database.hold = new Promise(() => {});
    const waits: number[] = [];
    for (let i = 0; i < 4; i++) {
      const answer = describer.describe(id(1), false);
      await clock.advance(1_000);
      const down = await answer;
      assert.ok(down.kind === 'down');
      waits.push(Math.round(down.retryAfterMs));
      assert.equal((await describer.describe(id(2), false)).kind, 'down');
      await clock.advance(down.retryAfterMs);
    }
    assert.deepEqual(waits, [500, 1_000, 1_500, 1_500]);
    assert.equal(database.describes, 4);
    assert.equal(counts.get('described 1 false'), 4);
    database.hold = undefined;
    assert.equal((await describer.describe(id(1), false)).kind, 'missing');
    await describer.close();
    assert.equal(clock.sleeping, 0);
  });
});

describe('pace', () => {
  it('runs one job at a time and drops those that wait when it stops', async () => {
    const pace = createPace(0);
    const hold = createDeferred<string>();
    const began = createDeferred<void>();
    const first = pace.run(() => {
      began.resolve();
      return hold.promise;
    });
    let second = false;
    const dropped = pace.run(() => {
      second = true;
      return Promise.resolve();
    });
    const rejection = assert.rejects(dropped);
    await began.promise;
    const stopped = pace.stop();
    hold.resolve('done');
    assert.equal(await first, 'done');
    await Promise.all([stopped, rejection]);
    assert.equal(second, false);
  });
});
