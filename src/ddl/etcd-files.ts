/** Reads the PEM files for the way to etcd and checks them at once: a wrong one would show only as "unavailable". */
import { readCertificate, readPair } from '../util/pem.ts';
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
  const ca = readCertificate({ option: 'etcd.caFile', path: caFile });
  const pair = readPair(
    { option: 'etcd.certFile', path: certFile },
    { option: 'etcd.keyFile', path: keyFile },
  );
  return { ca, ...pair };
}
