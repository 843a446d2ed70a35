/** Two gateways in front of one PostgreSQL with their DDL queue on one etcd: they share its keys, and each table is made once. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startEtcd } from '../helpers/etcd.ts';
import { metric, post, startGateway, temporaryFolder } from '../helpers/gateway.ts';
import { SUPERUSER, startPostgres } from '../helpers/postgres.ts';
import { eventually } from '../helpers/wait.ts';

const TABLES = 10;

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}

describe('two gateways on one PostgreSQL and one etcd', () => {
  it('share one leader, who makes each table once; what either parked meanwhile comes into it', async (t) => {
    const [etcd, postgres] = await Promise.all([startEtcd(t), startPostgres(t)]);
    const env = {
      SLUICE_SINK_KIND: 'postgres',
      SLUICE_POSTGRES_PORT: String(postgres.port),
      SLUICE_POSTGRES_DATABASE: await postgres.createDatabase(),
      SLUICE_POSTGRES_USER: SUPERUSER,
      SLUICE_DDL_STORE: 'etcd',
      SLUICE_ETCD_ENDPOINTS: etcd.url,
    };
    const gateways = await Promise.all([1, 2].map(() => startGateway(t, temporaryFolder(t), env)));
    const answers = gateways.flatMap(({ url }, i) =>
      Array.from({ length: TABLES }, (_, n) => post(`${url}/write?db=tele`, `m${n},gateway=g${i} v=1 1`)),
    );
    for (const { status, text } of await Promise.all(answers)) assert.equal(status, 204, text);
    for (const { url } of gateways) {
      await eventually('nothing waits', async () => (await metric(url, 'sluice_spool_rows')) === 0);
    }
    for (let n = 0; n < TABLES; n++) {
      const rows = await postgres.sql(
        env.SLUICE_POSTGRES_DATABASE,
        `SELECT gateway FROM tele.m${n} ORDER BY gateway`,
      );
      assert.deepEqual(rows, [['g0'], ['g1']]);
    }
    const keys = await etcd.ctl(['get', '--prefix', '/sluice/', '--keys-only']);
    assert.deepEqual(
      keys.split('\n').filter((key) => key.endsWith('/lead')),
      ['/sluice/v1/lead'],
    );
    const counts = async (name: string): Promise<readonly number[]> =>
      Promise.all(gateways.map(({ url }) => metric(url, name)));
    const created = await counts('sluice_ddl_statements_total{kind="create"}');
    // An attempt that finds the table there, because the gateways asked one right after the other, sends nothing.
    assert.equal(sum(created), TABLES);
    assert.equal(created.includes(0), true, 'only the leader makes tables');
  });
});
