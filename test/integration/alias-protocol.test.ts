/** The paths of other databases, case by case, on one process with its embedded database. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { post, query, startGateway, temporaryFolder } from '../helpers/gateway.ts';
import { checkCase } from '../helpers/protocol-cases.ts';
import { INFLUX_ALIAS_CASES, PROBE_CASES, PUT_ALIAS_CASES } from './alias-cases.ts';
import { point } from './opentsdb-put-cases.ts';

it('speaks at the paths of other databases', async (t) => {
  const gateway = await startGateway(t, temporaryFolder(t));
  // Its spelling is known from here on, and must not make it known to the path that refuses it.
  const untagged = point({ metric: '"untagged"', tags: '{}' });
  assert.equal((await post(`${gateway.url}/opentsdb/api/put`, untagged)).status, 204);
  const cases = [...PUT_ALIAS_CASES, ...INFLUX_ALIAS_CASES, ...PROBE_CASES];
  for (const [index, c] of cases.entries()) {
    await t.test(c.name, () => checkCase(gateway.url, c, `case.${index}`));
  }
  assert.equal(await query(gateway.url, 'SELECT count(*) FROM untagged'), '[[1]]');
});

it('takes the default database from the configuration', async (t) => {
  const gateway = await startGateway(t, temporaryFolder(t), { SLUICE_ALIASES_DATABASE: 'elsewhere' });
  assert.equal((await post(`${gateway.url}/influx/write`, 'm v=1')).status, 204);
  assert.equal(await query(gateway.url, 'SELECT v FROM m', 'elsewhere'), '[[1]]');
});

it('takes untagged points at /api/put when told to', async (t) => {
  const gateway = await startGateway(t, temporaryFolder(t), { SLUICE_OPENTSDB_REQUIRE_TAGS: 'false' });
  const body = point({ metric: '"m"', tags: '{}' });
  for (let i = 0; i < 2; i++) assert.equal((await post(`${gateway.url}/api/put`, body)).status, 204);
  assert.equal(await query(gateway.url, 'SELECT value FROM m'), '[[42]]');
});
