/** Opens TLS with the files of the configuration, and looks after them while the gateway runs. */
import { X509Certificate } from 'node:crypto';
import { RELOAD_CHECK_MS } from './app-access.ts';
import type { Base } from './app-base.ts';
import { createTlsLayer, type TlsLayer, type TlsMaterial } from './http/tls-layer.ts';
import { readCertificate, readPair } from './util/pem.ts';
import { createReload } from './util/reload.ts';

/** Less than the time for stopping: a handshake that hangs must not hold it up. */
const HANDSHAKE_MS = 5_000;

/** TLS, and how to read its files again. */
export interface OpenedTls {
  /** Undefined: connections are plain. */
  readonly layer: TlsLayer | undefined;
  /** Never throws. */
  readonly reload: () => void;
}

/** @throws {GatewayError} config_invalid when a file can't be used */
export function openTls({ config, clock, logger, metrics, stack }: Base): OpenedTls {
  const { certFile, keyFile, clientCaFile, clientAuth, minVersion } = config.tls;
  if (certFile === '') return { layer: undefined, reload: () => undefined };
  let layer: TlsLayer | undefined;
  let expiresS = 0;
  const use = (): void => {
    const material = materialOf(config.tls);
    if (layer === undefined) {
      const options = { clientAuth, minVersion, handshakeTimeoutMs: HANDSHAKE_MS } as const;
      layer = createTlsLayer(material, options, () => metrics.http.connectionRefused('tls'));
    } else layer.use(material);
    expiresS = Date.parse(new X509Certificate(material.cert).validTo) / 1_000;
  };
  const files = [certFile, keyFile, ...(clientCaFile === '' ? [] : [clientCaFile])];
  const { reloaded } = metrics;
  const reload = createReload(
    { what: 'certificate', files, everyMs: RELOAD_CHECK_MS, use },
    { clock, logger, reloaded },
  );
  stack.push('certificate', () => reload.close());
  metrics.gauge('sluice_certificate_stale', '1 while the certificate in use is older than its file.', () =>
    Number(reload.stale),
  );
  metrics.gauge('sluice_certificate_expiry_seconds', 'Unix time at which it expires.', () => expiresS);
  return { layer, reload: () => reload.now() };
}

function materialOf(tls: Base['config']['tls']): TlsMaterial {
  const { cert, key } = readPair(
    { option: 'tls.certFile', path: tls.certFile },
    { option: 'tls.keyFile', path: tls.keyFile },
  );
  const ca = readCertificate({ option: 'tls.clientCaFile', path: tls.clientCaFile });
  // Rules of the configuration see to it that both are given.
  return { cert: cert as Buffer, key: key as Buffer, ca };
}
