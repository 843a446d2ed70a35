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

/** Nothing is kept on disk: what the database does not take is told to its sender. */
const NO_SPOOL = { SLUICE_SPOOL_ENABLED: 'false' };

async function start(t: TestContext, env: Readonly<Record<string, string>> = {}) {
  shared ??= startPostgres({ after: () => undefined });
  const postgres = await shared;
  const database = await postgres.createDatabase();
  const gateway = await startGateway(t, temporaryFolder(t), { ...environment(postgres, database), ...env });
  return { ...gateway, postgres, database, sql: (text: string) => postgres.sql(database, text) };
}

/** New tables are not to be held back for longer than a test needs once the server is there again. */
const IMPATIENT = { SLUICE_DDL_BREAKER_MS: '1s', SLUICE_DDL_TRANSIENT_MAX_MS: '1s' };

/** Waits until all that was acknowledged is in the database, none of it in the dead letter. */
async function nothingWaits({ url }: Gateway): Promise<void> {
  await eventually('nothing waits on disk', async () => (await metric(url, 'sluice_spool_rows')) === 0);
  assert.equal(await metric(url, 'sluice_dead_letter_files'), 0);
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
    const env = { ...environment(postgres, database), ...NO_SPOOL };
    const gateway = await startGateway(t, temporaryFolder(t), env);
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
    const env = { ...environment(postgres, database, role), ...NO_SPOOL, SLUICE_DDL_BREAKER_MS: '1s' };
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

describe('rows that PostgreSQL does not take at the moment', () => {
  for (const ack of ['database', 'log'] as const) {
    it(`wait on disk while the server is down, and come in order when it is back (ack: ${ack})`, async (t) => {
      const postgres = await startPostgres(t);
      const database = await postgres.createDatabase();
      const folder = temporaryFolder(t);
      const env = { ...environment(postgres, database), ...IMPATIENT, SLUICE_FLUSH_ACK: ack };
      let gateway = await startGateway(t, folder, env);
      const send = async (from: number, to: number): Promise<void> => {
        for (let n = from; n <= to; n++) {
          assert.equal((await write(gateway, `m n=${n}i 1\nm n=${n}i ${n + 1}`)).status, 204);
          assert.equal((await write(gateway, `new n=${n}i 1`)).status, 204);
        }
      };
      assert.equal((await write(gateway, 'm n=0i 1\nother n=0i 1')).status, 204);
      await postgres.stop();
      await send(1, 10);
      const refused = await write(gateway, 'm s="a\u0000" 1\nother n=1i 2');
      assert.equal(refused.status, 400, 'what can never be stored is not kept');
      assert.match(refused.text, /NUL character/);
      await gateway.stop('SIGKILL');
      gateway = await startGateway(t, folder, env);
      await send(11, 20);
      await postgres.start();
      await nothingWaits(gateway);
      const values = (table: string) =>
        postgres.sql(database, `SELECT n::int FROM tele.${table} ORDER BY time, time_ns`);
      const rows = (numbers: readonly number[]): number[][] => numbers.map((number) => [number]);
      assert.deepEqual(await values('m'), rows([20, ...Array.from({ length: 20 }, (_, i) => i + 1)]));
      assert.deepEqual([await values('new'), await values('other')], [rows([20]), rows([0, 1])]);
    });

    it(`are only those of a table that is locked for long (ack: ${ack})`, async (t) => {
      const gateway = await start(t, { ...IMPATIENT, SLUICE_FLUSH_ACK: ack });
      assert.equal((await write(gateway, 'locked n=0i 1\nfree n=0i 1')).status, 204);
      await eventually('both are there', async () => {
        const counts = await gateway.sql(
          "SELECT count(*)::int FROM pg_class WHERE relname IN ('locked', 'free') AND relkind = 'r'",
        );
        return counts[0]?.[0] === 2;
      });
      const session = await gateway.postgres.session(t, gateway.database);
      await session.query('BEGIN; LOCK TABLE tele.locked IN ACCESS EXCLUSIVE MODE');
      for (let n = 1; n <= 5; n++)
        assert.equal((await write(gateway, `locked n=${n}i 1\nfree n=${n}i ${n + 1}`)).status, 204);
      await eventually('the other table has its rows', async () => {
        const [row] = await gateway.sql('SELECT count(*)::int FROM tele.free');
        return row?.[0] === 6;
      });
      assert.ok((await metric(gateway.url, 'sluice_spool_rows')) > 0);
      assert.equal((await fetch(`${gateway.url}/health`)).status, 200);
      await session.query('COMMIT');
      await nothingWaits(gateway);
      assert.deepEqual(await gateway.sql('SELECT n::int FROM tele.locked'), [[5]]);
    });
  }
});

describe('kill -9 of PostgreSQL under load', () => {
  const ROUNDS = 3;
  const SENDERS = 4;
  const POINTS = 50;
  /** What is lost of, how the gateway is set, and what counts that it met the trouble. */
  const KINDS: readonly (readonly [string, Readonly<Record<string, string>>, string])[] = [
    ['', {}, 'sluice_spool_parked_rows_total'],
    [' of the log', { SLUICE_FLUSH_ACK: 'log' }, 'sluice_log_retries_total'],
    [' without a spool', NO_SPOOL, 'sluice_rows_deferred_total{reason="database_down"}'],
  ];

  for (const [kind, env, trouble] of KINDS) {
    it(`loses no acknowledged point${kind}, shows none twice, and keeps their order`, async (t) => {
      const postgres = await startPostgres(t, { fsync: 'on' });
      const database = await postgres.createDatabase();
      const gateway = await startGateway(t, temporaryFolder(t), {
        ...environment(postgres, database),
        ...IMPATIENT,
        ...env,
      });
      const acknowledged = Array.from({ length: SENDERS }, () => 0);
      const stop = new AbortController();
      let since = 0;
      let round = 0;
      const send = async (sender: number): Promise<void> => {
        while (!stop.signal.aborted) {
          const batch = acknowledged[sender] as number;
          const { status, text } = await write(gateway, linesOf(sender, batch, round));
          assert.ok(status === 204 || status === 503, text);
          if (status === 204) {
            acknowledged[sender] = batch + 1;
            since++;
          }
        }
      };
      const senders = acknowledged.map((_, sender) => send(sender));
      for (; round < ROUNDS; round++) {
        since = 0;
        await eventually('points are acknowledged', () => since > 20 + round * 7);
        await postgres.kill9();
        await postgres.start();
      }
      since = 0;
      await eventually('points are acknowledged', () => since > 20);
      stop.abort();
      await Promise.all(senders);
      await nothingWaits(gateway);
      assert.ok((await metric(gateway.url, trouble)) > 0, trouble);
      await check(postgres, database, acknowledged);
    });
  }

  function linesOf(sender: number, batch: number, round: number): string {
    const lines = Array.from({ length: POINTS }, (_, i) => {
      const n = batch * POINTS + i;
      return `m,sender=s${sender} n=${n}i ${n}`;
    });
    lines.push(`last,sender=s${sender} n=${batch}i 1`, `new_${sender}_${round} n=${batch}i ${batch}`);
    return lines.join('\n');
  }

  async function check(postgres: Postgres, database: string, acknowledged: readonly number[]): Promise<void> {
    const rows = await postgres.sql(database, 'SELECT sender, n FROM tele.m ORDER BY sender, n');
    const last = new Map(
      (await postgres.sql(database, 'SELECT sender, n::int FROM tele.last')) as [string, number][],
    );
    for (const [sender, batches] of acknowledged.entries()) {
      const numbers = rows.filter(([name]) => name === `s${sender}`).map(([, n]) => Number(n));
      assert.deepEqual(
        numbers.slice(0, batches * POINTS),
        Array.from({ length: batches * POINTS }, (_, n) => n),
      );
      assert.equal(new Set(numbers).size, numbers.length);
      // The one after it may be there without an acknowledgement.
      const newest = last.get(`s${sender}`);
      assert.ok(newest === batches - 1 || newest === batches, `${newest} after ${batches} batches`);
      const made = new Set<unknown>();
      for (let round = 0; round <= ROUNDS; round++) {
        const found = await postgres.sql(database, `SELECT n::int FROM tele.new_${sender}_${round}`);
        for (const [n] of found) made.add(n);
      }
      for (let batch = 0; batch < batches; batch++) assert.ok(made.has(batch), `batch ${batch}`);
    }
  }
});
