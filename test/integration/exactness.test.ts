/** Every type and any name, from a client's bytes to the answer of a query, without losing a bit. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { post, query, startGateway, temporaryFolder } from '../helpers/gateway.ts';

/** What is sent in line protocol, and what the query answers. */
const CASES: readonly (readonly [sent: string, answered: string])[] = [
  ['9223372036854775807i', '9223372036854775807'],
  ['-9223372036854775808i', '-9223372036854775808'],
  ['9007199254740993i', '9007199254740993'],
  ['18446744073709551615u', '18446744073709551615'],
  ['9223372036854775808u', '9223372036854775808'],
  ['0u', '0'],
  ['0.1', '0.1'],
  ['-0', '-0'],
  ['5e-324', '5e-324'],
  ['-1.7976931348623157e308', '-1.7976931348623157e+308'],
  ['0.30000000000000004', '0.30000000000000004'],
  ['9007199254740993', '9007199254740992'],
  ['123456789012345678901234567890', '1.2345678901234568e+29'],
  ['t', 'true'],
  ['FALSE', 'false'],
  ['""', '""'],
  [String.raw`"a \"quoted\" \\ 'text', =1 ☃ 🦆"`, String.raw`"a \"quoted\" \\ 'text', =1 ☃ 🦆"`],
  ['"two\nlines\tand a tab"', String.raw`"two\nlines\tand a tab"`],
];

const TIMES = ['-9223372036854775806', '-1', '0', '1700000000123456789', '9223372036854775806'];

/** Names that mean something to DuckDB, to JavaScript or to Unicode, or look like a mapped name. */
const NAMES: readonly string[] = (
  `TIME value Value rowid ROWID __proto__ constructor select p s f1 row main temp memory x~0 x~ X x ` +
  `ß ẞ ss İ i I ı \u212a K k σ ς Σ é e\u0301 " ' ;-- "x" public information_schema _sluice sluice~0`
).split(' ');

describe('exactness from the client to the query', () => {
  it('of every value', async (t) => {
    const { url } = await startGateway(t, temporaryFolder(t));
    const lines = CASES.map(([sent], i) => `v${i} f=${sent} 1`);
    assert.deepEqual(await written(`${url}/write?db=d`, lines.join('\n')), [204, '']);
    for (const [i, [sent, answered]] of CASES.entries())
      assert.equal(await query(url, `SELECT f FROM v${i}`, 'd'), `[[${answered}]]`, sent);
  });

  it('of every time', async (t) => {
    const { url } = await startGateway(t, temporaryFolder(t));
    const lines = TIMES.map((time) => `m f=1 ${time}`);
    assert.deepEqual(await written(`${url}/write?db=d`, lines.join('\n')), [204, '']);
    assert.equal(
      await query(url, 'SELECT time FROM m ORDER BY time', 'd'),
      `[${TIMES.map((time) => `[${time}]`).join(',')}]`,
    );
    const body = JSON.stringify({
      metric: 'o',
      timestamp: 1_700_000_000_123,
      value: '0.1',
      tags: { a: 'b' },
    });
    assert.equal((await post(`${url}/api/put`, body)).status, 204);
    assert.equal(await query(url, 'SELECT time, value FROM o'), '[[1700000000123000000,0.1]]');
  });

  it('of every name, as database, table, tag and field', async (t) => {
    const { url } = await startGateway(t, temporaryFolder(t), {
      SLUICE_GUARD_MAX_NEW_TABLES_PER_REQUEST: '1000',
      SLUICE_GUARD_WAIT_MS: '20000',
      SLUICE_GUARD_CREATE_BURST: '1000',
      SLUICE_DDL_RATE_PER_SEC: '100',
    });
    // Values are the numbers of the names, so that any two that met would show.
    const numbered = (make: (name: string, i: number) => string): string[] => NAMES.map(make);
    const bodies = [
      `tags,${numbered((name, i) => `${name}=t${i}`).join(',')} real=1 1`,
      `fields ${numbered((name, i) => `${name}=${i}i`).join(',')} 1`,
      numbered((name, i) => `${name} f=${i}i 1`).join('\n'),
    ];
    for (const body of bodies) assert.deepEqual(await written(`${url}/write?db=d`, body), [204, '']);
    await Promise.all(
      numbered((name) => `${url}/write?db=${encodeURIComponent(name)}`).map(async (to, i) =>
        assert.deepEqual(await written(to, `m f=${i}i 1`), [204, '']),
      ),
    );

    const mapped = async (sql: string) =>
      new Map(JSON.parse(await query(url, sql, 'd')) as [name: string, identifier: string][]);
    const columnsOf = (table: string) =>
      mapped(
        `SELECT c.name, c.column_name FROM _sluice.columns c JOIN _sluice.tables t ON t.id = c.table_id WHERE t.name = '${table}'`,
      );
    const tags = await columnsOf('tags');
    const fields = await columnsOf('fields');
    const views = await mapped("SELECT name, view_name FROM _sluice.tables WHERE database = 'd'");
    for (const [i, name] of NAMES.entries()) {
      const sql = [
        `SELECT ${quoted(tags.get(name))} FROM tags`,
        `SELECT ${quoted(fields.get(name))} FROM fields`,
        `SELECT f FROM ${quoted(views.get(name))}`,
      ];
      const rows = await Promise.all([
        ...sql.map((text) => query(url, text, 'd')),
        query(url, 'FROM m SELECT f', name),
      ]);
      assert.deepEqual(rows, [`[["t${i}"]]`, `[[${i}]]`, `[[${i}]]`, `[[${i}]]`], name);
    }
  });
});

async function written(url: string, body: string): Promise<[status: number, text: string]> {
  const { status, text } = await post(url, body);
  return [status, text];
}

function quoted(identifier = ''): string {
  return `"${identifier.replaceAll('"', '""')}"`;
}
