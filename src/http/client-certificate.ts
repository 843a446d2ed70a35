/**
 * The names in a client certificate: its common name, then its alternative names. Only of a certificate that the TLS
 * layer verified; read once per connection. Used by auth for those who show no other credentials.
 */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Credentials } from '../model/access.ts';

const read = new WeakMap<TLSSocket, { readonly credentials: Credentials | undefined }>();

/** Undefined: there is none that counts. */
export function certificateCredentials(socket: Socket): Credentials | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  let known = read.get(socket);
  if (known === undefined) {
    known = { credentials: credentialsOf(socket) };
    read.set(socket, known);
  }
  return known.credentials;
}

function credentialsOf(socket: TLSSocket): Credentials | undefined {
  const { subject, subjectaltname } = socket.getPeerCertificate();
  // Several common names make an array: none of them says who it is.
  const commonName: unknown = subject?.CN;
  const names = typeof commonName === 'string' ? [commonName] : [];
  for (const part of (subjectaltname ?? '').split(', ')) {
    // Node quotes what could be taken for more than one name; such names are left out.
    const name = /^(?:DNS|email|URI):([^"\s]+)$/.exec(part)?.[1];
    if (name !== undefined) names.push(name);
  }
  return names.length === 0 ? undefined : { kind: 'certificate', names };
}
