/**
 * Real clients with only their address changed, a real PostgreSQL behind the gateway: what each was told is stored is
 * compared with what is in the database after a slow create, a refused create and a database that dies.
 */
import assert from 'node:assert/strict';
import { after, describe, it, type TestContext } from 'node:test';
import { metric, startGateway, temporaryFolder } from '../helpers/gateway.ts';
import { type Postgres, startPostgres } from '../helpers/postgres.ts';
import { eventually } from '../helpers/wait.ts';
import { WRITE_CLIENTS, type WriteClient } from '../helpers/write-clients.ts';

let shared: Promise<Postgres> | undefined;
after(async () => (await shared)?.close());

/** Makes every CREATE TABLE wait for whoever holds the lock 7. */
const HOLD = `CREATE FUNCTION public.hold() RETURNS event_trigger LANGUAGE plpgsql
    AS 'BEGIN PERFORM pg_advisory_xact_lock_shared(7); END';
  CREATE EVENT TRIGGER hold ON ddl_command_start WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION public.hold()`;

/** A gateway whose role owns nothing but what it creates, and which the client has written the table `known` through. */
async function start(t: TestContext, client: WriteClient) {
  shared ??= startPostgres({ after: () => undefined });
  const postgres = await shared;
  const database = await postgres.createDatabase();
  const role = `writer_${database}`;
  const sql = (text: string) => postgres.sql(database, text);
  await sql(
    `CREATE ROLE ${role} LOGIN; CREATE SCHEMA public; GRANT USAGE, CREATE ON SCHEMA public TO ${role}`,
  );
  const folder = temporaryFolder(t);
  const gateway = await startGateway(t, folder, {
    SLUICE_SINK_KIND: 'postgres',
    SLUICE_POSTGRES_PORT: String(postgres.port),
    SLUICE_POSTGRES_DATABASE: database,
    SLUICE_POSTGRES_USER: role,
    SLUICE_GUARD_WAIT_MS: '100ms',
    SLUICE_DDL_BREAKER_MS: '1s',
    SLUICE_DDL_TRANSIENT_MAX_MS: '1s',
  });
  const write = (table: string, second: number) =>
    client.write({ url: gateway.url, port: gateway.port, folder }, { table, second });
  /** What is in the table, or undefined when there is none. */
  const stored = async (table: string): Promise<unknown> => {
    const [row] = await sql(`SELECT to_regclass('public.${table}') IS NOT NULL`);
    if (row?.[0] !== true) return undefined;
    const rows = await sql(`SELECT value, extract(epoch FROM time)::int, host FROM ${table} ORDER BY time`);
    return rows.map(([value, second, host]) => {
      assert.deepEqual([value, host], [second, 'a']);
      return second;
    });
  };
  /** Waits until the table has just these, and nothing waits or was given up. */
  const recovered = async (table: string, seconds: readonly number[]): Promise<void> => {
    await eventually(`all rows of ${table}`, async () => {
      const waiting = await metric(gateway.url, 'sluice_spool_rows');
      return waiting === 0 && JSON.stringify(await stored(table)) === JSON.stringify(seconds);
    });
    assert.equal(await metric(gateway.url, 'sluice_dead_letter_files'), 0);
  };
  await write('known', 1);
  assert.deepEqual(await stored('known'), [1]);
  return { postgres, database, role, sql, write, stored, recovered };
}

for (const client of WRITE_CLIENTS) {
  describe(client.name, { skip: client.skip }, () => {
    it('is answered while its table is being created, and its points of other tables are stored at once', async (t) => {
      const { postgres, database, sql, write, stored, recovered } = await start(t, client);
      await sql(HOLD);
      const holder = await postgres.session(t, database);
      await holder.query('SELECT pg_advisory_lock(7)');
      const slow = write('slow', 2);
      const waiters = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
      await eventually('a create is under way', async () => (await sql(waiters)).length > 0);
      await write('known', 2);
      assert.deepEqual(await stored('known'), [1, 2]);
      await slow;
      assert.equal(await stored('slow'), undefined);
      await holder.query('SELECT pg_advisory_unlock(7)');
      await recovered('slow', [2]);
    });

    it('keeps nothing back while a create is refused, and loses nothing of the refused table', async (t) => {
      const { role, sql, write, stored, recovered } = await start(t, client);
      await sql(`REVOKE CREATE ON SCHEMA public FROM ${role}`);
      await write('refused', 2);
      await write('known', 2);
      await write('refused', 3);
      assert.deepEqual(await stored('known'), [1, 2]);
      assert.equal(await stored('refused'), undefined);
      await sql(`GRANT CREATE ON SCHEMA public TO ${role}`);
      await recovered('refused', [2, 3]);
    });

    it('loses nothing that was acknowledged while the database was dead', async (t) => {
      const { postgres, write, recovered } = await start(t, client);
      await postgres.kill9();
      try {
        await write('known', 2);
        await write('fresh', 2);
        await write('known', 3);
      } finally {
        await postgres.start();
      }
      await write('known', 4);
      await recovered('known', [1, 2, 3, 4]);
      await recovered('fresh', [2]);
    });
  });
}
