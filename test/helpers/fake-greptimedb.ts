/**
 * A server that speaks the part of GreptimeDB's HTTP interface that the gateway uses: /health, /status, /v1/sql for the
 * statements it issues, /v1/influxdb/write; with its codes, headers and faults. It refuses whatever it does not know,
 * and a write that could create tables.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import type { Cleanup } from './etcd.ts';
import { readStatement } from './fake-greptimedb-sql.ts';
import { FakeRefusal, FakeStore } from './fake-greptimedb-store.ts';

/** What it does instead of its work, or after it. */
export type FakeFault =
  | {
      readonly kind: 'refuse';
      readonly status: number;
      readonly code?: number;
      readonly error: string;
      /** Only writes whose lines hold this text. */
      readonly only?: string;
    }
  /** Nothing is answered. */
  | { readonly kind: 'silent' }
  /** It does its work, then ends the connection. */
  | { readonly kind: 'reset' };

/** Faults as GreptimeDB has them. */
export const FAKE_FAULTS = {
  poolFull: { kind: 'refuse', status: 500, code: 1_006, error: 'Too many running procedures, max: 128' },
  storageUnavailable: {
    kind: 'refuse',
    status: 503,
    code: 5_000,
    error: 'etcdserver: mvcc: database space exceeded',
  },
  forbidden: { kind: 'refuse', status: 403, code: 7_005, error: 'Access denied for user' },
  rateLimited: { kind: 'refuse', status: 429, code: 6_001, error: 'Rate limit' },
  deadline: { kind: 'refuse', status: 504, code: 1_008, error: 'Deadline exceeded' },
  gateway: { kind: 'refuse', status: 502, error: '<html>Bad Gateway</html>' },
  silent: { kind: 'silent' },
  reset: { kind: 'reset' },
} as const satisfies Record<string, FakeFault>;

/** A running fake. */
export interface FakeGreptimeDb {
  readonly port: number;
  readonly url: string;
  readonly store: FakeStore;
  /** Statements that were to change something, in order, refused ones too. */
  readonly ddl: readonly string[];
  /** Bodies of writes that were stored. */
  readonly writes: readonly string[];
  readonly faults: {
    ddl?: FakeFault | undefined;
    sql?: FakeFault | undefined;
    write?: FakeFault | undefined;
  };
  /** `user:password` it wants; undefined: none. */
  login: string | undefined;
  version: string;
  procedures: number;
  close(): Promise<void>;
}

/** Starts one on a free port, or on `port`; it is closed when the test ends. */
export async function startFakeGreptimeDb(cleanup: Cleanup, port = 0): Promise<FakeGreptimeDb> {
  const ddl: string[] = [];
  const writes: string[] = [];
  const server = createServer((request, response) => void answer(fake, { ddl, writes }, request, response));
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const close = async (): Promise<void> => {
    if (!server.listening) return;
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  };
  cleanup.after(close);
  const bound = (server.address() as AddressInfo).port;
  const fake: FakeGreptimeDb = {
    port: bound,
    url: `http://127.0.0.1:${bound}`,
    store: new FakeStore(),
    ddl,
    writes,
    faults: {},
    login: undefined,
    version: '0.13.0',
    procedures: 0,
    close,
  };
  return fake;
}

interface Journal {
  readonly ddl: string[];
  readonly writes: string[];
}

async function answer(
  fake: FakeGreptimeDb,
  journal: Journal,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const url = new URL(request.url ?? '', fake.url);
  try {
    if (url.pathname === '/health') return void response.end('{}');
    if (url.pathname === '/status') return void response.end(JSON.stringify({ version: fake.version }));
    login(fake, request);
    if (url.pathname === '/v1/sql') return sql(fake, journal, new URLSearchParams(body.toString()), response);
    if (url.pathname === '/v1/influxdb/write') return write(fake, journal, { request, url, body }, response);
    response.writeHead(404).end();
  } catch (error) {
    refuse(response, error);
  }
}

function login({ login: wanted }: FakeGreptimeDb, { headers }: IncomingMessage): void {
  if (wanted === undefined) return;
  if (headers.authorization === undefined)
    throw new FakeRefusal(7_003, 'Not found http or grpc authorization header');
  if (headers.authorization !== `Basic ${Buffer.from(wanted).toString('base64')}`)
    throw new FakeRefusal(7_002, 'User password mismatch');
}

function sql(fake: FakeGreptimeDb, journal: Journal, form: URLSearchParams, response: ServerResponse): void {
  const text = form.get('sql') ?? '';
  const changes = !text.startsWith('SELECT');
  if (changes) journal.ddl.push(text);
  perform(changes ? fake.faults.ddl : fake.faults.sql, response, () => {
    const statement = readSql(text);
    const rows = statement.kind === 'procedures' ? [[fake.procedures]] : fake.store.run(statement);
    const output = rows === undefined ? { affectedrows: 0 } : { records: { rows, total_rows: rows.length } };
    response.setHeader('content-type', 'application/json');
    return () => response.end(JSON.stringify({ output: [output], execution_time_ms: 1 }));
  });
}

function readSql(text: string): ReturnType<typeof readStatement> {
  try {
    return readStatement(text);
  } catch (error) {
    throw new FakeRefusal(2_000, `Invalid SQL: ${String(error)}`);
  }
}

function write(
  fake: FakeGreptimeDb,
  journal: Journal,
  { request, url, body }: { request: IncomingMessage; url: URL; body: Buffer },
  response: ServerResponse,
): void {
  const { headers } = request;
  if (headers['x-greptime-hints'] !== 'auto_create_table=false' || headers['content-encoding'] !== 'gzip')
    throw new FakeRefusal(1_004, 'a write without the hint, or not compressed');
  const lines = gunzipSync(body);
  const { write: fault } = fake.faults;
  const spared = fault?.kind === 'refuse' && fault.only !== undefined && !lines.includes(fault.only);
  perform(spared ? undefined : fault, response, () => {
    // `catalog-schema`; newer versions fold the case.
    const database = (url.searchParams.get('db') ?? '').replace(/^greptime-/, '').toLowerCase();
    fake.store.write(database, url.searchParams.get('precision') ?? '', lines);
    journal.writes.push(lines.toString());
    return () => response.writeHead(204).end();
  });
}

/** Does the work and sends its answer, or what the fault makes of it. */
function perform(fault: FakeFault | undefined, response: ServerResponse, work: () => () => unknown): void {
  if (fault?.kind === 'silent') return;
  if (fault?.kind === 'refuse') return refuse(response, fault);
  const send = work();
  if (fault?.kind === 'reset') response.destroy();
  else send();
}

function refuse(response: ServerResponse, reason: unknown): void {
  if (reason instanceof FakeRefusal) {
    const status = reason.code >= 7_000 ? 401 : 400;
    return refuse(response, { kind: 'refuse', status, code: reason.code, error: reason.message });
  }
  const { status = 500, code, error = String(reason) } = reason as Partial<FakeFault & { kind: 'refuse' }>;
  if (code === undefined) return void response.writeHead(status).end(error);
  response.writeHead(status, { 'x-greptime-err-code': String(code), 'content-type': 'application/json' });
  response.end(JSON.stringify({ code, error, execution_time_ms: 0 }));
}
