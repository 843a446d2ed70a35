/** Options of gateways that work together: who this one is, and the etcd that holds their queue. */
import { bytes, flag, list, milliseconds, text } from './option.ts';

const TIB = 1024 ** 4;

/** As src/ddl/etcd-options.ts takes them apart. */
const ENDPOINT = /^(https?:\/\/)?([A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]+\]):\d{1,5}\/?$/;

const file = {
  default: '',
  allowed: 'a file path',
  test: (value: string) => /^\P{Cc}{0,4096}$/u.test(value),
};

/** See docs/configuration.md. */
export const CLUSTER_OPTIONS = {
  gateway: {
    id: text({
      default: '',
      allowed: 'up to 128 printable ASCII characters, no space',
      test: (value) => /^[\x21-\x7e]{0,128}$/.test(value),
      doc: 'Name of this gateway in what people see: log, tasks, leader key. Empty: host name and process id.',
    }),
  },
  etcd: {
    endpoints: list({
      default: ['127.0.0.1:2379'],
      allowed: 'a list of host:port, http://host:port or https://host:port',
      test: (value) => ENDPOINT.test(value),
      doc:
        'Members of one etcd cluster, all with TLS or all without. One is used until it fails, then the next. ' +
        'Without http or https: TLS if one of the files below is set.',
    }),
    prefix: text({
      default: '/sluice',
      allowed: 'a path like /sluice of 2 to 128 printable ASCII characters, without a slash at the end',
      test: (value) => /^\/[\x21-\x7e]{0,126}[\x21-\x2e\x30-\x7e]$/.test(value),
      doc:
        'Beginning of all keys. Gateways with the same one are one cluster and must share one database. A gateway ' +
        'with an embedded database (`duckdb`, `discard`) shares it with no other: it keeps keys of its own below.',
    }),
    username: text({
      default: '',
      allowed: 'a user name without control characters',
      test: (value) => /^\P{Cc}{0,255}$/u.test(value),
      doc: 'User, if etcd has authentication. Needs read and write permission on the keys below `etcd.prefix`.',
    }),
    password: text({
      default: '',
      secret: true,
      allowed: 'a password without control characters',
      test: (value) => /^\P{Cc}{0,1024}$/u.test(value),
      doc: 'Password of `etcd.username`.',
    }),
    caFile: text({
      ...file,
      doc: "PEM file with the certificate of etcd's authority. Empty: the authorities that Node.js knows.",
    }),
    certFile: text({
      ...file,
      doc: "PEM file with this gateway's certificate, if etcd asks for one. Together with `etcd.keyFile`.",
    }),
    keyFile: text({
      ...file,
      doc: 'PEM file with the private key of `etcd.certFile`, without a passphrase.',
    }),
    requestTimeoutMs: milliseconds({
      default: 3_000,
      min: 100,
      max: 60_000,
      doc: 'Longest time of a call to etcd. At most half of `ddl.leaseMs`, so that a lost renewal can be repeated.',
    }),
    quotaBytes: bytes({
      default: 0,
      min: 0,
      max: TIB,
      zero: "read from etcd's /metrics, where the client port serves them",
      doc: "etcd's `--quota-backend-bytes`. At 70 % of it nothing more is queued.",
    }),
    compact: flag({
      default: false,
      doc:
        'Whether the leader compacts the history of etcd every minute, keeping 5 minutes. Only for an etcd that ' +
        'nothing else uses, and only if etcd itself does not (`--auto-compaction-*`).',
    }),
  },
};
