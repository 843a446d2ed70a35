import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import type { GuardOptions } from '../../src/guard/options.ts';
import type { Admission, Guard, Verdict } from '../../src/model/admission.ts';
import type { ColumnSpec, ValueType } from '../../src/model/column.ts';
import type { TableGroup } from '../../src/model/point-batch.ts';
import { Table } from '../../src/model/series.ts';
import type { DdlChange } from '../../src/model/sink.ts';
import { tableKey } from '../../src/model/table.ts';
import {
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

interface Want {
  readonly table: string;
  readonly tagSets: readonly (readonly string[])[];
  readonly fields: readonly (readonly [string, ValueType])[];
}

interface Case {
  readonly database: string;
  readonly wants: readonly Want[];
  readonly options: Partial<GuardOptions>;
  readonly paused: boolean;
}

const column = fc.constantFrom(...Array<string>(6).fill('a'), ...Array<string>(6).fill('b'), 'time', 'bad');
const want: fc.Arbitrary<Want> = fc.record({
  table: fc.constantFrom('known', 'failed', 'denied', 'new1', 'new2', 'new3', 'new4', 'new5'),
  tagSets: fc.array(fc.uniqueArray(column), { minLength: 1, maxLength: 2 }),
  fields: fc.array(fc.tuple(column, fc.constantFrom<ValueType[]>('float64', 'int64', 'string')), {
    minLength: 1,
    maxLength: 3,
  }),
});
/** One bound at a time, mostly, or each would hide the others. */
const seldom = <T>(limit: fc.Arbitrary<T>) => fc.oneof({ weight: 4, arbitrary: fc.constant(null) }, limit);
const small = fc.integer({ min: 0, max: 3 });
const options: fc.Arbitrary<Partial<GuardOptions>> = fc
  .record({
    autoCreate: fc.constantFrom<('on' | 'off' | 'observe')[]>('on', 'on', 'on', 'on', 'off', 'observe'),
    maxTables: seldom(small),
    maxDatabases: seldom(small),
    maxColumns: seldom(small),
    burst: seldom(fc.integer({ min: 1, max: 3 })),
    maxOpen: seldom(fc.integer({ min: 1, max: 3 })),
    cap: seldom(small),
  })
  .map(({ autoCreate, maxTables, maxDatabases, maxColumns, burst, maxOpen, cap }) => ({
    policy: { ...GUARD_OPTIONS.policy, autoCreate, denyTables: ['denied'] },
    budget: {
      ...GUARD_OPTIONS.budget,
      maxTablesPerDatabase: maxTables ?? 100,
      maxDatabases: maxDatabases ?? 100,
      maxColumnsPerTable: maxColumns ?? 100,
    },
    throttle: {
      ...GUARD_OPTIONS.throttle,
      tenantBurst: burst ?? 100,
      tenantPerSec: 0.001,
      maxOpen: maxOpen ?? 100,
    },
    maxNewTablesPerRequest: cap ?? 100,
  }));
const cases: fc.Arbitrary<Case> = fc.record({
  database: fc.constantFrom('db', 'db', 'fresh'),
  wants: fc.uniqueArray(want, { selector: ({ table }) => table, minLength: 1, maxLength: 6 }),
  options,
  paused: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, fc.constant(true)),
});

function rigOf({ options: given, paused }: Case): GuardRig {
  const rig = createGuardRig(given, {
    checkColumn: ({ name }) => (name === 'bad' ? 'it is bad' : undefined),
  });
  rig.database.tables.set(tableKey({ database: 'db', table: 'known' }), [tag('a'), field('b')]);
  const target = { tenant: 'db', database: 'db', table: 'failed' };
  rig.queue.emit({ kind: 'outcome', target, outcome: failure('transient', 60_000) });
  rig.paused = paused;
  return rig;
}

/** What ingest does with the groups of one request. */
async function admitAll(rig: GuardRig, guard: Guard, { database, wants }: Case): Promise<string[][]> {
  const groups = wants.map(({ table, tagSets, fields }): TableGroup => {
    return groupOf(new Table(database, table), tagSets, fields);
  });
  const context = contextOf();
  const admitting = Promise.all(groups.map((group) => guard.admit(group, context)));
  await rig.clock.advance(500);
  return (await admitting).map((admission, g) => wordsOf(groups[g] as TableGroup, admission));
}

function wordsOf({ tagSets, fields }: TableGroup, { refused, parts }: Admission): string[] {
  const verdicts = refused === undefined ? [...tagSets, ...fields].map((part) => parts.get(part)) : [refused];
  return verdicts.map((verdict) =>
    verdict === undefined ? 'ready' : `${verdict.kind} ${verdict.reason}: ${verdict.message}`,
  );
}

function changeText(change: DdlChange): string {
  if (change.kind === 'database') return wantText(change.database, undefined, []);
  const { id, columns } = change.kind === 'table' ? change.spec : change;
  return wantText(id.database, id.table, columns);
}

function wantText(database: string, table: string | undefined, columns: readonly ColumnSpec[]): string {
  return JSON.stringify([database, table, columns]);
}

describe('a dry run of the guard', () => {
  it('says what admission then does, and does nothing itself', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async (given) => {
        const rig = rigOf(given);
        const asked: string[] = [];
        const { run } = rig.queue;
        rig.queue.run = (request) => {
          asked.push(wantText(request.database, request.table, request.columns));
          return run(request);
        };
        // Which table gets the last place is decided by who is looked up first: nobody, once all are known.
        await admitAll(rig, rig.guard.plan({ change() {}, verdict() {} }), given);
        const changes: string[] = [];
        const verdicts: Verdict[] = [];
        const dry = rig.guard.plan({
          change: (change) => changes.push(changeText(change)),
          verdict: (_, verdict) => verdicts.push(verdict),
        });
        const planned = await admitAll(rig, dry, given);
        assert.deepEqual([rig.queue.submits, rig.guard.stats().creating, asked.length], [0, 0, 0]);
        for (const method of rig.counts.keys()) assert.match(method, /^described /);
        assert.equal(
          verdicts.length > 0,
          planned.flat().some((words) => words !== 'ready'),
        );
        const happened = await admitAll(rig, rig.guard, given);
        assert.deepEqual(planned, happened);
        assert.deepEqual(changes.sort(), asked.sort());
        await dry.close();
        await closeRig(rig);
      }),
      { numRuns: 400 },
    );
  });
});
