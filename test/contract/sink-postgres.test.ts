/** The sink's contract over a real PostgreSQL. All tests share a server; each has a database. */
import { after, type TestContext } from 'node:test';
import { type Postgres, startPostgres } from '../helpers/postgres.ts';
import { openTestPostgres, postgresOptions, readTable } from '../helpers/postgres-rig.ts';
import { type StoringSink, sinkSuite, storageSuite } from './sink-suite.ts';
import { wideSuite } from './sink-suite-wide.ts';

let shared: Promise<Postgres> | undefined;
after(async () => (await shared)?.close());

async function open(t: TestContext): Promise<StoringSink> {
  shared ??= startPostgres({ after: () => undefined });
  const postgres = await shared;
  const database = await postgres.createDatabase();
  const sink = await openTestPostgres(t, postgresOptions(postgres, database));
  return { sink, read: (id, columns) => readTable(postgres, database, id, columns) };
}

sinkSuite('postgres', open);
storageSuite('postgres', open);
wideSuite('postgres', open);
