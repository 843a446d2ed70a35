/** Options of TLS; see docs/security.md. */
import { choice, text } from './option.ts';

/** A path that may be left out. */
export const optionalPath = {
  default: '',
  allowed: 'a path of at most 4096 bytes without control characters',
  test: (value: string) => /^\P{Cc}{0,4096}$/u.test(value),
};

/** See docs/configuration.md. */
export const TLS_OPTIONS = {
  tls: {
    certFile: text({
      ...optionalPath,
      doc:
        'PEM file of the certificate, and of those between it and its authority. With it, every connection has to ' +
        'use TLS. Files are read again when they change and on SIGHUP. Empty: no TLS.',
    }),
    keyFile: text({ ...optionalPath, doc: 'PEM file of the private key, not encrypted.' }),
    clientCaFile: text({
      ...optionalPath,
      doc: 'PEM file of the authority that signs client certificates.',
    }),
    clientAuth: choice(['none', 'optional', 'required'], {
      default: 'none',
      doc:
        'Whether clients are asked for a certificate. `optional`: whoever shows one of `tls.clientCaFile` is the ' +
        'user of `access.file` with its name. `required`: no other client gets a connection.',
    }),
    minVersion: choice(['TLSv1.2', 'TLSv1.3'], { default: 'TLSv1.2', doc: 'The oldest version spoken.' }),
  },
};
