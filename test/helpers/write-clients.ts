/**
 * Clients as their users install them, with nothing set but the gateway's address: InfluxDB's shell of Debian, curl
 * called as the documentation of each protocol shows, and the libraries of npm. Each writes one point and tells whether
 * it was acknowledged, as far as the client lets its user know.
 */
import { execFile, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { InfluxDB as InfluxDB2, Point } from '@influxdata/influxdb-client';
import { InfluxDB } from 'influx';

const run = promisify(execFile);

/** Where a client finds the gateway, and a folder for its files. */
export interface ClientTarget {
  readonly url: string;
  readonly port: number;
  readonly folder: string;
}

/** One point: database `public`, tag `host=a`, field `value`, time in whole seconds; the value is the time. */
export interface ClientPoint {
  readonly table: string;
  readonly second: number;
}

/** A client. */
export interface WriteClient {
  readonly name: string;
  /** Why it can't be run here, or false. */
  readonly skip: string | false;
  /** Writes the point. @throws when the client says that it was not acknowledged */
  write(target: ClientTarget, point: ClientPoint): Promise<void>;
}

const line = ({ table, second }: ClientPoint): string => `${table},host=a value=${second} ${second}`;

/** Ends with an error for every status from 400 on, as curl's `--fail` does. */
async function curl(args: readonly string[]): Promise<void> {
  await run('curl', ['--silent', '--show-error', '--fail', '--max-time', '60', ...args]);
}

async function shell({ port }: ClientTarget, ...args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await run('influx', ['-host', '127.0.0.1', '-port', `${port}`, ...args], {
    timeout: 60_000,
  });
  return stdout + stderr;
}

const installed = (program: string): string | false =>
  spawnSync(program, ['--version']).error === undefined ? false : `${program} is not installed`;

const SHELL_MISSING = installed('influx');
const CURL_MISSING = installed('curl');

const SHELLS: readonly WriteClient[] = [
  {
    name: "InfluxDB's shell, INSERT",
    skip: SHELL_MISSING,
    async write(target, point) {
      const insert = `INSERT ${line(point)}`;
      const said = await shell(target, '-database', 'public', '-precision', 's', '-execute', insert);
      // It ends with 0 whatever the answer was, and is silent only about success.
      if (said.trim() !== '') throw new Error(said);
    },
  },
  {
    name: "InfluxDB's shell, -import",
    skip: SHELL_MISSING,
    async write(target, point) {
      const path = join(target.folder, `${point.table}-${point.second}.txt`);
      const text = [
        '# DDL',
        'CREATE DATABASE public',
        '# DML',
        '# CONTEXT-DATABASE: public',
        line(point),
        '',
      ];
      writeFileSync(path, text.join('\n'));
      const said = await shell(target, '-import', '-path', path, '-precision', 's');
      if (!/Processed 1 inserts/.test(said) || !/Failed 0 inserts/.test(said)) throw new Error(said);
    },
  },
];

const CURLS: readonly WriteClient[] = [
  {
    name: 'curl, OpenTSDB /api/put',
    skip: CURL_MISSING,
    write({ url }, { table, second }) {
      const body = JSON.stringify({ metric: table, timestamp: second, value: second, tags: { host: 'a' } });
      const type = 'Content-Type: application/json';
      return curl(['-X', 'POST', '-H', type, `${url}/api/put?details`, '-d', body]);
    },
  },
  {
    name: 'curl, InfluxDB 1 /write',
    skip: CURL_MISSING,
    write: ({ url }, point) =>
      curl(['-i', '-XPOST', `${url}/write?db=public&precision=s`, '--data-binary', line(point)]),
  },
  {
    name: 'curl, InfluxDB 2 /api/v2/write',
    skip: CURL_MISSING,
    write({ url }, point) {
      const headers = ['Authorization: Token any', 'Content-Type: text/plain; charset=utf-8'];
      const options = headers.flatMap((header) => ['--header', header]);
      const path = '/api/v2/write?org=any&bucket=public&precision=s';
      return curl(['--request', 'POST', `${url}${path}`, ...options, '--data-binary', line(point)]);
    },
  },
  {
    name: 'curl, InfluxDB 3 /api/v3/write_lp',
    skip: CURL_MISSING,
    write({ url }, point) {
      const path = '/api/v3/write_lp?db=public&precision=second';
      return curl([`${url}${path}`, '--header', 'Authorization: Bearer any', '--data-raw', line(point)]);
    },
  },
];

const LIBRARIES: readonly WriteClient[] = [
  {
    name: 'influx of npm',
    skip: false,
    write: ({ port }, { table, second }) =>
      new InfluxDB({ host: '127.0.0.1', port, database: 'public' }).writePoints(
        [{ measurement: table, tags: { host: 'a' }, fields: { value: second }, timestamp: `${second}` }],
        { precision: 's' },
      ),
  },
  {
    name: '@influxdata/influxdb-client of npm',
    skip: false,
    async write({ url }, { table, second }) {
      const api = new InfluxDB2({ url, token: 'any' }).getWriteApi('any', 'public', 's');
      api.writePoint(new Point(table).tag('host', 'a').floatField('value', second).timestamp(second));
      await api.close();
    },
  },
];

/** All of them. */
export const WRITE_CLIENTS: readonly WriteClient[] = [...SHELLS, ...CURLS, ...LIBRARIES];
