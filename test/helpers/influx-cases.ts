/**
 * Tables of requests to InfluxDB's endpoints on a real gateway: status, answer, and what is in the database afterwards.
 * `$m` in a body is a measurement of the case's own.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { type Gateway, post, query } from './gateway.ts';

/** One request and what must follow. */
export interface InfluxCase {
  readonly name: string;
  readonly path: string;
  readonly method?: string;
  readonly body?: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  readonly status: number;
  /** The whole text of the answer, or a pattern of it; undefined: it is empty. `$m` as in the body. */
  readonly answer?: string | RegExp;
  /** Rows of `$m`, as JSON; undefined: there is no such table. */
  readonly stored?: string;
  /** Columns of `stored`; undefined: `v`. `ns(time)` is the time in nanoseconds. */
  readonly select?: string;
  /** Database that holds them; undefined: `d`. */
  readonly database?: string;
  /** Headers of the answer. */
  readonly replies?: Readonly<Record<string, string | null>>;
}

/** Runs each case as a test of its own below `t`, once there is database `d`; `prefix` begins the names of their measurements. */
export async function testInfluxCases(
  t: TestContext,
  { url }: Gateway,
  prefix: string,
  cases: readonly InfluxCase[],
): Promise<void> {
  await post(`${url}/write?db=d`, 'seed v=1 1');
  for (const [index, c] of cases.entries()) {
    await t.test(c.name, async () => {
      const table = `${prefix}${index}`;
      const own = (text: string): string => text.replaceAll('$m', table);
      const response = await fetch(url + c.path, {
        method: c.method ?? 'POST',
        ...(c.body === undefined ? {} : { body: typeof c.body === 'string' ? own(c.body) : c.body }),
        ...(c.headers === undefined ? {} : { headers: c.headers }),
      });
      const text = await response.text();
      assert.equal(response.status, c.status, text);
      if (c.answer instanceof RegExp) assert.match(text, c.answer);
      else assert.equal(text, own(c.answer ?? ''));
      for (const [name, value] of Object.entries(c.replies ?? {})) {
        assert.equal(response.headers.get(name), value, name);
      }
      assert.equal(response.headers.get('x-influxdb-version'), '1.8.10');
      assert.equal(response.headers.get('x-influxdb-build'), 'OSS');
      assert.match(response.headers.get('request-id') ?? '', /^[ -~]+$/);
      await assertStored(url, table, c);
    });
  }
}

async function assertStored(url: string, table: string, c: InfluxCase): Promise<void> {
  const { select = 'v', database = 'd' } = c;
  const there = `SELECT table_schema FROM information_schema.tables WHERE table_name = '${table}'`;
  assert.equal(await query(url, there, 'd'), c.stored === undefined ? '[]' : JSON.stringify([[database]]));
  if (c.stored === undefined) return;
  const columns = select.replaceAll('ns(time)', 'epoch_ns(time)');
  assert.equal(await query(url, `SELECT ${columns} FROM "${table}" ORDER BY time`, database), c.stored);
}
