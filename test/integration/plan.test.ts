import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import * as fc from 'fast-check';
import type { PlanAnswer } from '../../src/admin/schemas.ts';
import { post, query, startGateway, temporaryFolder } from '../helpers/gateway.ts';

const POLICY = {
  SLUICE_POLICY_DENY: 'denied',
  SLUICE_POLICY_MAX_COLUMNS_PER_TABLE: '5',
  SLUICE_POLICY_DENY_DATABASES: 'no',
};

/** What is there changes from run to run, so a failure can't be made smaller. */
const RUNS = { numRuns: 60, endOnFailure: true, includeErrorInReport: true };

async function plan(url: string, parameters: string, body: string): Promise<PlanAnswer> {
  const { status, text } = await post(`${url}/admin/plan?${parameters}`, body);
  assert.equal(status, 200, text);
  return JSON.parse(text) as PlanAnswer;
}

/** With the database that queries are asked in. */
async function start(t: TestContext): Promise<string> {
  const { url } = await startGateway(t, temporaryFolder(t), POLICY);
  assert.equal((await post(`${url}/write?db=public`, 'first v=1')).status, 204);
  return url;
}

async function parkedRows(url: string): Promise<number> {
  const lanes = (await (await fetch(`${url}/admin/lanes`)).json()) as { items: { rows: number }[] };
  return lanes.items.reduce((sum, { rows }) => sum + rows, 0);
}

/** Every column of every table, as `database table column`. */
async function columnsOf(url: string): Promise<string[]> {
  const sql = `SELECT table_schema, table_name, column_name FROM information_schema.columns
    WHERE column_name <> 'time' AND table_schema <> '_sluice'`;
  const rows = JSON.parse(await query(url, sql)) as string[][];
  return rows.map((row) => row.join(' ')).sort();
}

function plannedColumns({ changes }: PlanAnswer): string[] {
  return changes.flatMap(({ database, table, columns }) =>
    columns.map(({ name }) => `${database} ${table} ${name}`),
  );
}

/** The answer to a put that asks for details. */
interface Told {
  readonly success?: number;
  readonly failed?: number;
  readonly errors?: readonly { readonly error: string }[];
  /** The body as a whole was refused. */
  readonly error?: { readonly message: string };
}

const key = fc.constantFrom('host', 'dc', 'value', 'x', 'y', 'z');
const name = fc.oneof(
  fc.integer({ min: 0, max: 30 }).map((n) => `m${n}`),
  fc.constantFrom('denied', 'b@d', ''),
);
/** What makes a put refuse its body as a whole. */
const rarely = [...Array<unknown>(20).fill(6), null];
const dataPoint = fc.record(
  {
    metric: name,
    timestamp: fc.constantFrom<unknown>(1_700_000_000, 1_700_000_000_001, -1, 'soon'),
    value: fc.constantFrom<unknown>(1, 2, '2.5', 3, 4, 5, 'high', ...rarely),
    tags: fc.dictionary(key, fc.constantFrom('a', 'b', ''), { noNullPrototype: true }),
  },
  { requiredKeys: ['metric', 'timestamp', 'value'] },
);
const line = fc
  .record({
    name,
    tags: fc.uniqueArray(key, { maxLength: 3 }),
    fields: fc.array(fc.tuple(key, fc.constantFrom('1', '2i', 't', '"s"', '!')), { maxLength: 3 }),
    time: fc.constantFrom('', ' 1700000000', ' then'),
  })
  .map(({ name: table, tags, fields, time }) => {
    const set = tags.map((tag) => `,${tag}=a`).join('');
    return `${table}${set} ${fields.map((field) => field.join('=')).join(',')}${time}`;
  });

describe('POST /admin/plan', () => {
  it('says what a put then does, whatever is in it', async (t) => {
    const url = await start(t);
    const body = fc.array(dataPoint, { minLength: 1, maxLength: 8 }).map((points) => JSON.stringify(points));
    await fc.assert(
      fc.asyncProperty(body, async (payload) => {
        const before = await columnsOf(url);
        const planned = await plan(url, 'protocol=opentsdb', payload);
        assert.deepEqual(await columnsOf(url), before);
        const { text } = await post(`${url}/api/put?details&sync`, payload);
        const { success, failed, errors, error } = JSON.parse(text) as Told;
        assert.equal(planned.malformed, error?.message ?? null);
        const { stored, rejected, malformed } = planned.rows;
        assert.deepEqual([stored, rejected + malformed], [success ?? 0, failed ?? 0]);
        assert.deepEqual(
          planned.refused.map(({ message }) => message),
          (errors ?? []).map((one) => one.error),
        );
        assert.deepEqual(await columnsOf(url), [...before, ...plannedColumns(planned)].sort());
      }),
      RUNS,
    );
  });

  it('says what a write of lines then does, in databases that are there and that are not', async (t) => {
    const url = await start(t);
    const body = fc.array(line, { minLength: 1, maxLength: 8 }).map((lines) => lines.join('\n'));
    const database = fc.constantFrom('d1', 'd2', 'd3', 'no');
    await fc.assert(
      fc.asyncProperty(body, database, async (payload, db) => {
        const before = await columnsOf(url);
        const planned = await plan(url, `protocol=influx&db=${db}&precision=s`, payload);
        assert.deepEqual(await columnsOf(url), before);
        const { status, text } = await post(`${url}/write?db=${db}&precision=s`, payload);
        assert.equal(status, planned.refused.length === 0 ? 204 : 400, text);
        for (const { message } of planned.refused.slice(0, 1)) {
          const { error } = JSON.parse(text) as { error: string };
          assert.ok(error.includes(message), `${error} does not tell ${message}`);
        }
        const dropped = Number(/dropped=(\d+)/.exec(text)?.[1] ?? planned.refused.length);
        assert.equal(planned.rows.rejected + planned.rows.malformed, dropped);
        assert.deepEqual(await columnsOf(url), [...before, ...plannedColumns(planned)].sort());
      }),
      RUNS,
    );
  });

  it('shows the statements, and what is held back and why', async (t) => {
    const { url } = await startGateway(t, temporaryFolder(t));
    const { changes } = await plan(url, 'protocol=influx&db=home', 'cpu,host=a load=1');
    assert.deepEqual(
      changes.map(({ kind, database, table }) => [kind, database, table]),
      [
        ['database', 'home', null],
        ['table', 'home', 'cpu'],
      ],
    );
    assert.match(changes[0]?.statements.join() ?? '', /CREATE SCHEMA "home"/);
    assert.match(changes[1]?.statements.join() ?? '', /VIEW "home"."cpu".*"host".*"load"/s);
    await post(`${url}/admin/pause?reason=maintenance`, '');
    const held = await plan(url, 'protocol=influx&db=home', 'cpu,host=a load=1');
    assert.deepEqual([held.rows.parked, held.changes.length], [1, 0]);
    assert.deepEqual(
      held.held.map(({ table, reason }) => [table, reason]),
      [['cpu', 'paused']],
    );
    assert.equal(await parkedRows(url), 0);
    assert.equal((await post(`${url}/write?db=home`, 'cpu,host=a load=1')).status, 204);
    assert.equal(await parkedRows(url), 1);
    const joining = await plan(url, 'protocol=influx&db=home', 'cpu,host=a load=2');
    assert.ok(joining.held.some(({ reason }) => reason === 'parked'));
  });

  it('refuses what it can not read', async (t) => {
    const { url } = await startGateway(t, temporaryFolder(t));
    for (const parameters of [
      '',
      'protocol=graphite',
      'protocol=influx',
      'protocol=influx&db=',
      'protocol=influx&db=%00',
    ])
      assert.equal((await post(`${url}/admin/plan?${parameters}`, 'm v=1')).status, 400, parameters);
    const { malformed, rows } = await plan(url, 'protocol=opentsdb', '[{');
    assert.ok(malformed);
    assert.equal(rows.stored, 0);
  });
});
