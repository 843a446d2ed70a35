/**
 * TLS over connections that somebody else accepted, so that one port can serve several protocols: raw sockets go in,
 * decrypted ones come out after their handshake. Certificates are exchanged while running; open connections keep what
 * they began with. A node `tls.Server` that never listens does the work.
 */
import type { Socket } from 'node:net';
import { createSecureContext, createServer, type SecureVersion, type TLSSocket } from 'node:tls';

/** What may change while running. */
export interface TlsMaterial {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Who signs client certificates; undefined: nobody is asked for one that counts. */
  readonly ca: Buffer | undefined;
}

/** What may not. */
export interface TlsOptions {
  /** `optional`: a certificate that nobody trusted signed is as good as none; `required`: it ends the handshake. */
  readonly clientAuth: 'none' | 'optional' | 'required';
  readonly minVersion: SecureVersion;
  readonly handshakeTimeoutMs: number;
}

/** See the module comment. */
export interface TlsLayer {
  /** Takes a raw connection over; a failed or late handshake ends it. */
  accept(raw: Socket): void;
  /** Where decrypted connections go; to be set once, before the first `accept`. */
  onSecured(take: (socket: TLSSocket) => void): void;
  /** From the next handshake on. @throws when the material can't be used; then nothing has changed. */
  use(material: TlsMaterial): void;
}

/** Makes the layer; `failed` counts handshakes. @throws when the material can't be used. */
export function createTlsLayer(material: TlsMaterial, options: TlsOptions, failed: () => void): TlsLayer {
  const { clientAuth, minVersion } = options;
  const server = createServer({
    ...contextOf(material),
    minVersion,
    handshakeTimeout: options.handshakeTimeoutMs,
    requestCert: clientAuth !== 'none',
    rejectUnauthorized: clientAuth === 'required',
    allowHalfOpen: true,
  });
  server.on('tlsClientError', (_error, socket) => {
    failed();
    socket.destroy();
  });
  return {
    accept: (raw) => void server.emit('connection', raw),
    onSecured: (take) => void server.on('secureConnection', take),
    use(next) {
      const context = { ...contextOf(next), minVersion };
      createSecureContext(context);
      server.setSecureContext(context);
    },
  };
}

function contextOf({ cert, key, ca }: TlsMaterial): { cert: Buffer; key: Buffer; ca?: Buffer } {
  return ca === undefined ? { cert, key } : { cert, key, ca };
}
