/** OpenTSDB's HTTP protocol, case by case, on one process with its embedded database. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { post, startGateway, temporaryFolder } from '../helpers/gateway.ts';
import { checkCase } from '../helpers/protocol-cases.ts';
import {
  READ_CASES,
  REFUSED_POINT_CASES,
  ROUTE_CASES,
  SEED,
  SUGGEST_CASES,
} from './opentsdb-endpoint-cases.ts';
import {
  BODY_CASES,
  CLIENT_CASES,
  PARAMETER_CASES,
  REFUSED_CASES,
  VALUE_CASES,
} from './opentsdb-put-cases.ts';

it('speaks OpenTSDB', async (t) => {
  const gateway = await startGateway(t, temporaryFolder(t));
  assert.equal((await post(`${gateway.url}/api/put`, SEED)).status, 204);
  const cases = [
    ...VALUE_CASES,
    ...REFUSED_CASES,
    ...BODY_CASES,
    ...CLIENT_CASES,
    ...PARAMETER_CASES,
    ...ROUTE_CASES,
    ...REFUSED_POINT_CASES,
    ...READ_CASES,
    ...SUGGEST_CASES,
  ];
  for (const [index, c] of cases.entries()) {
    await t.test(c.name, () => checkCase(gateway.url, c, `case.${index}`));
  }
});
