/** A certificate authority, a server's and a client's certificate, made by openssl for one test run. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Paths of PEM files. */
export interface Certificates {
  readonly caFile: string;
  readonly serverCertFile: string;
  readonly serverKeyFile: string;
  readonly clientCertFile: string;
  readonly clientKeyFile: string;
  /** An authority that signed nothing. */
  readonly strangerCaFile: string;
}

/** Writes them into the folder. The server's name is 127.0.0.1 or localhost. */
export function createCertificates(folder: string): Certificates {
  const at = (name: string): string => join(folder, name);
  createAuthority(folder, 'ca');
  createAuthority(folder, 'stranger');
  sign(
    folder,
    'server',
    'subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n',
  );
  sign(folder, 'client', 'extendedKeyUsage=clientAuth\n');
  return {
    caFile: at('ca.pem'),
    serverCertFile: at('server.pem'),
    serverKeyFile: at('server.key'),
    clientCertFile: at('client.pem'),
    clientKeyFile: at('client.key'),
    strangerCaFile: at('stranger.pem'),
  };
}

function createAuthority(folder: string, name: string): void {
  openssl(folder, ['req', '-x509', ...newKey(name), '-days', '2', '-out', `${name}.pem`]);
}

function sign(folder: string, name: string, extensions: string): void {
  writeFileSync(join(folder, `${name}.ext`), extensions);
  openssl(folder, ['req', ...newKey(name), '-out', `${name}.csr`]);
  const request = ['-req', '-in', `${name}.csr`, '-out', `${name}.pem`, '-days', '2'];
  const authority = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial'];
  openssl(folder, ['x509', ...request, ...authority, '-extfile', `${name}.ext`]);
}

function newKey(name: string): string[] {
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  return [...curve, '-keyout', `${name}.key`, '-subj', `/CN=sluice test ${name}`];
}

function openssl(folder: string, args: readonly string[]): void {
  execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
}
