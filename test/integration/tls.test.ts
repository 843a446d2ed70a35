import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { type Certificates, createCertificates } from '../helpers/certificates.ts';
import { type Gateway, startGateway, temporaryFolder } from '../helpers/gateway.ts';

describe('TLS', () => {
  function make(t: TestContext, name = 'pki'): { folder: string; files: Certificates } {
    const folder = temporaryFolder(t);
    const pki = join(folder, name);
    mkdirSync(pki);
    return { folder, files: createCertificates(pki) };
  }

  function environment(files: Certificates, more: Record<string, string> = {}): Record<string, string> {
    return { SLUICE_TLS_CERT_FILE: files.serverCertFile, SLUICE_TLS_KEY_FILE: files.serverKeyFile, ...more };
  }

  /** The status of a write, over a connection of its own. */
  async function write(gateway: Gateway, options: ConnectionOptions): Promise<number | undefined> {
    const sent = request({
      ...options,
      agent: false,
      host: '127.0.0.1',
      port: gateway.port,
      path: '/write?db=d',
      method: 'POST',
    });
    sent.end('m v=1 1');
    const [response] = await once(sent, 'response');
    response.resume();
    return response.statusCode;
  }

  async function serial(gateway: Gateway, ca: Buffer): Promise<string> {
    const socket = connectTls({ host: '127.0.0.1', port: gateway.port, ca });
    await once(socket, 'secureConnect');
    const { serialNumber } = socket.getPeerCertificate();
    socket.destroy();
    return serialNumber;
  }

  it('serves by TLS, and nothing without it', async (t) => {
    const { folder, files } = make(t);
    const gateway = await startGateway(t, folder, environment(files, { SLUICE_TLS_MIN_VERSION: 'TLSv1.3' }));
    assert.match(gateway.url, /^https:/);
    const ca = readFileSync(files.caFile);
    assert.equal(await write(gateway, { ca }), 204);
    await assert.rejects(write(gateway, { ca, maxVersion: 'TLSv1.2' }));
    const plain = connect(gateway.port, '127.0.0.1');
    plain.on('error', () => undefined);
    let got = '';
    plain.on('data', (piece: Buffer) => (got += piece.toString('latin1')));
    plain.write('GET /ping HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(plain, 'close');
    assert.doesNotMatch(got, /HTTP/);
    assert.equal(await gateway.stop(), 0);
  });

  it('takes a new certificate while running, and keeps the old one when the new one is bad', async (t) => {
    const { folder, files } = make(t);
    const other = make(t).files;
    const gateway = await startGateway(t, folder, environment(files));
    const ca = Buffer.concat([readFileSync(files.caFile), readFileSync(other.caFile)]);
    const before = await serial(gateway, ca);
    copyFileSync(other.serverCertFile, files.serverCertFile);
    gateway.child.kill('SIGHUP');
    const line = await gateway.logged('could not reload; the last good state stays in use');
    assert.match(JSON.stringify(line), /is not the key of tls\.certFile/);
    assert.equal(await serial(gateway, ca), before);
    copyFileSync(other.serverKeyFile, files.serverKeyFile);
    gateway.child.kill('SIGHUP');
    await gateway.logged('reloaded');
    assert.notEqual(await serial(gateway, ca), before);
  });

  it('knows users by their certificates, and no stranger', async (t) => {
    const { folder, files } = make(t);
    const stranger = make(t).files;
    const users = join(folder, 'users.yaml');
    writeFileSync(users, '- name: edge\n  certificate: sluice test client\n  rights: [write, create]\n');
    const gateway = await startGateway(
      t,
      folder,
      environment(files, {
        SLUICE_TLS_CLIENT_CA_FILE: files.caFile,
        SLUICE_TLS_CLIENT_AUTH: 'optional',
        SLUICE_ACCESS_FILE: users,
      }),
    );
    const ca = readFileSync(files.caFile);
    const shows = (from: Certificates): ConnectionOptions => ({
      ca,
      cert: readFileSync(from.clientCertFile),
      key: readFileSync(from.clientKeyFile),
    });
    assert.equal(await write(gateway, shows(files)), 204);
    assert.equal(await write(gateway, shows(stranger)), 401);
    assert.equal(await write(gateway, { ca }), 401);
  });

  it('gives nobody a connection without a certificate when one is required', async (t) => {
    const { folder, files } = make(t);
    const more = { SLUICE_TLS_CLIENT_CA_FILE: files.caFile, SLUICE_TLS_CLIENT_AUTH: 'required' };
    const gateway = await startGateway(t, folder, environment(files, more));
    const ca = readFileSync(files.caFile);
    await assert.rejects(write(gateway, { ca }));
    const cert = readFileSync(files.clientCertFile);
    assert.equal(await write(gateway, { ca, cert, key: readFileSync(files.clientKeyFile) }), 204);
  });
});
