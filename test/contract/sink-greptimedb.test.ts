/**
 * The sink's contract over the fake GreptimeDB, and over a real one where GREPTIMEDB_URL names one, all of which is
 * erased. docs/databases.md says what is proven by which.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { createServer } from 'node:tls';
import { WriteError } from '../../src/model/sink.ts';
import { type GreptimeDbOptions, openGreptimeDb } from '../../src/sink/greptimedb/open.ts';
import { createSystemClock } from '../../src/util/clock.ts';
import { createCertificates } from '../helpers/certificates.ts';
import { FAKE_FAULTS, startFakeGreptimeDb } from '../helpers/fake-greptimedb.ts';
import { temporaryFolder } from '../helpers/gateway.ts';
import { createTestSource } from '../helpers/points.ts';
import { createReader, eraseGreptimeDb, REAL_GREPTIMEDB_URL } from '../helpers/real-greptimedb.ts';
import { startTcpProxy } from '../helpers/tcp-proxy.ts';
import { type StoringSink, sinkSuite, storageSuite } from './sink-suite.ts';
import { randomSuite } from './sink-suite-random.ts';
import { type RemoteSink, remoteSuite } from './sink-suite-remote.ts';
import { wideSuite } from './sink-suite-wide.ts';

const SILENT = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
const { signal } = new AbortController();

const OPTIONS: Omit<GreptimeDbOptions, 'url'> = {
  user: '',
  password: '',
  caFile: '',
  columnPrefix: 'greptime',
  poolSize: 4,
  requestTimeoutMs: 20_000,
  requestBytes: 65_536,
};

async function openAt(t: TestContext, port: number, more: Partial<GreptimeDbOptions> = {}) {
  const sink = await openGreptimeDb(
    { ...OPTIONS, url: `http://127.0.0.1:${port}`, ...more },
    { logger: SILENT, clock: createSystemClock() },
  );
  t.after(() => sink.close());
  return sink;
}

async function open(
  t: TestContext,
): Promise<StoringSink & { fake: Awaited<ReturnType<typeof startFakeGreptimeDb>> }> {
  const fake = await startFakeGreptimeDb(t);
  const sink = await openAt(t, fake.port);
  const read: StoringSink['read'] = ({ database, table }, columns) =>
    Promise.resolve(fake.store.read(database, table, columns));
  return { sink, fake, read };
}

async function openRemote(t: TestContext): Promise<RemoteSink> {
  const { fake, read } = await open(t);
  const proxy = await startTcpProxy(t, fake.port);
  return { sink: await openAt(t, proxy.port), proxy, read };
}

const NAMES = {
  tables: ['_a', ':a', '-a', 'a.b', 'a@b#c', 'select', '__proto__', 'constructor', 'main', 'n'.repeat(1_000)],
  columns: [
    'a"b',
    "a'b; DROP TABLE x; --",
    '__proto__',
    'select',
    ' blanks ',
    'größe/温度 ☃ 😀',
    '1e5',
    'a\\b',
    'a,b=c',
  ],
  cased: ['cpu', 'CPU', 'Cpu'],
  databases: ['a', 'a-b', 'b', 'main', 'temp', '_sluice'],
};

sinkSuite('greptimedb', open);
storageSuite('greptimedb', open, NAMES);
wideSuite('greptimedb', open);
randomSuite('greptimedb', open);
remoteSuite('greptimedb', openRemote);

/** Opens the real one, emptied. */
async function openReal(t: TestContext): Promise<StoringSink> {
  const url = REAL_GREPTIMEDB_URL ?? '';
  await eraseGreptimeDb(url);
  return { sink: await openAt(t, 0, { url }), read: createReader(url) };
}

if (REAL_GREPTIMEDB_URL === undefined) {
  it('greptimedb: over a real server', { skip: 'GREPTIMEDB_URL is not set' }, () => undefined);
} else {
  sinkSuite('real greptimedb', openReal);
  storageSuite('real greptimedb', openReal, NAMES);
  wideSuite('real greptimedb', openReal);
  randomSuite('real greptimedb', openReal);
}

const ID = { database: 'public', table: 'm' };
const VALUE = { name: 'greptime_value', kind: 'field', type: 'float64' } as const;
const HOSTS = [
  { name: 'z', kind: 'tag', type: 'string' },
  { name: 'host', kind: 'tag', type: 'string' },
  VALUE,
] as const;

describe('greptimedb: what is its own', () => {
  it('makes the tables that auto-create would make', async (t) => {
    const { sink, fake } = await open(t);
    await sink.ddl.createTable({ id: ID, source: 'opentsdb', columns: HOSTS }, signal);
    await sink.ddl.createTable({ id: { ...ID, table: 'i' }, source: 'influx', columns: [VALUE] }, signal);
    await sink.ddl.addColumns(ID, [{ name: 'dc', kind: 'tag', type: 'string' }], signal);
    assert.deepEqual(fake.ddl, [
      'CREATE TABLE IF NOT EXISTS "public"."m" ("z" STRING NULL, "host" STRING NULL, "greptime_value" DOUBLE NULL, ' +
        '"greptime_timestamp" TIMESTAMP(3) NOT NULL, TIME INDEX ("greptime_timestamp"), PRIMARY KEY ("host", "z")) ' +
        'ENGINE=mito',
      'CREATE TABLE IF NOT EXISTS "public"."i" ("greptime_value" DOUBLE NULL, "greptime_timestamp" TIMESTAMP(9) ' +
        `NOT NULL, TIME INDEX ("greptime_timestamp")) ENGINE=mito WITH ('merge_mode'='last_non_null')`,
      'ALTER TABLE "public"."m" ADD COLUMN IF NOT EXISTS "dc" STRING NULL PRIMARY KEY',
    ]);
  });

  it('splits what is too large for one request, and stores all of it', async (t) => {
    const { fake, read } = await open(t);
    const sink = await openAt(t, fake.port, { requestBytes: 4_096 });
    await sink.ddl.createTable({ id: ID, source: 'influx', columns: [VALUE] }, signal);
    const points = Array.from({ length: 2_000 }, (_, i) => ({
      table: 'm',
      timeNs: BigInt(i),
      fields: [['greptime_value', ['float64', i]]] as const,
    }));
    await sink.writer.write([createTestSource('public').batch(points)], signal);
    assert.deepEqual(
      [fake.writes.length > 5, fake.writes.every((body) => body.length < 5_000)],
      [true, true],
      fake.writes.map((body) => body.length).join(),
    );
    assert.deepEqual(
      await read(ID, ['greptime_value']),
      points.map(({ timeNs }, i) => [timeNs, i]),
    );
  });

  it('speaks TLS to a server whose authority is given, and says so when it is another', async (t) => {
    const folder = temporaryFolder(t);
    const { caFile, strangerCaFile, serverCertFile, serverKeyFile } = createCertificates(folder);
    const fake = await startFakeGreptimeDb(t);
    const front = createServer(
      { cert: readFileSync(serverCertFile), key: readFileSync(serverKeyFile) },
      (socket) => {
        const behind = connect(fake.port, '127.0.0.1');
        socket.on('error', () => behind.destroy()).pipe(behind);
        behind.on('error', () => socket.destroy()).pipe(socket);
      },
    );
    front.listen(0, '127.0.0.1');
    await once(front, 'listening');
    t.after(() => void front.close());
    const url = `https://127.0.0.1:${(front.address() as AddressInfo).port}`;
    const sink = await openAt(t, 0, { url, caFile });
    assert.deepEqual(await sink.ddl.createDatabase('tls', signal), { kind: 'done' });
    assert.ok(fake.ddl.some((statement) => statement.includes('"tls"')));
    await assert.rejects(openAt(t, 0, { url, caFile: strangerCaFile }), /greptimedb\.caFile/);
  });

  it('writes milliseconds to tables that have them, and refuses times that are finer', async (t) => {
    const { sink, fake } = await open(t);
    await sink.ddl.createTable({ id: ID, source: 'opentsdb', columns: [VALUE] }, signal);
    await sink.ddl.describe([ID], signal);
    const times = [1_700_000_000_001_000_000n, -1_000_000n, 1n];
    const batch = createTestSource('public').batch(
      times.map((timeNs) => ({ table: 'm', timeNs, fields: [['greptime_value', ['float64', 1]]] as const })),
    );
    const refused: number[] = [];
    sink.values?.checkRows(batch, (row) => {
      refused.push(row);
      batch.skipRow(row);
    });
    assert.deepEqual(refused, [2]);
    await sink.writer.write([batch], signal);
    assert.deepEqual(fake.writes, ['m greptime_value=1 1700000000001\nm greptime_value=1 -1\n']);
  });

  it('refuses tag values that line protocol can not spell for every reader', async (t) => {
    const { sink } = await open(t);
    const values = ['C:\\x', 'a\\', 'a\nb', '\\,', 'a,b= c'];
    const batch = createTestSource('public').batch(
      values.map((host) => ({ table: 'm', tags: { host }, fields: [['v', ['bool', true]]] as const })),
    );
    const refused: number[] = [];
    sink.values?.checkRows(batch, (row) => refused.push(row));
    assert.deepEqual(refused, [1, 2, 3]);
  });

  it('refuses names that GreptimeDB would refuse or merge', async (t) => {
    const { sink } = await open(t);
    for (const table of ['', '1a', '.a', 'a/b', 'a b', 'größe', 'a~', 'a\n'])
      assert.notEqual(sink.names.checkTable({ database: 'public', table }), undefined, table);
    for (const database of ['', 'A', 'information_schema', 'pg_catalog', '1', 'a/b'])
      assert.notEqual(sink.names.checkDatabase(database), undefined, database);
    assert.notEqual(sink.names.checkColumn({ ...VALUE, name: 'greptime_timestamp' }), undefined);
  });

  it('finds the one table that a request was refused for, where the catalog shows nothing', async (t) => {
    const { sink, fake } = await open(t);
    const names = ['a', 'bad', 'c'];
    for (const table of names)
      await sink.ddl.createTable({ id: { ...ID, table }, source: 'influx', columns: [VALUE] }, signal);
    fake.faults.write = { kind: 'refuse', status: 400, code: 1_004, error: 'some rule', only: 'bad ' };
    const batch = createTestSource('public').batch(
      names.map((table) => ({ table, fields: [['greptime_value', ['float64', 1]]] as const })),
    );
    const failure = await sink.writer.write([batch], signal).catch((error: unknown) => error);
    assert.ok(failure instanceof WriteError);
    assert.deepEqual(failure.failure, {
      kind: 'transient',
      code: '1004',
      message: 'some rule',
      tables: [{ ...ID, table: 'bad' }],
    });
  });

  const causes = [
    ['poolFull', 'denied', 'transient'],
    ['storageUnavailable', 'denied', 'transient'],
    ['forbidden', 'denied', 'denied'],
    ['rateLimited', 'transient', 'transient'],
    ['gateway', 'transient', 'transient'],
    ['deadline', 'ambiguous', 'ambiguous'],
    ['reset', 'ambiguous', 'ambiguous'],
  ] as const;
  for (const [fault, ddl, write] of causes) {
    it(`takes ${fault} for ${ddl} at a create and ${write} at a write`, async (t) => {
      const { sink, fake } = await open(t);
      await sink.ddl.createTable({ id: ID, source: 'opentsdb', columns: [VALUE] }, signal);
      const batch = createTestSource('public').batch([
        { table: 'm', fields: [['greptime_value', ['float64', 1]]] },
      ]);
      await sink.writer.write([batch], signal);
      fake.faults.ddl = fake.faults.write = FAKE_FAULTS[fault];
      const other = { id: { ...ID, table: 'other' }, source: 'opentsdb', columns: [VALUE] } as const;
      const result = await sink.ddl.createTable(other, signal);
      assert.equal(result.kind, ddl);
      assert.equal('everywhere' in result, ddl === 'denied');
      const failure = await sink.writer.write([batch], signal).catch((error: unknown) => error);
      assert.ok(failure instanceof WriteError);
      assert.equal(failure.failure.kind, write);
    });
  }

  it('says at the start what is wrong with address, credentials and version', async (t) => {
    const fake = await startFakeGreptimeDb(t);
    fake.login = 'me:right';
    await assert.rejects(openAt(t, fake.port), /asks for a user .*set greptimedb\.user/);
    await assert.rejects(
      openAt(t, fake.port, { user: 'me', password: 'wrong' }),
      /refuses user me .*greptimedb\.password/,
    );
    fake.version = '0.9.5';
    await assert.rejects(
      openAt(t, fake.port, { user: 'me', password: 'right' }),
      /version 0\.9\.5; 0\.13 or later/,
    );
    await assert.rejects(
      openAt(t, fake.port, { url: 'http://nowhere.invalid:4000' }),
      /no such host: check greptimedb\.url/,
    );
    fake.version = '0.13.1';
    await openAt(t, fake.port, { user: 'me', password: 'right' });
  });

  it('counts the procedures that run', async (t) => {
    const { sink, fake } = await open(t);
    fake.procedures = 77;
    assert.equal(await sink.backlog?.(signal), 77);
  });
});
