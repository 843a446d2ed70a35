import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { runGateway, startGateway, temporaryFolder } from '../helpers/gateway.ts';

describe('the commands over the admin API', () => {
  it('show and steer a running gateway', async (t) => {
    const folder = temporaryFolder(t);
    const { url } = await startGateway(t, folder);
    const run = (...args: string[]) => runGateway(folder, [...args, '--url', url]);
    for (const listing of ['failures', 'offenders'])
      assert.deepEqual(await run(listing), { code: 0, out: 'Nothing.\n' });
    assert.deepEqual(await run('pause', '--reason', 'maintenance'), { code: 0, out: 'changed  true\n' });
    const { code, out } = await run('status', '--json');
    const { paused } = JSON.parse(out) as { paused: { reason: string } };
    assert.deepEqual([code, paused.reason], [0, 'maintenance']);
    assert.equal((await run('resume')).code, 0);
    assert.equal((await run('forget', '--all')).out, 'forgotten  0\n');
  });

  it('show what a file would do, and prove who asks by a file', async (t) => {
    const folder = temporaryFolder(t);
    const { url } = await startGateway(t, folder);
    writeFileSync(join(folder, 'lines'), 'cpu,host=a load=1\ncpu load=2i\nbroken\n');
    writeFileSync(join(folder, 'token'), 'anybody\n');
    const run = (file: string, ...more: string[]) =>
      runGateway(folder, ['plan', file, '--url', url, '--protocol', 'influx', '--db', 'd', ...more]);
    const { code, out } = await run('lines', '--token-file', 'token');
    assert.equal(code, 0, out);
    assert.match(out, /^rows +\{"stored":1,"parked":0,"deferred":0,"rejected":1,"malformed":1\}$/m);
    assert.match(out, /^changes\nKIND .*\ndatabase +d +- .*\ntable +d +cpu .*"load"/m);
    assert.match(out, /^refused\nOFFSET .*\n +18 +type_conflict .*\n +30 +malformed /m);
    assert.equal((await run('lines', '--json')).out.startsWith('{"malformed":null'), true);
    assert.equal((await run('missing')).code, 1);
    assert.equal((await run('lines', '--token-file', 'missing')).code, 1);
    assert.equal((await run('lines', 'twice')).code, 2);
  });

  it('tell by the exit code what went wrong', async (t) => {
    const folder = temporaryFolder(t);
    const { url } = await startGateway(t, folder);
    const codeOf = async (...args: string[]) => (await runGateway(folder, args)).code;
    assert.equal(await codeOf('forget', '--url', url), 1);
    assert.equal(await codeOf('pause', '--sideways'), 2);
    assert.equal(await codeOf('status', '--url', 'http://127.0.0.1:1'), 3);
    assert.equal(await codeOf('status', '--help'), 0);
  });
});
