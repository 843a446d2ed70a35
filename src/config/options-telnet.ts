/** Options of OpenTSDB's telnet protocol. */
import { bytes, flag, milliseconds } from './option.ts';

const KIB = 1024;
const MIB = 1024 ** 2;
const HOUR_MS = 3_600_000;

/** See docs/configuration.md. */
export const TELNET_OPTIONS = {
  telnet: {
    enabled: flag({
      default: true,
      doc:
        "Takes OpenTSDB's `put` lines on the port of HTTP: a connection whose first byte is no capital letter. Points " +
        'go to `opentsdb.database`. Telnet can show no credentials: with `access.file`, anonymous senders need the ' +
        'right `write` there, or a client certificate.',
    }),
    lineBytes: bytes({
      default: 256 * KIB,
      min: KIB,
      max: 16 * MIB,
      doc: 'Longest line. A longer one ends its connection; the lines before it are taken.',
    }),
    idleTimeoutMs: milliseconds({
      default: HOUR_MS,
      min: 600_000,
      max: 24 * HOUR_MS,
      doc: 'How long a connection may send nothing. Agents that write seldom keep theirs open.',
    }),
  },
};
