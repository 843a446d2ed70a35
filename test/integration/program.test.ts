/** The program as an operator meets it: exit codes and messages. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { launchGateway, runGateway, startGateway, temporaryFolder } from '../helpers/gateway.ts';

describe('the program', () => {
  for (const [args, out] of [
    [['--help'], /^Usage: sluice/],
    [['--version'], /^sluice \d+\.\d+\.\d+\n$/],
    [['--print-config'], /^listen:\n {2}host: 127\.0\.0\.1/m],
    [['--check-config'], /./],
  ] as const) {
    it(`${args.join(' ')} prints and ends with 0`, async (t) => {
      const result = await runGateway(temporaryFolder(t), args);
      assert.equal(result.code, 0);
      assert.match(result.out, out);
    });
  }

  it('unknown arguments end with 2', async (t) => {
    const { code, out } = await runGateway(temporaryFolder(t), ['--prot', '1']);
    assert.equal(code, 2);
    assert.match(out, /--prot/);
  });

  it('a bad configuration ends with 2 and names every mistake', async (t) => {
    const folder = temporaryFolder(t);
    writeFileSync(join(folder, 'bad.yaml'), 'listen: { port: 99999 }\nlog: { level: loud }\n');
    const { code, out } = await runGateway(folder, ['--config', 'bad.yaml'], {
      SLUICE_GUARD_WAIT_MS: 'soon',
    });
    assert.equal(code, 2);
    for (const part of ['listen.port', '99999', 'log.level', 'loud', 'SLUICE_GUARD_WAIT_MS', 'soon']) {
      assert.ok(out.includes(part), `${part} in ${out}`);
    }
  });

  it('a port that is taken ends with 1', async (t) => {
    const other = createServer().listen(0, '127.0.0.1');
    t.after(() => other.close());
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const { code, out } = await runGateway(temporaryFolder(t), [], { SLUICE_LISTEN_PORT: String(port) });
    assert.equal(code, 1);
    assert.match(out, /EADDRINUSE/);
  });

  it('a signal while it starts stops it as one that comes later', async (t) => {
    const gateway = launchGateway(t, temporaryFolder(t));
    await gateway.logged('starting');
    assert.equal(await gateway.stop(), 0);
    await gateway.logged('stopped');
  });

  it('a signal to npm start stops it, and npm ends as it does', async (t) => {
    const folder = temporaryFolder(t);
    const env = { SLUICE_DUCKDB_PATH: join(folder, 'test.duckdb') };
    const npm = ['npm', '--prefix', process.cwd(), '--ignore-scripts', '--silent', 'start'] as const;
    const gateway = launchGateway(t, folder, env, npm);
    const { pid } = await gateway.logged('listening');
    assert.equal(await gateway.stop(), 0);
    assert.throws(() => process.kill(Number(pid), 'SIGKILL'), { code: 'ESRCH' });
    await gateway.logged('stopped');
  });

  it('a database file that another gateway has open ends with 2 and says so', async (t) => {
    const folder = temporaryFolder(t);
    await startGateway(t, folder);
    const { code, out } = await runGateway(folder, [], { SLUICE_LISTEN_PORT: '0' });
    assert.equal(code, 2);
    assert.match(out, /another process has it open/);
  });
});
