/** Reads PEM files of certificates and keys and checks them at once, so that a wrong one is named and not only felt. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { GatewayError } from '../errors.ts';

/** A file and the option that names it. */
export interface PemFile {
  readonly option: string;
  /** Empty: not given. */
  readonly path: string;
}

/** A certificate's text; undefined when none is given. @throws {GatewayError} config_invalid */
export function readCertificate(file: PemFile): Buffer | undefined {
  return read(file, (pem) => new X509Certificate(pem));
}

/** A private key's text; undefined when none is given. @throws {GatewayError} config_invalid */
export function readPrivateKey(file: PemFile): Buffer | undefined {
  return read(file, (pem) => createPrivateKey(pem));
}

/** A certificate and its key, each undefined when not given. @throws {GatewayError} config_invalid */
export function readPair(
  certFile: PemFile,
  keyFile: PemFile,
): { cert: Buffer | undefined; key: Buffer | undefined } {
  const cert = readCertificate(certFile);
  const key = readPrivateKey(keyFile);
  if (cert === undefined || key === undefined) return { cert, key };
  if (new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) return { cert, key };
  throw invalid(keyFile, `is not the key of ${certFile.option} ${JSON.stringify(certFile.path)}`);
}

function read(file: PemFile, check: (pem: Buffer) => unknown): Buffer | undefined {
  if (file.path === '') return undefined;
  let pem: Buffer;
  try {
    pem = readFileSync(file.path);
  } catch (error) {
    throw invalid(file, `cannot be read: ${(error as Error).message}`, error);
  }
  try {
    check(pem);
  } catch (error) {
    throw invalid(file, `holds no usable PEM: ${(error as Error).message}`, error);
  }
  return pem;
}

function invalid({ option, path }: PemFile, what: string, cause?: unknown): GatewayError {
  return new GatewayError('config_invalid', `${option} ${JSON.stringify(path)} ${what}`, { cause });
}
