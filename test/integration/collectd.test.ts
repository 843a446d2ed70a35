/**
 * collectd's write_tsdb with nothing but its address changed: what it read, as its csv plugin tells, is compared with what
 * is stored, also of the time while no table could be made. It never reads an answer.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { type Gateway, metric, query, startGateway, temporaryFolder } from '../helpers/gateway.ts';
import { eventually } from '../helpers/wait.ts';

const COLLECTD = '/usr/sbin/collectd';
const hasCollectd = existsSync(COLLECTD);

async function act(gateway: Gateway, action: string): Promise<void> {
  const response = await fetch(`${gateway.url}/admin/${action}`, { method: 'POST' });
  assert.equal(response.status, 200);
}

async function rowsOf(gateway: Gateway, sql: string, database: string): Promise<unknown[][]> {
  return JSON.parse(await query(gateway.url, sql, database).catch(() => '[]')) as unknown[][];
}

/** collectd writes what it reads to telnet and, with its csv plugin, to files. */
async function startCollectd(
  t: TestContext,
  { port }: Gateway,
): Promise<{ csv: string; stop: () => Promise<void> }> {
  const folder = temporaryFolder(t);
  const csv = join(folder, 'csv');
  mkdirSync(csv);
  const config = `
    Hostname "agent.example"
    FQDNLookup false
    BaseDir "${folder}"
    PIDFile "${folder}/pid"
    PluginDir "/usr/lib/collectd"
    TypesDB "/usr/share/collectd/types.db"
    Interval 1
    LoadPlugin uptime
    LoadPlugin load
    LoadPlugin csv
    LoadPlugin write_tsdb
    <Plugin csv>
      DataDir "${csv}"
    </Plugin>
    <Plugin write_tsdb>
      <Node>
        Host "127.0.0.1"
        Port "${port}"
        StoreRates false
      </Node>
    </Plugin>
`;
  writeFileSync(join(folder, 'collectd.conf'), config);
  const child = spawn(COLLECTD, ['-f', '-C', join(folder, 'collectd.conf')], { stdio: 'ignore' });
  const exited = once(child, 'exit');
  t.after(() => void child.kill('SIGKILL'));
  return {
    csv,
    async stop() {
      child.kill('SIGTERM');
      await exited;
    },
  };
}

/** The second and value of each line that the csv plugin wrote for uptime. */
function uptimesIn(csv: string): readonly (readonly [second: number, value: number])[] {
  const folder = join(csv, 'agent.example', 'uptime');
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((file) =>
    readFileSync(join(folder, file), 'utf8')
      .trim()
      .split('\n')
      .slice(1)
      .map((line) => line.split(',').map(Number) as [number, number])
      .map(([second, value]) => [Math.round(second), value] as const),
  );
}

describe('collectd', { skip: hasCollectd ? false : 'collectd is not installed' }, () => {
  it('has all it read stored, also of the time when no table could be made', async (t) => {
    const gateway = await startGateway(t, temporaryFolder(t));
    await act(gateway, 'pause?reason=test');
    const { csv, stop } = await startCollectd(t, gateway);
    await eventually('points are parked', async () => (await metric(gateway.url, 'sluice_parked_rows')) > 3);
    await act(gateway, 'resume');
    const stored = async (): Promise<unknown[][]> =>
      rowsOf(gateway, 'SELECT epoch(time), value FROM "uptime.uptime" ORDER BY time', 'public');
    await eventually('they are stored, and newer ones', async () => (await stored()).length >= 4);
    await stop();
    const sent = uptimesIn(csv);
    assert.ok(sent.length >= 4);
    await eventually('the last is stored', async () => (await stored()).length >= sent.length);
    assert.deepEqual(
      (await stored()).map(([second, value]) => [Number(second), value]),
      sent,
    );
    assert.equal(await metric(gateway.url, 'sluice_points_total{route="telnet",outcome="malformed"}'), 0);
    // Each table waits for its own next try.
    const hosts = 'SELECT DISTINCT fqdn FROM "load.load.shortterm"';
    const found = await eventually('the others are stored', async () => {
      const rows = await rowsOf(gateway, hosts, 'public');
      return rows.length > 0 && rows;
    });
    assert.deepEqual(found, [['agent.example']]);
  });
});
