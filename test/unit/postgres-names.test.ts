import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assert as check, oneof, property, string } from 'fast-check';
import { createTable, tooWide } from '../../src/sink/postgres/layout.ts';
import {
  columnIdentifier,
  isMapped,
  keyIdentifier,
  schemaIdentifier,
  tableIdentifier,
} from '../../src/sink/postgres/names.ts';
import { type Sheet, sheetsOf } from '../../src/sink/postgres/sheet.ts';
import { columnsOf, insertSql } from '../../src/sink/postgres/statements.ts';
import { hypertableSql } from '../../src/sink/postgres/timescale.ts';
import { createTestSource } from '../helpers/points.ts';

const HASH = '0'.repeat(32);

describe('postgres identifiers', () => {
  const kept = ['cpu', 'CPU', 'a"b', 'select', 'x~', `x~${'0'.repeat(31)}`, 'ö'.repeat(31), 'n'.repeat(63)];
  for (const name of kept) {
    it(`keeps ${JSON.stringify(name)}`, () => {
      for (const identifier of [tableIdentifier, columnIdentifier, schemaIdentifier])
        assert.equal(identifier(name), name);
    });
  }

  it('maps what is too long to its first bytes and a hash', () => {
    const long = 'größe'.repeat(20);
    assert.match(tableIdentifier(long), /^größegrößegrößegrößegr~[0-9a-f]{32}$/);
    assert.equal(tableIdentifier('n'.repeat(64)).length, 63);
    assert.notEqual(tableIdentifier(`${'n'.repeat(64)}a`), tableIdentifier(`${'n'.repeat(64)}b`));
  });

  it('maps what looks mapped, so that nobody can claim the identifier of another', () => {
    const taken = tableIdentifier('n'.repeat(64));
    assert.notEqual(tableIdentifier(taken), taken);
    assert.ok(isMapped(tableIdentifier(`x~${HASH}`)));
    assert.notEqual(tableIdentifier(keyIdentifier('cpu')), keyIdentifier('cpu'));
  });

  it('maps what PostgreSQL or the layout have for themselves', () => {
    for (const name of ['time', 'time_ns', 'series_id', 'ctid', 'xmin', 'tableoid'])
      assert.match(columnIdentifier(name), new RegExp(`^${name}~[0-9a-f]{32}$`));
    assert.equal(columnIdentifier('Time'), 'Time');
    assert.match(schemaIdentifier('pg_catalog'), /^_pg_catalog~/);
    assert.match(schemaIdentifier('information_schema'), /^information_schema~/);
  });

  it('gives any two names two identifiers that fit', () => {
    const name = oneof(string({ unit: 'grapheme', maxLength: 80 }), string({ minLength: 55, maxLength: 70 }));
    check(
      property(name, name, (a, b) => {
        for (const identifier of [tableIdentifier, columnIdentifier, schemaIdentifier]) {
          assert.ok(Buffer.byteLength(identifier(a)) <= 63);
          assert.equal(identifier(a) === identifier(b), a === b);
        }
      }),
    );
  });
});

describe('postgres statements', () => {
  it('refuses a table whose rows might not fit into a page', () => {
    const columns = (count: number, type: 'float64' | 'string') =>
      Array.from({ length: count }, (_, i) => ({ name: `f${i}`, kind: 'field', type }) as const);
    assert.equal(tooWide(columns(970, 'float64')), undefined);
    assert.match(tooWide(columns(1_000, 'float64')) ?? '', /^1000 columns do not fit/);
    assert.match(tooWide(columns(500, 'string')) ?? '', /do not fit/);
  });

  it('says in comments only what a column does not say itself', () => {
    const columns = [
      { name: 'host', kind: 'tag', type: 'string' },
      { name: 'time', kind: 'tag', type: 'string' },
      { name: "it's", kind: 'field', type: 'string' },
      { name: 'value', kind: 'field', type: 'float64' },
    ] as const;
    const [, ...comments] = createTable({ database: 'd', table: 'cpu' }, columns).split('; ');
    assert.deepEqual(comments, [
      `COMMENT ON COLUMN "d"."cpu"."${columnIdentifier('time')}" IS 'tag: time'`,
      `COMMENT ON COLUMN "d"."cpu"."it's" IS 'field'`,
    ]);
  });

  it('makes a hypertable with its template where the extension is', () => {
    const id = { database: 'd', table: `it's` };
    assert.equal(
      hypertableSql('ts', id, { chunkMs: 3_600_000, retentionMs: 0 }),
      `; SELECT "ts".create_hypertable('"d"."it''s"'::regclass, 'time', chunk_time_interval => interval '3600000 milliseconds', create_default_indexes => false)`,
    );
    assert.match(
      hypertableSql('ts', id, { chunkMs: 1, retentionMs: 5 }),
      /; SELECT "ts"\.add_retention_policy\('"d"\."it''s"'::regclass, interval '5 milliseconds'\)$/,
    );
  });

  it('replaces only the fields that are given', () => {
    const source = createTestSource('d');
    const batch = source.batch([{ table: 't', tags: { host: 'a' }, fields: [['v', ['float64', 1]]] }]);
    const [sheet] = sheetsOf([batch]) as [Sheet];
    assert.deepEqual(columnsOf(sheet), [
      { name: 'host', kind: 'tag', type: 'string' },
      { name: 'v', kind: 'field', type: 'float64' },
    ]);
    assert.match(insertSql(sheet), /DO UPDATE SET "v" = coalesce\(excluded\."v", t\."v"\)\n/);
  });
});

describe('postgres sheets', () => {
  const at = (timeNs: bigint, field: string, n: number) =>
    ({ table: 't', timeNs, fields: [[field, ['float64', n]]] }) as const;

  it('has each series and time once', () => {
    const points = Array.from({ length: 100 }, (_, i) => at(BigInt(i % 10), 'v', i));
    const source = createTestSource('d');
    const [sheet, ...more] = sheetsOf([source.batch(points), createTestSource('d').batch(points)]);
    assert.equal(more.length, 0);
    assert.equal(sheet?.series.length, 10);
  });

  it('are several rather than nearly empty, and bounded in rows', () => {
    const scattered = Array.from({ length: 2_000 }, (_, i) => at(BigInt(i), `f${i % 1_000}`, i));
    const sheets = sheetsOf([createTestSource('d').batch(scattered)]);
    const places = sheets.reduce((sum, { series, fields }) => sum + series.length * fields.length, 0);
    assert.equal(
      sheets.reduce((sum, { series }) => sum + series.length, 0),
      2_000,
    );
    assert.ok(places < 2_000 * 70, `${places} places for 2,000 values`);

    const many = Array.from({ length: 10_000 }, (_, i) => at(BigInt(i), 'v', i));
    assert.deepEqual(
      sheetsOf([createTestSource('d').batch(many)]).map(({ series }) => series.length),
      [8_192, 1_808],
    );
  });
});
