/** The whole gateway in front of the fake GreptimeDB: both protocols, and a database that is full, changes or is away. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { FAKE_FAULTS, startFakeGreptimeDb } from '../helpers/fake-greptimedb.ts';
import { type Gateway, metric, post, runGateway, startGateway, temporaryFolder } from '../helpers/gateway.ts';
import { eventually } from '../helpers/wait.ts';

async function start(t: TestContext, env: Readonly<Record<string, string>> = {}) {
  const fake = await startFakeGreptimeDb(t);
  const gateway = await startGateway(t, temporaryFolder(t), {
    SLUICE_SINK_KIND: 'greptimedb',
    SLUICE_GREPTIMEDB_URL: fake.url,
    SLUICE_GUARD_LOOKUPS_PER_SEC: '100',
    SLUICE_DDL_BREAKER_MS: '1s',
    SLUICE_DDL_TRANSIENT_MAX_MS: '1s',
    ...env,
  });
  return { ...gateway, fake };
}

const put = ({ url }: Pick<Gateway, 'url'>, name: string, second = 1) =>
  post(
    `${url}/api/put?details`,
    JSON.stringify({ metric: name, timestamp: second, value: 1.5, tags: { host: 'a' } }),
  );

describe('a gateway in front of GreptimeDB', () => {
  it('stores points of both protocols exactly', async (t) => {
    const gateway = await start(t);
    assert.equal((await put(gateway, 'sys.cpu', 1_700_000_000)).status, 200);
    const line =
      'cpu,host=a f=0.1,i=-9223372036854775808i,u=18446744073709551615u,b=t,s="ö" 1700000000123456789';
    assert.equal((await post(`${gateway.url}/write?db=tele`, line)).status, 204);
    assert.deepEqual(gateway.fake.store.read('public', 'sys.cpu', ['host', 'greptime_value']), [
      [1_700_000_000_000_000_000n, 'a', 1.5],
    ]);
    assert.deepEqual(gateway.fake.store.read('tele', 'cpu', ['host', 'f', 'i', 'u', 'b', 's']), [
      [1_700_000_000_123_456_789n, 'a', 0.1, -(2n ** 63n), 2n ** 64n - 1n, true, 'ö'],
    ]);
  });

  it('refuses a time that the table would round, and a name that it can not have, each with the reason', async (t) => {
    const gateway = await start(t);
    await put(gateway, 'm');
    const answer = await post(
      `${gateway.url}/write?db=public`,
      'm,host=a greptime_value=2 1\nm,host=a greptime_value=3 2000000000\na/b f=1 1',
    );
    assert.equal(answer.status, 400);
    assert.match(answer.text, /whole ms only/);
    assert.deepEqual(gateway.fake.store.read('public', 'm', ['greptime_value']), [
      [1_000_000_000n, 1.5],
      [2_000_000_000n, 3],
    ]);
    assert.equal(gateway.fake.ddl.length, 1);
  });

  it('creates nothing while the database has too much to create already, and goes on when it has not', async (t) => {
    const gateway = await start(t, { SLUICE_GREPTIMEDB_MAX_BACKLOG: '32' });
    const { fake, url } = gateway;
    assert.equal((await put(gateway, 'known')).status, 200);
    fake.procedures = 100;
    await eventually('the leader heard', async () => (await metric(url, 'sluice_ddl_backlog')) === 100);
    const before = fake.ddl.length;
    assert.equal((await put(gateway, 'new')).status, 200);
    assert.equal((await put(gateway, 'known', 2)).status, 200);
    assert.equal(fake.store.read('public', 'known', []).length, 2);
    await eventually('it is seen parked', async () => (await metric(url, 'sluice_parked_rows')) === 1);
    assert.equal(fake.ddl.length, before);
    fake.procedures = 0;
    await eventually(
      'the parked point is stored',
      async () => (await metric(url, 'sluice_spool_rows')) === 0,
      60_000,
    );
    assert.equal(fake.store.read('public', 'new', []).length, 1);
  });

  it('sends hardly any statements while all slots for procedures are taken, and keeps the points', async (t) => {
    const gateway = await start(t, { SLUICE_DDL_BREAKER_MS: '10s' });
    const { fake } = gateway;
    await put(gateway, 'known');
    const made = fake.ddl.length;
    fake.faults.ddl = FAKE_FAULTS.poolFull;
    for (let i = 0; i < 200; i++) assert.equal((await put(gateway, `new${i % 50}`, i + 1)).status, 200);
    assert.equal((await put(gateway, 'known', 2)).status, 200);
    assert.equal(fake.store.read('public', 'known', []).length, 2);
    assert.ok(fake.ddl.length - made <= 8, `${fake.ddl.length - made} statements`);
    assert.equal(await metric(gateway.url, 'sluice_ddl_breakers_opened_total{scope="all"}'), 1);
  });

  it('makes a table again that was dropped, without losing a point', async (t) => {
    const gateway = await start(t);
    await put(gateway, 'm', 1);
    await put(gateway, 'n', 1);
    gateway.fake.store.databases.get('public')?.delete('m');
    const both = ['m', 'n'].map((name) => ({ metric: name, timestamp: 2, value: 2, tags: { host: 'a' } }));
    assert.equal((await post(`${gateway.url}/api/put`, JSON.stringify(both))).status, 204);
    for (const table of ['m', 'n']) {
      await eventually(`${table} is written`, () =>
        gateway.fake.store.read('public', table, []).some(([time]) => time === 2_000_000_000n),
      );
    }
  });

  it('keeps points while the database is away, and writes them when it is back', async (t) => {
    const gateway = await start(t);
    await put(gateway, 'm', 1);
    await gateway.fake.close();
    assert.equal((await put(gateway, 'm', 2)).status, 200);
    const back = await startFakeGreptimeDb(t, gateway.fake.port);
    await eventually('the point arrives', () => back.store.read('public', 'm', []).length > 0);
  });

  it('does not start with credentials that are refused, and says so', async (t) => {
    const fake = await startFakeGreptimeDb(t);
    fake.login = 'me:right';
    const { code, out } = await runGateway(temporaryFolder(t), [], {
      SLUICE_SINK_KIND: 'greptimedb',
      SLUICE_GREPTIMEDB_URL: fake.url,
      SLUICE_GREPTIMEDB_USER: 'me',
      SLUICE_GREPTIMEDB_PASSWORD: 'wrong-secret',
    });
    assert.notEqual(code, 0);
    assert.match(out, /refuses user me .*check greptimedb\.user and greptimedb\.password/);
    assert.ok(!out.includes('wrong-secret'));
  });
});
