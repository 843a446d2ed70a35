/** What every sink must do, and every sink that stores; run over each by test/contract/sink-*.test.ts. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { ColumnSpec, ValueType } from '../../src/model/column.ts';
import type { PointBatch } from '../../src/model/point-batch.ts';
import { type DdlChange, type Sink, WriteError } from '../../src/model/sink.ts';
import type { TableId } from '../../src/model/table.ts';
import { ANY_NAMES, EXTREMES, type SuiteNames } from '../helpers/hostile.ts';
import { createTestSource, type TestPoint, type TestSource, type TestValue } from '../helpers/points.ts';

/** A value as read back: 64-bit integers as bigint, a missing one as null. */
export type ReadValue = number | bigint | boolean | string | null;

/** A sink whose rows can be read back. */
export interface StoringSink {
  readonly sink: Sink;
  /** The rows of a table in the order of their times: the time and the values of the columns, by the client's names. */
  readonly read: (id: TableId, columns: readonly string[]) => Promise<ReadValue[][]>;
}

const { signal } = new AbortController();
const DATABASE = 'public';

const tag = (name: string): ColumnSpec => ({ name, kind: 'tag', type: 'string' });
const field = (name: string, type: ValueType = 'float64'): ColumnSpec => ({ name, kind: 'field', type });
const idOf = (table: string): TableId => ({ database: DATABASE, table });
const point = (table: string, timeNs: bigint, value: number, tags = {}): TestPoint => ({
  table,
  timeNs,
  tags,
  fields: [['value', ['float64', value]]],
});

async function create(sink: Sink, table: string, columns: readonly ColumnSpec[]): Promise<void> {
  assert.deepEqual(await sink.ddl.createDatabase(DATABASE, signal), { kind: 'done' });
  assert.deepEqual(await sink.ddl.createTable({ id: idOf(table), source: 'influx', columns }, signal), {
    kind: 'done',
  });
}

async function write(sink: Sink, source: TestSource, ...flush: readonly TestPoint[][]): Promise<void> {
  const batches = flush.map((points) => source.batch(points));
  await sink.writer.write(batches, signal);
}

async function missingTables(sink: Sink, source: TestSource, points: readonly TestPoint[]): Promise<unknown> {
  const error = await write(sink, source, [...points]).then(
    () => undefined,
    (e: unknown) => e,
  );
  assert.ok(error instanceof WriteError, `a WriteError, not ${String(error)}`);
  assert.equal(error.failure.kind, 'missing');
  return error.failure.kind === 'missing' ? error.failure.tables : undefined;
}

/** Defines the suite for any sink; `open` opens an empty one that the test's end closes. */
export function sinkSuite(name: string, open: (t: TestContext) => Promise<{ readonly sink: Sink }>): void {
  describe(`${name}: schemas`, () => {
    it('creates a database once, however often it is asked', async (t) => {
      const { sink } = await open(t);
      for (const database of ['public', 'public', 'other']) {
        assert.deepEqual(await sink.ddl.createDatabase(database, signal), { kind: 'done' });
      }
      const inventory = [...(await sink.ddl.inventory(signal))].sort((a, b) =>
        a.database.localeCompare(b.database),
      );
      assert.deepEqual(inventory, [
        { database: 'other', tables: 0 },
        { database: 'public', tables: 0 },
      ]);
    });

    it('creates a table once and describes its columns as they were asked for', async (t) => {
      const { sink } = await open(t);
      const columns = [
        tag('host'),
        field('a', 'int64'),
        field('b', 'uint64'),
        field('c', 'bool'),
        field('d', 'string'),
      ];
      await create(sink, 'm', columns);
      await create(sink, 'm', columns);
      assert.deepEqual(await sink.ddl.describe([idOf('m'), idOf('none')], signal), [{ columns }, undefined]);
      assert.deepEqual(await sink.ddl.inventory(signal), [{ database: DATABASE, tables: 1 }]);
    });

    it('describes many tables at once, in the order of the question', async (t) => {
      const { sink } = await open(t);
      const names = Array.from({ length: 120 }, (_, i) => `m${i}`);
      for (const table of names) await create(sink, table, [field(`f_${table}`)]);
      const schemas = await sink.ddl.describe(names.map(idOf), signal);
      assert.deepEqual(
        schemas.map((schema) => schema?.columns[0]?.name),
        names.map((table) => `f_${table}`),
      );
    });

    it('refuses for now a table whose database does not exist', async (t) => {
      const { sink } = await open(t);
      const id = { database: 'nowhere', table: 'm' };
      const result = await sink.ddl.createTable({ id, source: 'influx', columns: [field('a')] }, signal);
      assert.equal(result.kind, 'transient');
      assert.deepEqual(await sink.ddl.describe([id], signal), [undefined]);
    });

    it('adds the columns that are missing and keeps the others', async (t) => {
      const { sink } = await open(t);
      await create(sink, 'm', [tag('host'), field('value')]);
      for (const more of [[tag('dc'), field('value')], [tag('dc')], [field('n', 'int64')]]) {
        assert.deepEqual(await sink.ddl.addColumns(idOf('m'), more, signal), { kind: 'done' });
      }
      const [schema] = await sink.ddl.describe([idOf('m')], signal);
      assert.deepEqual(schema?.columns, [tag('host'), field('value'), tag('dc'), field('n', 'int64')]);
    });

    it('calls a column that exists with another type or kind invalid, and changes nothing', async (t) => {
      const { sink } = await open(t);
      await create(sink, 'm', [tag('host'), field('value')]);
      for (const column of [field('value', 'int64'), tag('value'), field('host', 'string')]) {
        const result = await sink.ddl.addColumns(idOf('m'), [field('new'), column], signal);
        assert.equal(result.kind, 'invalid', `${column.kind} ${column.name} ${column.type}`);
      }
      assert.deepEqual(await sink.ddl.describe([idOf('m')], signal), [
        { columns: [tag('host'), field('value')] },
      ]);
    });

    it('calls a new table whose tag is named like a field invalid', async (t) => {
      const { sink } = await open(t);
      await sink.ddl.createDatabase(DATABASE, signal);
      const columns = [tag('a'), field('a')];
      const result = await sink.ddl.createTable({ id: idOf('m'), source: 'influx', columns }, signal);
      assert.equal(result.kind, 'invalid');
    });
  });

  describe(`${name}: writes`, () => {
    it('says which tables are missing', async (t) => {
      const { sink } = await open(t);
      const source = createTestSource(DATABASE);
      await create(sink, 'there', [tag('host'), field('value')]);
      const points = [point('there', 1n, 1, { host: 'a' }), point('gone', 1n, 1), point('lost', 1n, 1)];
      assert.deepEqual(await missingTables(sink, source, points), [idOf('gone'), idOf('lost')]);
    });

    it('says that a table lacks a tag or field, or has it with another type', async (t) => {
      const { sink } = await open(t);
      const source = createTestSource(DATABASE);
      await create(sink, 'm', [tag('host'), field('value')]);
      assert.deepEqual(await missingTables(sink, source, [point('m', 1n, 1, { dc: 'x' })]), [idOf('m')]);
      const fields: readonly [string, TestValue][] = [
        ['other', ['float64', 1]],
        ['value', ['int64', 1n]],
        ['host', ['string', 'x']],
      ];
      for (const value of fields) {
        assert.deepEqual(await missingTables(sink, source, [{ table: 'm', fields: [value] }]), [idOf('m')]);
      }
      await sink.ddl.addColumns(idOf('m'), [tag('dc')], signal);
      await write(sink, source, [point('m', 1n, 1, { dc: 'x' })]);
    });

    it('needs neither table nor column for a row that is skipped', async (t) => {
      const { sink } = await open(t);
      await create(sink, 'm', [field('value')]);
      await sink.writer.write([partlySkipped()], signal);
    });

    it('takes flushes without rows', async (t) => {
      const { sink } = await open(t);
      const source = createTestSource(DATABASE);
      await write(sink, source);
      await write(sink, source, [], []);
    });

    it('closes more than once', async (t) => {
      const { sink } = await open(t);
      await Promise.all([sink.close(), sink.close()]);
      await sink.close();
    });
  });
}

/** Defines the suite for sinks that store; `open` opens an empty one that the test's end closes. */
export function storageSuite(
  name: string,
  open: (t: TestContext) => Promise<StoringSink>,
  names: SuiteNames = ANY_NAMES,
): void {
  const stored = (title: string, body: (opened: StoringSink, source: TestSource) => Promise<void>): void => {
    it(title, async (t) => body(await open(t), createTestSource(DATABASE)));
  };

  describe(`${name}: what is stored`, () => {
    for (const [type, values] of Object.entries(EXTREMES) as [ValueType, readonly TestValue[]][]) {
      stored(`gives every ${type} back exactly`, async ({ sink, read }, source) => {
        await create(sink, 'm', [field('v', type)]);
        const points = values.map((value, i) => ({
          table: 'm',
          timeNs: BigInt(i),
          fields: [['v', value] as const],
        }));
        await write(sink, source, points);
        assert.deepEqual(
          await read(idOf('m'), ['v']),
          values.map((value, i) => [BigInt(i), value[1]]),
        );
      });
    }

    stored(
      'leaves out what is skipped, and all of a flush that misses a table',
      async ({ sink, read }, source) => {
        await create(sink, 'm', [field('value')]);
        await sink.writer.write([partlySkipped()], signal);
        assert.deepEqual(await missingTables(sink, source, [point('m', 5n, 5), point('gone', 1n, 1)]), [
          idOf('gone'),
        ]);
        assert.deepEqual(await read(idOf('m'), ['value']), [[1n, 1]]);
      },
    );

    stored('keeps times exact from the least to the greatest', async ({ sink, read }, source) => {
      const times = [
        -9_223_372_036_854_775_806n,
        -1n,
        0n,
        1n,
        1_700_000_000_123_456_789n,
        9_223_372_036_854_775_806n,
      ];
      await create(sink, 'm', [field('value')]);
      await write(
        sink,
        source,
        times.toReversed().map((time) => point('m', time, 1)),
      );
      assert.deepEqual(
        await read(idOf('m'), []),
        times.map((time) => [time]),
      );
    });

    stored(
      'holds tables, tags and fields of any name, apart from each other',
      async ({ sink, read }, source) => {
        const columns = names.columns.flatMap((odd) => [tag(`${odd}t`), field(odd)]);
        for (const odd of names.tables) {
          assert.equal(sink.names.checkTable(idOf(odd)), undefined);
          await create(sink, odd, columns);
        }
        const tags = Object.fromEntries(names.columns.map((odd, i) => [`${odd}t`, `tag ${i}`]));
        const fields = names.columns.map((odd, i) => [odd, ['float64', i]] as const);
        await write(
          sink,
          source,
          names.tables.map((odd, i) => ({ table: odd, timeNs: BigInt(i), tags, fields })),
        );
        const [schema] = await sink.ddl.describe([idOf('__proto__')], signal);
        assert.deepEqual(schema?.columns, columns);
        for (const [i, odd] of names.tables.entries()) {
          const expected = [BigInt(i), ...names.columns.flatMap((_, n) => [`tag ${n}`, n])];
          assert.deepEqual(
            await read(
              idOf(odd),
              columns.map((column) => column.name),
            ),
            [expected],
            odd.slice(0, 40),
          );
        }
      },
    );

    stored('keeps names apart that differ in case alone', async ({ sink, read }, source) => {
      const tables = names.cased;
      const columns = [tag('host'), tag('Host'), tag('TIME'), field('value'), field('VALUE')];
      for (const table of tables) await create(sink, table, columns);
      const points = tables.map((table, i) => ({
        table,
        tags: { host: `h${i}`, Host: `H${i}`, TIME: `T${i}` },
        fields: [['value', ['float64', i]] as const, ['VALUE', ['float64', -i - 1]] as const],
      }));
      await write(sink, source, points);
      for (const [i, table] of tables.entries()) {
        const wanted = columns.map((column) => column.name);
        assert.deepEqual(await read(idOf(table), wanted), [[0n, `h${i}`, `H${i}`, `T${i}`, i, -i - 1]]);
      }
    });

    stored('keeps databases apart', async ({ sink, read }) => {
      for (const [i, database] of names.databases.entries()) {
        const id = { database, table: 'm' };
        assert.deepEqual(await sink.ddl.createDatabase(database, signal), { kind: 'done' });
        await sink.ddl.createTable({ id, source: 'influx', columns: [field('value')] }, signal);
        await write(sink, createTestSource(database), [point('m', 1n, i)]);
        assert.deepEqual(await read(id, ['value']), [[1n, i]]);
      }
    });

    stored('has one row after the same batch came twice', async ({ sink, read }, source) => {
      await create(sink, 'm', [tag('host'), field('value')]);
      const points = [point('m', 1n, 1, { host: 'a' }), point('m', 1n, 2, { host: 'b' }), point('m', 2n, 3)];
      await write(sink, source, points);
      await write(sink, source, points);
      const rows = await read(idOf('m'), ['host', 'value']);
      assert.deepEqual(rows.map(String).sort(), ['1,a,1', '1,b,2', '2,,3']);
    });

    stored(
      'lets the later write of a field win, and keeps the other fields',
      async ({ sink, read }, source) => {
        await create(sink, 'm', [field('a'), field('b'), field('n', 'int64')]);
        const at = (...fields: [string, TestValue][]): TestPoint => ({ table: 'm', timeNs: 1n, fields });
        await write(sink, source, [at(['a', ['float64', 9]], ['n', ['int64', 9n]])]);
        await write(
          sink,
          source,
          [at(['a', ['float64', 1]]), at(['a', ['float64', 2]])],
          [at(['b', ['float64', 3]])],
        );
        assert.deepEqual(await read(idOf('m'), ['a', 'b', 'n']), [[1n, 2, 3, 9n]]);
        await write(sink, source, [at(['n', ['int64', 5n]])], [at(['n', ['int64', 6n]])]);
        assert.deepEqual(await read(idOf('m'), ['a', 'b', 'n']), [[1n, 2, 3, 6n]]);
      },
    );

    stored('knows a series again whatever object stands for it', async ({ sink, read }, source) => {
      await create(sink, 'm', [tag('host'), tag('dc'), field('value')]);
      const again = createTestSource(DATABASE);
      const tags = { host: 'a', dc: 'x' };
      await sink.writer.write(
        [source.batch([point('m', 1n, 1, tags)]), again.batch([point('m', 1n, 2, tags)])],
        signal,
      );
      await write(sink, createTestSource(DATABASE), [
        point('m', 1n, 3, tags),
        point('m', 1n, 4, { dc: 'a', host: 'x' }),
      ]);
      const rows = await read(idOf('m'), ['host', 'dc', 'value']);
      assert.deepEqual(rows.map(String).sort(), ['1,a,x,3', '1,x,a,4']);
    });

    stored(
      'has null in columns that came later, and where a row gave no value',
      async ({ sink, read }, source) => {
        await create(sink, 'm', [field('value')]);
        await write(sink, source, [point('m', 1n, 1)]);
        await sink.ddl.addColumns(idOf('m'), [tag('host'), field('n', 'int64')], signal);
        await write(sink, source, [
          { table: 'm', timeNs: 2n, tags: { host: 'a' }, fields: [['n', ['int64', 2n]]] },
        ]);
        assert.deepEqual(await read(idOf('m'), ['host', 'value', 'n']), [
          [1n, null, 1, null],
          [2n, 'a', null, 2n],
        ]);
      },
    );

    it('tells the statements of a change without making it', async (t) => {
      const { sink } = await open(t);
      const columns = [tag('host'), field('value')];
      const explain = (change: DdlChange): string => sink.ddl.explain?.(change).join(';') ?? '';
      const table = { kind: 'table', spec: { id: idOf('m'), source: 'influx', columns } } as const;
      assert.match(explain({ kind: 'database', database: DATABASE }), /CREATE .*public/);
      assert.match(explain(table), /CREATE .*public.*host.*value/s);
      assert.deepEqual(await sink.ddl.describe([idOf('m')], signal), [undefined]);
      await create(sink, 'm', columns);
      assert.match(explain({ kind: 'columns', id: idOf('m'), columns: [field('more')] }), /public.*m.*more/s);
      assert.deepEqual(await sink.ddl.describe([idOf('m')], signal), [{ columns }]);
    });

    stored('takes many tables and rows in one flush', async ({ sink, read }, source) => {
      const names = Array.from({ length: 50 }, (_, i) => `m${i}`);
      for (const table of names) await create(sink, table, [tag('host'), field('value')]);
      const points = names.flatMap((table, n) =>
        Array.from({ length: 100 }, (_, i) => point(table, BigInt(i), n * 1_000 + i, { host: `h${i % 7}` })),
      );
      await write(sink, source, points.slice(0, 2_500), points.slice(2_500));
      for (const [n, table] of names.entries()) {
        const rows = await read(idOf(table), ['host', 'value']);
        assert.equal(rows.length, 100);
        assert.deepEqual(rows[99], [99n, 'h1', n * 1_000 + 99]);
      }
    });
  });
}

/** A batch of which the first row alone is to be written. */
function partlySkipped(): PointBatch {
  const batch = createTestSource(DATABASE).batch([
    point('m', 1n, 1),
    point('gone', 1n, 1),
    point('m', 2n, 2, { dc: 'x' }),
  ]);
  batch.skipRow(1);
  batch.skipRow(2);
  return batch;
}
