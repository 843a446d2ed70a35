import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { createHealthRoutes, formatUptime, type Health } from '../../routes/health.ts';
import { createMetricsRoutes } from '../../routes/metrics.ts';
import { createSqlRoutes } from '../../routes/sql.ts';
import { GatewayError } from '../../src/errors.ts';
import type { SqlLimits, SqlReader } from '../../src/model/sql.ts';
import { unlessAborted } from '../../src/util/abort.ts';
import { createDeferred } from '../../src/util/deferred.ts';
import { openRaw, startServer, type TestServer } from '../helpers/http-server.ts';

describe('/health and /ready', () => {
  async function start(t: TestContext, health: Health, ready: boolean): Promise<TestServer> {
    return startServer(t, {
      routes: ({ app, clock }) => {
        app.register(
          createHealthRoutes({ health: () => health, ready: () => ready, version: '1.2.3', clock }),
        );
      },
    });
  }

  it('pass when all is well', async (t) => {
    const server = await start(t, { ok: true, message: 'ready for queries and writes', checks: [] }, true);
    const health = await fetch(`${server.url}/health`);
    assert.deepEqual(
      [health.status, await health.json()],
      [
        200,
        {
          name: 'sluice',
          message: 'ready for queries and writes',
          status: 'pass',
          checks: [],
          version: '1.2.3',
        },
      ],
    );
    await server.clock.advance(3_725_000);
    const ready = await fetch(`${server.url}/ready`);
    assert.deepEqual(
      [ready.status, await ready.json()],
      [200, { status: 'ready', started: '2026-01-01T00:00:00.000Z', up: '1h2m5s' }],
    );
    assert.equal((await fetch(`${server.url}/health`, { method: 'HEAD' })).status, 200);
  });

  it('answer 503 when not', async (t) => {
    const checks = [{ name: 'database', status: 'fail', message: 'down' }] as const;
    const server = await start(t, { ok: false, message: 'database is down', checks }, false);
    const health = await fetch(`${server.url}/health`);
    const body = (await health.json()) as { status: string; checks: unknown };
    assert.deepEqual([health.status, body.status, body.checks], [503, 'fail', checks]);
    const ready = await fetch(`${server.url}/ready`);
    assert.deepEqual([ready.status, ((await ready.json()) as { status: string }).status], [503, 'starting']);
  });

  it('print times up as Go does', () => {
    assert.deepEqual([0, 59_999, 60_000, 3_600_000].map(formatUptime), ['0s', '59s', '1m0s', '1h0m0s']);
  });
});

describe('/metrics', () => {
  it('answers what was rendered', async (t) => {
    const render = async (): Promise<{ contentType: string; body: string }> => ({
      contentType: 'text/plain; version=0.0.4',
      body: 'up 1\n',
    });
    const server = await startServer(t, {
      routes: ({ app }) => void app.register(createMetricsRoutes(render, async () => undefined)),
    });
    const reply = await fetch(`${server.url}/metrics`);
    assert.deepEqual(
      [reply.status, reply.headers.get('content-type'), await reply.text()],
      [200, 'text/plain; version=0.0.4', 'up 1\n'],
    );
  });

  it('hides why it could not be rendered', async (t) => {
    const server = await startServer(t, {
      routes: ({ app }) =>
        void app.register(
          createMetricsRoutes(
            () => Promise.reject(new Error('secret')),
            async () => undefined,
          ),
        ),
    });
    const reply = await fetch(`${server.url}/metrics`);
    assert.deepEqual([reply.status, await reply.json()], [500, { error: 'internal error' }]);
    assert.deepEqual(server.logs, ['error request failed']);
  });
});

describe('/v1/sql', () => {
  interface SqlServer {
    readonly server: TestServer;
    readonly asked: readonly (readonly [sql: string, database: string])[];
  }

  async function start(
    t: TestContext,
    fail?: unknown,
    drained?: (signal: AbortSignal) => Promise<void>,
  ): Promise<SqlServer> {
    const asked: [string, string][] = [];
    const reader: SqlReader = {
      query: async (sql: string, limits: SqlLimits) => {
        asked.push([sql, limits.database]);
        if (fail !== undefined) throw fail;
        const columns = [{ name: 'n', data_type: 'Int64' }];
        return { columns, rowsJson: '[[9007199254740993]]', rows: 1, truncated: false };
      },
    };
    const options = { database: 'public', maxRows: 10, timeoutMs: 1_000 };
    const server = await startServer(t, {
      routes: ({ app, closing, ...parts }) => {
        const deps = { ...parts, reader, drained, closing: closing.signal };
        app.register(createSqlRoutes(options, deps));
      },
    });
    return { server, asked };
  }

  it('reads what was acknowledged before', async (t) => {
    const drained = createDeferred<void>();
    const waiting = createDeferred<void>();
    const { server, asked } = await start(t, undefined, () => {
      waiting.resolve();
      return drained.promise;
    });
    const reply = fetch(`${server.url}/v1/sql?sql=select+1`);
    await waiting.promise;
    await server.clock.settle();
    assert.deepEqual(asked, []);
    drained.resolve();
    assert.equal((await reply).status, 200);
    assert.deepEqual(server.logs, []);
  });

  it('reads what there is when the database is too far behind, and says so in the log', async (t) => {
    const waiting = createDeferred<void>();
    const { server } = await start(t, undefined, (signal) => {
      waiting.resolve();
      return unlessAborted(new Promise<void>(() => undefined), signal);
    });
    const reply = fetch(`${server.url}/v1/sql?sql=select+1`);
    await waiting.promise;
    await server.clock.advance(1_000);
    assert.equal((await reply).status, 200);
    assert.deepEqual(server.logs, ['warn a query ran before all acknowledged rows were in the database']);
  });

  it('answers in the shape of GreptimeDB, integers in full', async (t) => {
    const { server, asked } = await start(t);
    const body = new URLSearchParams({ sql: 'select 1 + 1', db: 'x' });
    const reply = await fetch(`${server.url}/v1/sql`, { method: 'POST', body });
    assert.equal(
      await reply.text(),
      '{"output":[{"records":{"schema":{"column_schemas":[{"name":"n","data_type":"Int64"}]},' +
        '"rows":[[9007199254740993]],"total_rows":1}}],"execution_time_ms":0}',
    );
    assert.deepEqual([reply.status, asked], [200, [['select 1 + 1', 'x']]]);
  });

  it('takes statement and database from the address too', async (t) => {
    const { server, asked } = await start(t);
    await fetch(`${server.url}/v1/sql?sql=a+b%2Bc`);
    await fetch(`${server.url}/v1/sql?sql=d&db=y`, { method: 'POST' });
    assert.deepEqual(asked, [
      ['a b+c', 'public'],
      ['d', 'y'],
    ]);
  });

  const failures: readonly [unknown, number, number, string][] = [
    [new GatewayError('sql_invalid', 'no such table'), 400, 1004, 'no such table'],
    [new GatewayError('sql_timeout', 'too slow'), 408, 1008, 'too slow'],
    [new GatewayError('overload', 'too many queries'), 503, 6001, 'too many queries'],
    [new Error('secret'), 500, 1003, 'internal error'],
  ];
  for (const [failure, status, code, error] of failures) {
    it(`answers ${String(failure)} with ${status}`, async (t) => {
      const { server } = await start(t, failure);
      const reply = await fetch(`${server.url}/v1/sql?sql=x`);
      assert.deepEqual([reply.status, await reply.json()], [status, { code, error, execution_time_ms: 0 }]);
      assert.equal(reply.headers.get('x-greptime-err-code'), String(code));
      assert.equal(reply.headers.has('retry-after'), status === 503);
    });
  }

  it('wants a statement', async (t) => {
    const { server, asked } = await start(t);
    assert.equal((await fetch(`${server.url}/v1/sql`, { method: 'POST' })).status, 400);
    assert.deepEqual(asked, []);
  });
});

describe('the version of OpenTSDB', () => {
  it('is JSON, all strings, under /api', async (t) => {
    const server = await startServer(t);
    const body = (await (await fetch(`${server.url}/api/version`)).json()) as Record<string, unknown>;
    assert.equal(body['version'], '1.2.3');
    assert.equal(body['timestamp'], '1700000000');
    assert.ok(Object.values(body).every((value) => typeof value === 'string'));
  });

  it('is text, or JSON when the address ends so', async (t) => {
    const server = await startServer(t);
    assert.equal(
      await (await fetch(`${server.url}/version`)).text(),
      'net.opentsdb.tools 1.2.3 built at revision abc (MINT)\nBuilt on 2023-11-14T22:13:20.000Z by u@h:/r\n',
    );
    assert.equal(
      ((await (await fetch(`${server.url}/version?json`)).json()) as { version: string }).version,
      '1.2.3',
    );
  });
});

describe('other paths', () => {
  for (const path of ['/', '/%zz', '//api/put', `/${'x'.repeat(2_000)}`]) {
    it(`answer in JSON: ${path.slice(0, 20)}`, async (t) => {
      const server = await startServer(t);
      const client = await openRaw(t, server.port);
      client.socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      await client.waitFor('\r\n\r\n{"error":"');
      assert.match(client.received(), /^HTTP\/1\.1 40[04] /);
    });
  }
});
