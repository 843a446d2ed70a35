/** The options under `policy` as an operator sets them, on the real process and a database that holds something. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { metric, post, startGateway, temporaryFolder } from '../helpers/gateway.ts';

type Writes = Readonly<Record<string, number>>;

/** Database and line, and the status it gets. */
const CASES: readonly (readonly [Readonly<Record<string, string>>, Writes])[] = [
  [{ SLUICE_POLICY_DENY: 'kn.*' }, { 'here known v=1': 400, 'here unknown v=1': 204 }],
  [
    { SLUICE_POLICY_ALLOW: 'fine.*' },
    { 'here known v=1': 204, 'here known wider=1': 204, 'here fine.1 v=1': 204, 'here other v=1': 400 },
  ],
  [{ SLUICE_POLICY_DENY_DATABASES: 'he.*' }, { 'here known v=1': 400, 'there known v=1': 204 }],
  [
    { SLUICE_POLICY_ALLOW_DATABASES: 'there' },
    { 'here known v=1': 204, 'here new v=1': 400, 'there new v=1': 204, 'elsewhere new v=1': 400 },
  ],
  [
    { SLUICE_POLICY_AUTO_CREATE: 'off' },
    { 'here known v=1': 204, 'here known more=1': 400, 'here absent v=1': 400, 'nowhere known v=1': 400 },
  ],
  [{ SLUICE_POLICY_MAX_TABLES_PER_DATABASE: '1' }, { 'here known v=1': 204, 'here one.more v=1': 400 }],
  [{ SLUICE_POLICY_MAX_COLUMNS_PER_TABLE: '1' }, { 'here known v=1': 204, 'here known second=1': 400 }],
];

async function write(url: string, [database, ...line]: readonly string[]): Promise<number> {
  return (await post(`${url}/write?db=${database}`, `${line.join(' ')} 1`)).status;
}

describe('the policy', () => {
  it('refuses what it says and nothing else, whatever the database holds already', async (t) => {
    const folder = temporaryFolder(t);
    const before = await startGateway(t, folder);
    assert.equal(await write(before.url, ['here', 'known', 'v=1']), 204);
    await before.stop();
    for (const [env, writes] of CASES) {
      const gateway = await startGateway(t, folder, env);
      const answers: Record<string, number> = {};
      for (const sent of Object.keys(writes)) answers[sent] = await write(gateway.url, sent.split(' '));
      assert.deepEqual({ env, answers }, { env, answers: writes });
      await gateway.stop();
    }
  });

  it('only counts what it would refuse when it observes', async (t) => {
    const { url } = await startGateway(t, temporaryFolder(t), {
      SLUICE_POLICY_AUTO_CREATE: 'observe',
      SLUICE_POLICY_DENY_DATABASES: 'here',
    });
    assert.equal(await write(url, ['here', 'known', 'v=1']), 204);
    assert.equal(await metric(url, 'sluice_guard_would_refuse_total{reason="denied_name"}'), 1);
  });
});
