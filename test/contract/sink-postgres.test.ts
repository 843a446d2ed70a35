/** The sink's contract over a real PostgreSQL. All tests share a server; each has a database. */
import { after, type TestContext } from 'node:test';
import { type Postgres, startPostgres } from '../helpers/postgres.ts';
import { openTestPostgres, postgresOptions, readTable } from '../helpers/postgres-rig.ts';
import { startTcpProxy } from '../helpers/tcp-proxy.ts';
import { type StoringSink, sinkSuite, storageSuite } from './sink-suite.ts';
import { randomSuite } from './sink-suite-random.ts';
import { type RemoteSink, remoteSuite } from './sink-suite-remote.ts';
import { wideSuite } from './sink-suite-wide.ts';

let shared: Promise<Postgres> | undefined;
after(async () => (await shared)?.close());

async function openShared() {
  shared ??= startPostgres({ after: () => undefined });
  const postgres = await shared;
  return { postgres, database: await postgres.createDatabase() };
}

async function open(t: TestContext): Promise<StoringSink> {
  const { postgres, database } = await openShared();
  const sink = await openTestPostgres(t, postgresOptions(postgres, database));
  return { sink, read: (id, columns) => readTable(postgres, database, id, columns) };
}

async function openRemote(t: TestContext): Promise<RemoteSink> {
  const { postgres, database } = await openShared();
  const proxy = await startTcpProxy(t, postgres.port);
  const sink = await openTestPostgres(t, postgresOptions(proxy, database, { connectTimeoutMs: 500 }));
  return { sink, proxy, read: (id, columns) => readTable(postgres, database, id, columns) };
}

sinkSuite('postgres', open);
storageSuite('postgres', open);
wideSuite('postgres', open);
randomSuite('postgres', open);
remoteSuite('postgres', openRemote);
