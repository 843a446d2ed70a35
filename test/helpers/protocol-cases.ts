/** Cases of a protocol as data: a request, its answer, and what is in the database afterwards. */
import assert from 'node:assert/strict';
import { query } from './gateway.ts';

/** One request. `METRIC` in path and body stands for a name that no other case has. */
export interface ProtocolCase {
  readonly name: string;
  /** POST when left out. */
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Makes what is sent: bytes with a length, or a stream without. */
  readonly encode?: (body: string) => Uint8Array<ArrayBuffer> | ReadableStream;
  readonly status: number;
  /** The answer: JSON, a pattern of its text, or undefined for none; left out: not looked at. */
  readonly answer?: unknown;
  /** The rows of `METRIC`, as JSON; left out: there is no such table. */
  readonly stored?: string;
  /** Columns to read; `value` when left out. */
  readonly columns?: string;
  /** Where to look; `public` when left out. */
  readonly database?: string;
}

/** Sends the request and checks all of it; `metric` stands in for `METRIC`. */
export async function checkCase(url: string, c: ProtocolCase, metric: string): Promise<void> {
  const named = (text: string): string => text.replaceAll('METRIC', metric);
  const body = c.body === undefined ? undefined : named(c.body);
  const response = await fetch(url + named(c.path), {
    method: c.method ?? 'POST',
    ...(c.headers === undefined ? {} : { headers: c.headers }),
    ...(body === undefined ? {} : { body: c.encode?.(body) ?? body, duplex: 'half' as const }),
  });
  const text = await response.text();
  assert.equal(response.status, c.status, text);
  if (c.answer instanceof RegExp) assert.match(text, c.answer);
  else if ('answer' in c)
    assert.deepEqual(text === '' ? undefined : JSON.parse(text), withNames(c.answer, named));
  const database = c.database ?? 'public';
  if (c.stored !== undefined) {
    const sql = `SELECT ${c.columns ?? 'value'} FROM "${metric}" ORDER BY ALL`;
    assert.equal(await query(url, sql, database), c.stored);
    return;
  }
  const tables = `SELECT count(*) FROM information_schema.tables WHERE table_name = '${metric}'`;
  assert.equal(await query(url, tables), '[[0]]');
}

function withNames(answer: unknown, named: (text: string) => string): unknown {
  return answer === undefined ? undefined : (JSON.parse(named(JSON.stringify(answer))) as unknown);
}
