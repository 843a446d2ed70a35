/** Options of GreptimeDB as the database. */
import { bytes, integer, milliseconds, text } from './option.ts';

const MIB = 1024 ** 2;

/** See docs/configuration.md. */
export const GREPTIMEDB_OPTIONS = {
  greptimedb: {
    url: text({
      default: 'http://127.0.0.1:4000',
      allowed: 'http:// or https://, a host, and a port if it is not the usual one, without a path',
      test: (value) => /^https?:\/\/[^\s/?#@]{1,255}$/.test(value) && URL.canParse(value),
      doc: "GreptimeDB's HTTP address: a frontend's, or that of a load balancer before several.",
    }),
    user: text({
      default: '',
      allowed: 'text of up to 255 characters without colons and control characters',
      test: (value) => /^[^\p{Cc}:]{0,255}$/u.test(value),
      doc: 'User that writes and creates. Empty: GreptimeDB asks for none.',
    }),
    password: text({
      default: '',
      secret: true,
      allowed: 'a password without control characters',
      test: (value) => /^\P{Cc}{0,1024}$/u.test(value),
      doc: 'Password of `greptimedb.user`.',
    }),
    caFile: text({
      default: '',
      allowed: 'a file path',
      test: (value) => /^\P{Cc}{0,4096}$/u.test(value),
      doc: 'With https: PEM file with the authority of the certificate. Empty: the authorities that Node.js knows.',
    }),
    columnPrefix: text({
      default: 'greptime',
      allowed: 'letters, digits and _, up to 64, not beginning with a digit',
      test: (value) => /^([a-zA-Z_]\w{0,63})?$/.test(value),
      doc:
        "The same as GreptimeDB's `default_column_prefix`: every table's time index is `<prefix>_timestamp`, and " +
        "OpenTSDB's value is `<prefix>_value`. Empty: `timestamp` and `value`.",
    }),
    poolSize: integer({
      default: 12,
      min: 2,
      max: 100,
      doc: 'Connections of this gateway. `ddl.concurrency` uses up to as many; a write needs one more.',
    }),
    requestTimeoutMs: milliseconds({
      default: 20_000,
      min: 100,
      max: 3_600_000,
      doc: 'Longest time of a request; after it, what became of it is not known. Below `flush.timeoutMs`.',
    }),
    requestBytes: bytes({
      default: 8 * MIB,
      min: 64 * 1024,
      max: 32 * MIB,
      doc: 'Size of a write, before compression, after which another is begun; GreptimeDB takes 64 MiB by default.',
    }),
    maxBacklog: integer({
      default: 64,
      min: 1,
      max: 1_000,
      doc:
        'While GreptimeDB has more procedures running than this, of the 128 it takes, or does not say how many, the ' +
        'leader creates nothing.',
    }),
    backlogIntervalMs: milliseconds({
      default: 15_000,
      min: 15_000,
      max: 600_000,
      doc: 'How often the leader asks for it. The question costs GreptimeDB more the more it has to do.',
    }),
  },
};
