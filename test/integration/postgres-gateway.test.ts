/** The whole gateway in front of a real PostgreSQL: both protocols, and a database that dies, refuses or changes. */
import assert from 'node:assert/strict';
import { after, describe, it, type TestContext } from 'node:test';
import { type Gateway, metric, post, runGateway, startGateway, temporaryFolder } from '../helpers/gateway.ts';
import { type Postgres, SUPERUSER, startPostgres } from '../helpers/postgres.ts';
import { eventually } from '../helpers/wait.ts';

let shared: Promise<Postgres> | undefined;
after(async () => (await shared)?.close());

function environment(
  { port }: Pick<Postgres, 'port'>,
  database: string,
  user = SUPERUSER,
): Record<string, string> {
  return {
    SLUICE_SINK_KIND: 'postgres',
    SLUICE_POSTGRES_PORT: String(port),
    SLUICE_POSTGRES_DATABASE: database,
    SLUICE_POSTGRES_USER: user,
    SLUICE_GUARD_LOOKUPS_PER_SEC: '100',
  };
}

async function start(t: TestContext, env: Readonly<Record<string, string>> = {}) {
  shared ??= startPostgres({ after: () => undefined });
  const postgres = await shared;
  const database = await postgres.createDatabase();
  const gateway = await startGateway(t, temporaryFolder(t), { ...environment(postgres, database), ...env });
  return { ...gateway, postgres, database, sql: (text: string) => postgres.sql(database, text) };
}

const put = ({ url }: Pick<Gateway, 'url'>, name: string, second = 1) =>
  post(
    `${url}/api/put?details`,
    JSON.stringify({ metric: name, timestamp: second, value: 1.5, tags: { host: 'a' } }),
  );
const write = ({ url }: Pick<Gateway, 'url'>, lines: string) => post(`${url}/write?db=tele`, lines);

describe('a gateway in front of PostgreSQL', () => {
  it('stores points of both protocols exactly', async (t) => {
    const gateway = await start(t);
    assert.equal((await put(gateway, 'sys.cpu', 1_700_000_000)).status, 200);
    const line =
      'cpu,host=a f=0.1,i=-9223372036854775808i,u=18446744073709551615u,b=t,s="ö" 1700000000123456789';
    assert.equal((await write(gateway, line)).status, 204);
    assert.deepEqual(
      await gateway.sql('SELECT host, value, extract(epoch FROM time)::int FROM public."sys.cpu"'),
      [['a', 1.5, 1_700_000_000]],
    );
    assert.deepEqual(await gateway.sql('SELECT host, f, i, u, b, s, time::text, time_ns FROM tele.cpu'), [
      [
        'a',
        0.1,
        '-9223372036854775808',
        '18446744073709551615',
        true,
        'ö',
        '2023-11-14 22:13:20.123456+00',
        789,
      ],
    ]);
  });

  it('refuses the lines that PostgreSQL can not hold, with the reason, and stores the others', async (t) => {
    const gateway = await start(t);
    const answer = await write(gateway, 'm s="a" 1\nm s="b\u0000" 2\nm s="c" 3');
    assert.equal(answer.status, 400);
    assert.match(answer.text, /NUL character/);
    assert.deepEqual(await gateway.sql('SELECT s FROM tele.m ORDER BY time, time_ns'), [['a'], ['c']]);
  });

  it('makes a table again that was dropped, and says why it can not write to one that was changed', async (t) => {
    const gateway = await start(t);
    assert.equal((await write(gateway, 'm v=1.5 1')).status, 204);
    await gateway.sql('DROP TABLE tele.m');
    assert.equal((await write(gateway, 'm v=2.5 2')).status, 204);
    assert.deepEqual(await gateway.sql('SELECT v FROM tele.m'), [[2.5]]);
    await gateway.sql('ALTER TABLE tele.m ALTER COLUMN v TYPE bigint');
    const refused = await eventually('the change is seen', async () => {
      const answer = await write(gateway, 'm v=3.5 3');
      return answer.status === 400 && answer;
    });
    assert.match(refused.text, /field type conflict|type/);
    await gateway.sql('ALTER TABLE tele.m ALTER COLUMN v TYPE integer');
    const unknown = await eventually('that, too', async () => {
      const answer = await write(gateway, 'm v=3.5 3');
      return answer.text.includes('integer') && answer;
    });
    assert.equal(unknown.status, 400);
    assert.equal((await write(gateway, 'other v=1 1')).status, 204);
    assert.equal((await gateway.sql('SELECT v FROM tele.m')).length, 1);
  });

  it('starts while the database is down, says so, and heals by itself', async (t) => {
    const postgres = await startPostgres(t);
    const database = await postgres.createDatabase();
    await postgres.stop();
    const gateway = await startGateway(t, temporaryFolder(t), environment(postgres, database));
    assert.ok(gateway.logs.some(({ msg }) => msg.startsWith('PostgreSQL does not answer')));
    assert.equal((await put(gateway, 'm')).status, 503);
    await postgres.start();
    await eventually('a write succeeds', async () => (await put(gateway, 'm')).status === 200);
    await postgres.stop();
    await eventually('a write fails', async () => (await put(gateway, 'm')).status === 503);
    assert.equal((await fetch(`${gateway.url}/health`)).status, 503);
    await postgres.start();
    await eventually('a write succeeds again', async () => (await put(gateway, 'm')).status === 200);
    assert.equal((await fetch(`${gateway.url}/health`)).status, 200);
    assert.equal(await gateway.stop(), 0);
  });

  it('stops creating for a role that may not, once and not per table, and goes on when it may', async (t) => {
    const { postgres, database, sql, ...owner } = await start(t);
    assert.equal((await put(owner, 'known')).status, 200);
    const role = `limited_${database}`;
    await sql(`CREATE ROLE ${role} LOGIN; GRANT USAGE ON SCHEMA public TO ${role};
      GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO ${role}`);
    const env = { ...environment(postgres, database, role), SLUICE_DDL_BREAKER_MS: '1s' };
    const gateway = await startGateway(t, temporaryFolder(t), env);
    assert.equal((await put(gateway, 'known')).status, 200);
    const answers = await Promise.all(Array.from({ length: 300 }, (_, i) => put(gateway, `new.${i}`)));
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [503]);
    assert.equal((await put(gateway, 'known', 2)).status, 200);
    const attempts = await metric(gateway.url, 'sluice_ddl_attempts_total{class="denied"}');
    assert.ok(attempts >= 1 && attempts <= 20, `${attempts} attempts for 300 tables`);
    assert.equal(await metric(gateway.url, 'sluice_ddl_outcomes'), 0);
    await sql(`GRANT CREATE ON SCHEMA public TO ${role}`);
    await eventually('a table is made', async () => (await put(gateway, 'new.7')).status === 200);
  });

  it('does not start with a database that is not there, and says what to do', async (t) => {
    const { postgres } = await start(t);
    const { code, out } = await runGateway(temporaryFolder(t), [], environment(postgres, 'nowhere'));
    assert.equal(code, 2);
    assert.match(out, /there is no database nowhere: check postgres.database/);
  });
});

describe('kill -9 of PostgreSQL under load', () => {
  const ROUNDS = 3;
  const SENDERS = 4;
  const POINTS = 50;

  it('loses no acknowledged point and shows none twice', async (t) => {
    const postgres = await startPostgres(t, { fsync: 'on' });
    const database = await postgres.createDatabase();
    // New tables are not to be held back for longer than the test needs once the server is there again.
    const patience = { SLUICE_DDL_BREAKER_MS: '1s', SLUICE_DDL_TRANSIENT_MAX_MS: '1s' };
    const env = { ...environment(postgres, database), ...patience };
    const gateway = await startGateway(t, temporaryFolder(t), env);
    const acknowledged = Array.from({ length: SENDERS }, () => 0);
    const stop = new AbortController();
    let since = 0;
    const send = async (sender: number): Promise<void> => {
      while (!stop.signal.aborted) {
        const batch = acknowledged[sender] as number;
        const lines = Array.from({ length: POINTS }, (_, i) => {
          const n = batch * POINTS + i;
          return `m,sender=s${sender} n=${n}i ${n}`;
        });
        if (batch % 8 === 0) lines.push(`new_${sender}_${batch} n=${batch}i 1`);
        const { status, text } = await write(gateway, lines.join('\n'));
        assert.ok(status === 204 || status === 503, text);
        if (status === 204) {
          acknowledged[sender] = batch + 1;
          since++;
        }
      }
    };
    const senders = acknowledged.map((_, sender) => send(sender));
    for (let round = 0; round < ROUNDS; round++) {
      since = 0;
      await eventually('points are acknowledged', () => since > 20 + round * 7);
      await postgres.kill9();
      await postgres.start();
    }
    since = 0;
    await eventually('points are acknowledged', () => since > 20);
    stop.abort();
    await Promise.all(senders);

    const rows = await postgres.sql(database, 'SELECT sender, n FROM tele.m ORDER BY sender, n');
    for (const [sender, batches] of acknowledged.entries()) {
      const numbers = rows.filter(([name]) => name === `s${sender}`).map(([, n]) => Number(n));
      assert.deepEqual(
        numbers.slice(0, batches * POINTS),
        Array.from({ length: batches * POINTS }, (_, n) => n),
      );
      assert.equal(new Set(numbers).size, numbers.length);
      for (let batch = 0; batch < batches; batch += 8) {
        const made = await postgres.sql(database, `SELECT n FROM tele.new_${sender}_${batch}`);
        assert.deepEqual(made, [[String(batch)]]);
      }
    }
  });
});
