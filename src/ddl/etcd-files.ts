/** Reads the PEM files for the way to etcd and checks them at once: a wrong one would show only as "unavailable". */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { GatewayError } from '../errors.ts';
import type { EtcdTls } from './etcd-options.ts';

/** Paths; empty: not given. */
export interface EtcdFiles {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

/** What is in them; undefined when none is given. @throws {GatewayError} config_invalid */
export function readEtcdFiles({ caFile, certFile, keyFile }: EtcdFiles): EtcdTls | undefined {
  if (caFile === '' && certFile === '' && keyFile === '') return undefined;
  const ca = read('etcd.caFile', caFile, isCertificate);
  const cert = read('etcd.certFile', certFile, isCertificate);
  const key = read('etcd.keyFile', keyFile, isKey);
  if (
    cert !== undefined &&
    key !== undefined &&
    !new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))
  ) {
    throw invalid('etcd.keyFile', keyFile, `is not the key of etcd.certFile ${JSON.stringify(certFile)}`);
  }
  return { ca, cert, key };
}

function read(option: string, path: string, check: (pem: Buffer) => unknown): Buffer | undefined {
  if (path === '') return undefined;
  let pem: Buffer;
  try {
    pem = readFileSync(path);
  } catch (error) {
    throw invalid(option, path, `cannot be read: ${(error as Error).message}`, error);
  }
  try {
    check(pem);
  } catch (error) {
    throw invalid(option, path, `holds no usable PEM: ${(error as Error).message}`, error);
  }
  return pem;
}

function isCertificate(pem: Buffer): unknown {
  return new X509Certificate(pem);
}

function isKey(pem: Buffer): unknown {
  return createPrivateKey(pem);
}

function invalid(option: string, path: string, what: string, cause?: unknown): GatewayError {
  return new GatewayError('config_invalid', `${option} ${JSON.stringify(path)} ${what}`, { cause });
}
