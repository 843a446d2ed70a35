import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import type { GuardOptions } from '../../src/guard/options.ts';
import type { Admission, Verdict } from '../../src/model/admission.ts';
import type { ColumnSpec, ValueType } from '../../src/model/column.ts';
import { Table } from '../../src/model/series.ts';
import { tableKey } from '../../src/model/table.ts';
import {
  admitIn,
  closeRig,
  contextOf,
  createGuardRig,
  failure,
  field,
  GUARD_OPTIONS,
  type GuardRig,
  groupOf,
  tag,
} from '../helpers/guard-rig.ts';

let rig: GuardRig;
afterEach(() => closeRig(rig));

const target = { tenant: 'db', database: 'db', table: 'm' };

function admit(group = groupOf('m'), ms?: number): Promise<Admission> {
  return admitIn(rig, group, ms);
}

function said(verdict: Verdict | undefined): string | undefined {
  return verdict === undefined ? undefined : `${verdict.kind} ${verdict.reason}`;
}

function exists(table: string, columns: ColumnSpec[]): void {
  rig.database.tables.set(tableKey({ database: 'db', table }), columns);
}

function policy(options: Partial<GuardOptions['policy']>): Partial<GuardOptions> {
  return { policy: { ...GUARD_OPTIONS.policy, ...options } };
}

describe('guard: type conflicts', () => {
  const cases: readonly [ValueType, ValueType, string][] = [
    ['float64', 'int64', 'is type integer, already exists as type float'],
    ['int64', 'float64', 'is type float, already exists as type integer'],
    ['int64', 'uint64', 'is type unsigned, already exists as type integer'],
    ['bool', 'string', 'is type string, already exists as type boolean'],
  ];
  for (const [has, sent, words] of cases) {
    it(`refuses a ${sent} for a column of ${has} and writes the other rows`, async () => {
      rig = createGuardRig();
      exists('m', [tag('host'), field('v', has), field('ok')]);
      const group = groupOf('m', [['host']], { v: sent, ok: 'float64' });
      const answer = await admit(group);
      assert.equal(answer.refused, undefined);
      assert.deepEqual([...answer.parts.keys()], [group.fields[0]]);
      assert.deepEqual(answer.parts.get(group.fields[0] as never), {
        kind: 'rejected',
        reason: 'type_conflict',
        message: `field type conflict: input field "v" on measurement "m" ${words}`,
      });
      assert.equal(rig.guard.isReady(group), false);
      assert.equal(rig.guard.isReady({ ...group, fields: group.fields.slice(1) }), true);
      assert.equal(rig.queue.submits, 0);
    });
  }

  it('refuses a field named like a tag, and a tag named like a field', async () => {
    rig = createGuardRig();
    exists('m', [tag('host'), field('v')]);
    const group = groupOf('m', [['host'], ['host', 'v']], { v: 'float64', host: 'string' });
    const answer = await admit(group);
    const words = [...answer.parts.values()].map((verdict) => verdict.message);
    assert.deepEqual(words, [
      'tag type conflict: input tag "v" on measurement "m" is type tag, already exists as type float',
      'field type conflict: input field "host" on measurement "m" is type string, already exists as type tag',
    ]);
  });

  it('takes the first of two types within a request and refuses the second', async () => {
    rig = createGuardRig();
    const group = groupOf(
      'm',
      [['host']],
      [
        ['v', 'int64'],
        ['v', 'float64'],
      ],
    );
    const answer = await admit(group);
    assert.deepEqual([...answer.parts.keys()], [group.fields[1]]);
    assert.deepEqual(rig.queue.submitted[0]?.columns, [tag('host'), field('v', 'int64')]);
  });

  it('refuses the type that lost against somebody who was faster', async () => {
    rig = createGuardRig();
    rig.queue.run = (request) =>
      rig.database.make({ ...request, columns: [tag('host'), field('v', 'string')] });
    const group = groupOf('m');
    const answer = await admit(group);
    assert.equal(said(answer.parts.get(group.fields[0] as never)), 'rejected type_conflict');
  });

  it('looks again before it refuses by what it knew some time ago', async () => {
    rig = createGuardRig();
    exists('m', [field('v')]);
    await admit(groupOf('m', [[]]));
    exists('m', [field('v', 'int64')]);
    const group = groupOf('m', [[]], { v: 'int64' });
    assert.equal((await admit(group)).parts.size, 1, 'young knowledge is believed');
    await rig.clock.advance(5_000);
    rig.database.down = true;
    const deferred = await admit(group);
    assert.equal(said(deferred.parts.get(group.fields[0] as never)), 'deferred database_down');
    rig.database.down = false;
    await rig.clock.advance(1_000);
    assert.equal((await admit(group)).parts.size, 0);
  });
});

describe('guard: negative results', () => {
  it('makes one attempt per back-off window, and one at a time, for 10,000 requests', async () => {
    rig = createGuardRig();
    const windowMs = 1_000;
    rig.queue.run = (request) => failure('transient', windowMs, request.columns);
    const verdicts: string[] = [];
    for (let round = 0; round < 100; round++) {
      const calls = Array.from({ length: 100 }, () => rig.guard.admit(groupOf('m'), contextOf()));
      await rig.clock.advance(100);
      for (const call of calls) verdicts.push(String(said((await call).refused)));
    }
    assert.equal(verdicts.length, 10_000);
    assert.deepEqual([...new Set(verdicts)], ['deferred ddl_backoff']);
    assert.ok(
      rig.queue.submits >= 9 && rig.queue.submits <= 10,
      `${rig.queue.submits} submits in 10 windows`,
    );
    assert.equal(rig.queue.maxOpen, 1);
  });

  it('rejects with the database’s words what it refused for good, without asking again', async () => {
    rig = createGuardRig();
    rig.queue.run = (request) => failure('permanent', 60_000, request.columns);
    const first = await admit();
    const second = await admit();
    for (const answer of [first, second]) {
      assert.deepEqual(answer.refused, {
        kind: 'rejected',
        reason: 'ddl_failed',
        message: 'the database refused it: no such luck (E1)',
      });
    }
    assert.equal(rig.queue.submits, 1);
  });

  it('refuses only the rows that need the columns an ALTER failed for', async () => {
    rig = createGuardRig();
    exists('m', [tag('host'), field('v')]);
    rig.queue.run = (request) => failure('permanent', 60_000, request.columns);
    const group = groupOf('m', [['host']], { v: 'float64', bad: 'float64' });
    for (let i = 0; i < 2; i++) {
      const answer = await admit(group);
      assert.equal(answer.refused, undefined);
      assert.deepEqual(
        [...answer.parts].map(([part, verdict]) => [part, said(verdict)]),
        [[group.fields[1], 'rejected ddl_failed']],
      );
    }
    assert.equal(rig.queue.submits, 1);
  });

  it('lets one caller try again after the window and defers the others meanwhile, without a wait', async () => {
    rig = createGuardRig();
    rig.queue.run = (request) => failure('transient', 1_000, request.columns);
    await admit();
    await rig.clock.advance(1_000);
    rig.queue.run = () => undefined;
    const probe = rig.guard.admit(groupOf('m'), contextOf());
    await rig.clock.settle();
    const other = await rig.guard.admit(groupOf('m'), contextOf());
    assert.equal(said(other.refused), 'deferred ddl_backoff');
    const request = rig.queue.submitted[1];
    assert.ok(request !== undefined);
    rig.queue.finish(request, rig.database.make(request));
    assert.equal((await probe).refused, undefined);
    assert.equal(rig.queue.submits, 2);
  });

  it('learns from the outcomes of other gateways', async () => {
    rig = createGuardRig();
    rig.queue.emit({
      kind: 'outcome',
      target,
      outcome: failure('permanent', 60_000, [tag('host'), field('v')]),
    });
    assert.equal(said((await admit()).refused), 'rejected ddl_failed');
    rig.queue.emit({ kind: 'outcome', target, outcome: { kind: 'ok' } });
    exists('m', [tag('host'), field('v')]);
    assert.equal((await admit()).refused, undefined);
    assert.equal(rig.queue.submits, 0);
  });

  it('forgets a result when the queue says that it is cleared', async () => {
    rig = createGuardRig();
    rig.queue.run = (request) => failure('permanent', 300_000, request.columns);
    await admit();
    rig.queue.run = (request) => rig.database.make(request);
    rig.queue.clear(target);
    assert.equal((await admit()).refused, undefined);
  });

  it('defers all tables of a database that can not be made, at one attempt', async () => {
    rig = createGuardRig();
    rig.queue.run = (request) => failure('transient', 10_000, request.columns);
    for (const name of ['a', 'b', 'c']) {
      assert.equal(said((await admit(groupOf(new Table('nope', name)))).refused), 'deferred ddl_backoff');
    }
    assert.equal(rig.queue.submits, 1);
  });

  it('holds a table back whose clients vary the columns of what fails', async () => {
    rig = createGuardRig();
    exists('m', [field('v')]);
    rig.queue.run = (request) => failure('permanent', 60_000, request.columns);
    for (let i = 0; i < 100; i++) await admit(groupOf('m', [[]], { [`bad${i}`]: 'float64' }));
    assert.equal(rig.queue.submitted.length, 1);
  });
});

describe('guard: policy', () => {
  const cases: readonly [string, Partial<GuardOptions>, string][] = [
    ['a denied name', policy({ denyTables: ['m'] }), 'rejected denied_name'],
    ['a denied database', policy({ denyDatabases: ['d.*'] }), 'rejected denied_name'],
    ['a name that is not allowed', policy({ allowTables: ['other'] }), 'rejected not_allowed'],
    ['a database that is not allowed', policy({ allowDatabases: ['other'] }), 'rejected not_allowed'],
    ['any new table when nothing is created', policy({ autoCreate: 'off' }), 'rejected auto_create_off'],
    [
      'a table beyond the budget',
      { budget: { ...GUARD_OPTIONS.budget, maxTablesPerDatabase: 0 } },
      'rejected table_budget',
    ],
  ];
  for (const [what, options, verdict] of cases) {
    it(`refuses ${what}`, async () => {
      rig = createGuardRig(options);
      assert.equal(said((await admit()).refused), verdict);
      assert.equal(rig.queue.submits, 0);
    });
  }

  it('refuses a database beyond the budget, and not those there are', async () => {
    rig = createGuardRig({ budget: { ...GUARD_OPTIONS.budget, maxDatabases: 1 } });
    assert.equal(said((await admit(groupOf(new Table('second', 'm')))).refused), 'rejected database_budget');
    assert.equal((await admit()).refused, undefined);
  });

  it('refuses columns beyond the budget, reserved ones and those the database can not have', async () => {
    const checkColumn = ({ name }: ColumnSpec) => (name === 'a/b' ? 'no slash' : undefined);
    rig = createGuardRig({ budget: { ...GUARD_OPTIONS.budget, maxColumnsPerTable: 3 } }, { checkColumn });
    const group = groupOf('m', [['host']], {
      time: 'float64',
      'a/b': 'float64',
      v: 'float64',
      w: 'float64',
      x: 'float64',
    });
    const answer = await admit(group);
    assert.deepEqual([...answer.parts.values()].map(said), [
      'rejected reserved_column',
      'rejected impossible_name',
      'rejected column_budget',
    ]);
    assert.deepEqual(rig.queue.submitted[0]?.columns, [tag('host'), field('v'), field('w')]);
  });

  it('makes no table for rows of which none could be written', async () => {
    rig = createGuardRig();
    const answer = await admit(groupOf('m', [['host']], { time: 'float64' }));
    assert.equal(answer.parts.size, 1);
    assert.equal(rig.queue.submits, 0);
  });

  it('writes to tables that exist, whatever may be created', async () => {
    rig = createGuardRig({
      ...policy({ autoCreate: 'off', allowTables: ['other'] }),
      budget: { ...GUARD_OPTIONS.budget, maxTablesPerDatabase: 0, maxDatabases: 0 },
    });
    exists('m', [tag('host'), field('v')]);
    assert.equal((await admit()).refused, undefined);
    const wider = groupOf('m', [['host']], { v: 'float64', more: 'float64' });
    const answer = await admit(wider);
    assert.equal(said(answer.parts.get(wider.fields[1] as never)), 'rejected auto_create_off');
    // Somebody adds it by hand.
    exists('m', [tag('host'), field('v'), field('more')]);
    await rig.clock.advance(5_000);
    assert.equal((await admit(wider)).parts.size, 0);
  });

  it('lets everything through in observe mode and counts what it would have refused, once a request', async () => {
    rig = createGuardRig({
      ...policy({ autoCreate: 'observe', denyTables: ['m'], allowTables: ['other'] }),
      budget: { ...GUARD_OPTIONS.budget, maxTablesPerDatabase: 0, maxColumnsPerTable: 1 },
    });
    assert.equal((await admit()).refused, undefined);
    for (const reason of ['denied_name', 'not_allowed', 'table_budget', 'column_budget']) {
      assert.equal(rig.counts.get(`wouldRefuse ${reason}`), 1, reason);
    }
    const impossible = groupOf('m', [[]], { time: 'float64' });
    assert.equal((await admit(impossible)).parts.size, 1);
  });
});

describe('guard: pressure', () => {
  it('defers everything new while the control plane is over its mark, and nothing that is known', async () => {
    rig = createGuardRig();
    const known = groupOf('known');
    await admit(known);
    rig.paused = true;
    assert.equal(said((await admit()).refused), 'deferred paused');
    rig.paused = false;
    rig.controlPlaneOk = false;
    assert.equal(said((await admit()).refused), 'deferred control_plane');
    assert.equal(rig.guard.isReady(known), true);
  });

  it('defers by the breaker of a tenant or of all until it is over', async () => {
    rig = createGuardRig();
    const breaker = { kind: 'breaker' as const, code: 'E', message: 'denied' };
    rig.queue.emit({ ...breaker, tenant: 'db', untilMs: rig.clock.now() + 1_000 });
    assert.equal(said((await admit()).refused), 'deferred breaker');
    assert.equal((await admit(groupOf(new Table('other', 'm')))).refused, undefined);
    await rig.clock.advance(1_000);
    assert.equal((await admit()).refused, undefined);
    rig.queue.emit({ ...breaker, tenant: undefined, untilMs: rig.clock.now() + 1_000 });
    assert.equal(said((await admit(groupOf('n'))).refused), 'deferred breaker');
    rig.queue.emit({ ...breaker, tenant: undefined, untilMs: rig.clock.now() });
    assert.equal((await admit(groupOf('n'))).refused, undefined);
  });

  const refusals = [
    ['full', 'queue_full'],
    ['tenant_full', 'queue_full'],
    ['breaker', 'breaker'],
    ['not_live', 'control_plane'],
    ['unavailable', 'control_plane'],
    ['closed', 'control_plane'],
  ] as const;
  for (const [refuse, reason] of refusals) {
    it(`defers for ${reason} when the queue answers ${refuse}`, async () => {
      rig = createGuardRig();
      rig.queue.refuse = refuse;
      const { refused } = await admit();
      assert.equal(said(refused), `deferred ${reason}`);
      assert.ok(refused?.kind === 'deferred' && refused.retryAfterMs >= 500);
      rig.queue.refuse = undefined;
      assert.equal((await admit()).refused, undefined);
    });
  }

  it('defers beyond the rate, and a name that waits for it costs no further question', async () => {
    rig = createGuardRig({
      throttle: { ...GUARD_OPTIONS.throttle, tenantPerSec: 1, tenantBurst: 2 },
    });
    const verdicts: unknown[] = [];
    for (const name of ['a', 'b', 'c', 'c', 'c'])
      verdicts.push(said((await admit(groupOf(name), 15)).refused));
    assert.deepEqual(verdicts.slice(2), Array(3).fill('deferred throttled'));
    const { describes } = rig.database;
    await admit(groupOf('c'));
    assert.equal(rig.database.describes, describes);
    await rig.clock.advance(1_000);
    assert.equal((await admit(groupOf('c'))).refused, undefined);
  });

  it('does not ask a database that is down for each request', async () => {
    rig = createGuardRig();
    rig.database.down = true;
    for (let i = 0; i < 50; i++) {
      assert.equal(said((await admit(groupOf(`m${i}`), 10)).refused), 'deferred database_down');
    }
    assert.equal(rig.database.describes, 1);
    rig.database.down = false;
    await rig.clock.advance(600);
    assert.equal((await admit()).refused, undefined);
  });
});
