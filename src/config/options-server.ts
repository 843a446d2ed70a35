/** Options of the process as a server: sockets, stopping, logging, and the limits on what one client may send. */
import { bytes, choice, flag, integer, milliseconds, text } from './option.ts';
import { optionalPath } from './options-tls.ts';

const HOUR_MS = 3_600_000;
const KIB = 1024;
const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

/** See docs/configuration.md. */
export const SERVER_OPTIONS = {
  listen: {
    host: text({
      default: '127.0.0.1',
      allowed: 'a host name or an IP address',
      test: (value) => /^[A-Za-z0-9.:%_-]{1,255}$/.test(value),
      doc: 'Address to listen on. Any but a loopback one also needs `access.file` or `listen.allowRemoteUnauthenticated`.',
    }),
    port: integer({
      default: 4242,
      min: 0,
      max: 65_535,
      zero: 'any free port; the log says which',
      doc: "TCP port of all HTTP protocols. 4242 is OpenTSDB's.",
    }),
    allowRemoteUnauthenticated: flag({
      default: false,
      doc:
        'Allows a `listen.host` that other machines can reach although `access.file` is empty: whoever reaches ' +
        'the port can write, create tables and, with `sql.enabled`, read everything.',
    }),
    keepAliveMs: milliseconds({
      default: 90_000,
      min: 75_000,
      max: HOUR_MS,
      doc:
        'How long an idle connection stays open. Senders reuse connections for a minute and more; a shorter ' +
        'time makes them run into a connection that is just being closed.',
    }),
    requestTimeoutMs: milliseconds({
      default: 60_000,
      min: 1_000,
      max: HOUR_MS,
      doc: 'Longest time to receive a whole request, body included.',
    }),
    headersTimeoutMs: milliseconds({
      default: 20_000,
      min: 1_000,
      max: HOUR_MS,
      doc: 'Longest time to receive the headers of a request. At most `listen.requestTimeoutMs`.',
    }),
    maxConnections: integer({
      default: 10_000,
      min: 1,
      max: 1_000_000,
      doc: 'Open connections; further ones are closed at once. Needs as many file descriptors (`ulimit -n`).',
    }),
    maxConnectionsPerAddress: integer({
      default: 5_000,
      min: 0,
      max: 1_000_000,
      zero: 'no limit',
      doc: 'Open connections of one address; further ones are closed at once. Behind a proxy, all clients are one.',
    }),
  },
  access: {
    file: text({
      ...optionalPath,
      doc:
        'YAML file of users, tokens and rights (docs/security.md); it is read again when it changes and on SIGHUP. ' +
        'Empty: whoever reaches the port may do everything.',
    }),
    openMetrics: flag({
      default: true,
      doc: 'With `access.file`: `/metrics` needs no credentials. Off: it needs the right `read` in every database.',
    }),
  },
  shutdown: {
    timeoutMs: milliseconds({
      default: 10_000,
      min: 100,
      max: HOUR_MS,
      doc: 'After SIGTERM or SIGINT, the longest time to finish what is in flight and to flush.',
    }),
  },
  log: {
    level: choice(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], {
      default: 'info',
      doc: 'The least severe lines to log. Contents of points appear at `debug` and `trace` only.',
    }),
    sampleMs: milliseconds({
      default: 10_000,
      min: 0,
      max: HOUR_MS,
      zero: 'no sampling: every event is logged, however often clients cause it',
      doc: 'Where clients control how often something happens: one line per kind of event in this time.',
    }),
  },
  limits: {
    bodyBytes: bytes({
      default: 32 * MIB,
      min: KIB,
      max: GIB,
      doc: 'Size of a request body as received, before decompression. Larger: 413.',
    }),
    inflatedBytes: bytes({
      default: 64 * MIB,
      min: KIB,
      max: GIB,
      doc: 'Size of a request body after decompression. Larger: 413, and no more than this is ever inflated.',
    }),
    inflightBytes: bytes({
      default: 256 * MIB,
      min: MIB,
      max: 64 * GIB,
      doc: 'Bytes of all request bodies being worked on. Over it, requests get 503 with Retry-After.',
    }),
    lineBytes: bytes({
      default: 2 * MIB,
      min: 256,
      max: 64 * MIB,
      doc: 'Length of one line of line protocol. A longer line is refused, the other lines are not.',
    }),
    nameBytes: bytes({
      default: KIB,
      min: 1,
      max: 65_535,
      doc: 'Length of a metric, measurement, tag key or field key, in UTF-8. A point with a longer one is refused.',
    }),
    tagValueBytes: bytes({
      default: 4 * KIB,
      min: 1,
      max: 65_535,
      doc: 'Length of a tag value, in UTF-8. A point with a longer one is refused.',
    }),
    stringBytes: bytes({
      default: MIB,
      min: 1,
      max: 64 * MIB,
      doc: 'Length of a string field, in UTF-8. A point with a longer one is refused.',
    }),
    tagsPerPoint: integer({
      default: 64,
      min: 1,
      max: 1_000,
      doc: 'Tags of one point of line protocol (OpenTSDB: `opentsdb.maxTags`). A point with more is refused.',
    }),
    fieldsPerPoint: integer({
      default: 1_024,
      min: 1,
      max: 100_000,
      doc: 'Fields of one point of line protocol. A point with more is refused.',
    }),
    tablesPerRequest: integer({
      default: 10_000,
      min: 1,
      max: 1_000_000,
      doc: 'Distinct metrics or measurements of one request; points of further ones are refused, with the reason.',
    }),
    pointsPerRequest: integer({
      default: 500_000,
      min: 1_000,
      max: 100_000_000,
      doc:
        'Points (lines, blank ones and comments included) of one request. More: 413, and nothing of it is stored. ' +
        'It bounds how long one body keeps all others waiting.',
    }),
    jsonDepth: integer({
      default: 100,
      min: 3,
      max: 1_000,
      doc: 'Nesting of a JSON body; a list of points with tags is 3 deep. Deeper: 400.',
    }),
  },
};
