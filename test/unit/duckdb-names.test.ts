import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import * as fc from 'fast-check';
import { fold, literal, mapName, nameRules, quote } from '../../src/sink/duckdb/names.ts';

/** Maps names one after another, each plain identifier being taken by the first. */
function mapAll(names: readonly string[]): Map<string, string> {
  const taken = new Set<string>();
  const mapped = new Map<string, string>();
  for (const name of names) {
    if (mapped.has(name)) continue;
    const identifier = mapName(name, (folded) => taken.has(folded));
    taken.add(fold(identifier));
    mapped.set(name, identifier);
  }
  return mapped;
}

const confusable = fc.string({
  unit: fc.constantFrom('a', 'A', 'b', 'B', '~', '0', '1', 'f', 'é', 'É'),
  maxLength: 6,
});

describe('mapName', () => {
  it('leaves a name as it is while nothing of the same letters is there', () => {
    for (const name of ['cpu', 'CPU', 'cpuLoad', 'a.b/c', 'x~y', 'É', '~ ', '']) {
      assert.equal(
        mapName(name, () => false),
        name,
      );
    }
  });

  it('says in a suffix which letters are upper case, when the plain name is taken', () => {
    const cases = { cpu: 'cpu~0', CPU: 'CPU~7', cpuLoad: 'cpuLoad~8', Aé: 'Aé~2', '1e5': '1e5~0' };
    for (const [name, identifier] of Object.entries(cases)) {
      assert.equal(
        mapName(name, () => true),
        identifier,
      );
    }
  });

  it('gives names that end like a suffix one more, taken or not', () => {
    for (const name of ['cpu~0', 'cpu~', 'CPU~7', 'x~FF']) {
      assert.match(
        mapName(name, () => false),
        /~[0-9a-f]*~[0-9a-f]+$/i,
      );
    }
  });

  it('never gives two names identifiers that DuckDB takes for one', () => {
    fc.assert(
      fc.property(fc.array(confusable, { maxLength: 30 }), (names) => {
        const mapped = mapAll(names);
        assert.equal(new Set([...mapped.values()].map(fold)).size, mapped.size);
      }),
    );
  });

  it('can be undone', () => {
    fc.assert(
      fc.property(confusable, fc.boolean(), (name, taken) => {
        const identifier = mapName(name, () => taken);
        const suffix = /~[0-9a-f]+$/.exec(identifier);
        const suffixed = suffix !== null && identifier !== name;
        assert.equal(suffixed ? identifier.slice(0, suffix.index) : identifier, name);
      }),
    );
  });
});

describe('fold', () => {
  it('takes for one just what DuckDB takes for one, in all of Unicode', async (t) => {
    const names = new Set<string>();
    for (let code = 0x20; code < 0x11_0000; code++) {
      if (code >= 0xd8_00 && code < 0xe0_00) continue;
      const char = String.fromCodePoint(code);
      const kin = [char.toLowerCase(), char.toUpperCase(), char.normalize('NFC'), char.normalize('NFKD')];
      if (kin.some((other) => other !== char)) for (const name of [char, ...kin]) names.add(name);
    }
    // Of the names that are one to us, the last; a table refuses columns that are one to DuckDB.
    const apart = [...new Map(Array.from(names, (name) => [fold(name), name])).values()];
    assert.ok(apart.length > 20_000 && apart.length < names.size);
    const instance = await DuckDBInstance.create(':memory:');
    const connection = await instance.connect();
    t.after(() => instance.closeSync());
    t.after(() => connection.closeSync());
    await connection.run(`CREATE TABLE t (${apart.map((name) => `${quote(name)} BOOLEAN`).join(', ')})`);
    const reader = await connection.runAndReadAll(
      "SELECT column_name FROM duckdb_columns() WHERE table_name = 't' ORDER BY column_index",
    );
    assert.deepEqual(reader.getRows().flat(), apart);
    await assert.rejects(connection.run('CREATE TABLE u ("k" BOOLEAN, "K" BOOLEAN)'), /already exists/);
  });
});

describe('quote and literal', () => {
  it('hold any text, as DuckDB itself reads it', async (t) => {
    const instance = await DuckDBInstance.create(':memory:');
    const connection = await instance.connect();
    t.after(() => instance.closeSync());
    t.after(() => connection.closeSync());
    const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 40 });
    const hostile = fc.constantFrom(`"'; DROP TABLE x; --`, '\\', '\n', '$$', '/*', '%s', "''", '""');
    await fc.assert(
      fc.asyncProperty(fc.oneof(text, hostile), async (name) => {
        fc.pre(nameRules.checkTable({ database: 'x', table: name }) === undefined);
        const reader = await connection.runAndReadAll(`SELECT ${literal(name)} AS ${quote(name)}`);
        assert.deepEqual(reader.getRows(), [[name]]);
        assert.deepEqual(reader.columnNames(), [name]);
      }),
    );
  });
});
