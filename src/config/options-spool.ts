/** Options of writing to the database, of the rows that wait on disk, and of those that could not be written. */
import { bytes, choice, flag, integer, milliseconds, text } from './option.ts';

const HOUR_MS = 3_600_000;
const YEAR_MS = 365 * 24 * HOUR_MS;
const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const TIB = 1024 ** 4;

const folder = {
  allowed: 'a path of 1 to 4096 bytes without control characters',
  test: (value: string) => /^\P{Cc}{1,4096}$/u.test(value),
};

/** See docs/configuration.md. */
export const SPOOL_OPTIONS = {
  flush: {
    ack: choice(['auto', 'log', 'database'], {
      default: 'auto',
      doc:
        'When a write is acknowledged. `database`: once the database has it. `log`: once it is synced to the log in ' +
        '`spool.path`; the database follows within `flush.maxDelayMs`, which makes its transactions large and cheap, ' +
        'and while it fails, writes go on until the log is full (`spool.maxBytes`). `auto`: `log` for a DuckDB file ' +
        'that this gateway owns (unless `spool.enabled` is off), else `database`. A write that asks for `sync` is ' +
        'acknowledged by the database in either case, and `/v1/sql` sees what was acknowledged before it.',
    }),
    maxDelayMs: milliseconds({
      default: 1_000,
      min: 10,
      max: HOUR_MS,
      doc:
        'With `flush.ack: log`, how far the database may lag behind the log as long as it keeps up. Rows wait for at ' +
        'most a quarter of it to gather; the rest is for writing them.',
    }),
    maxPendingBytes: bytes({
      default: 128 * MIB,
      min: MIB,
      max: 64 * GIB,
      doc:
        'Bytes of points that wait for the database in memory. Over it, writes get 503 with Retry-After; with ' +
        '`flush.ack: log` the log is written from disk instead. At least `limits.inflatedBytes`, so that the largest ' +
        'request fits.',
    }),
    timeoutMs: milliseconds({
      default: 30_000,
      min: 100,
      max: HOUR_MS,
      doc: 'Longest time of one flush to the database; then its rows are parked, or its requests get 503.',
    }),
  },
  spool: {
    enabled: flag({
      default: true,
      doc:
        'Keeps rows on disk when that helps: the log (`flush.ack`) and parked rows (`spool.park`). Off: the gateway ' +
        'itself keeps nothing, every write is acknowledged by the database, and rows that must wait get 503.',
    }),
    park: flag({
      default: true,
      doc:
        'Rows whose table can not be written at the moment (its create is under way or was put off, or the database ' +
        'is down) are synced to disk, acknowledged, and written once the table is ready, in the order they came. ' +
        'Off: their senders get 503 with Retry-After, and rows parked earlier are still written.',
    }),
    path: text({
      ...folder,
      default: 'data/spool',
      doc: 'Folder of the spool, relative to the working directory; made when missing. One process per folder.',
    }),
    maxBytes: bytes({
      default: 4 * GIB,
      min: MIB,
      max: TIB,
      doc:
        'Bytes of rows in the spool, log and parked rows together. Over it, rows that would be parked are treated as ' +
        '`spool.whenFull` says, and with `flush.ack: log` every write gets 503 until the database has caught up.',
    }),
    maxBytesPerTenant: bytes({
      default: 2 * GIB,
      min: MIB,
      max: TIB,
      doc: 'Bytes of parked rows of one tenant (database). Over it, its rows are treated as `spool.whenFull` says.',
    }),
    maxBytesPerTable: bytes({
      default: GIB,
      min: MIB,
      max: TIB,
      doc: 'Bytes of parked rows of one table. Over it, its rows are treated as `spool.whenFull` says.',
    }),
    maxTables: integer({
      default: 10_000,
      min: 1,
      max: 1_000_000,
      doc: 'Tables that may have parked rows. Rows of further ones are treated as `spool.whenFull` says.',
    }),
    maxAgeMs: milliseconds({
      default: 168 * HOUR_MS,
      min: 0,
      max: YEAR_MS,
      zero: 'no limit',
      doc:
        'How long rows may be parked. With `spool.whenFull: refuse`, a table whose oldest parked rows are older takes ' +
        'no more (503); with `dead-letter`, such rows go there.',
    }),
    minFreeBytes: bytes({
      default: 256 * MIB,
      min: 0,
      max: TIB,
      zero: 'no limit; the spool then finds out by failing',
      doc:
        'Free space that the spool leaves on its file system. Below it nothing is parked (503), and with ' +
        '`flush.ack: log` every write gets 503 until there is room.',
    }),
    whenFull: choice(['refuse', 'dead-letter'], {
      default: 'refuse',
      doc:
        'What becomes of rows that would be parked over a bound. `refuse`: 503 with Retry-After. `dead-letter`: they ' +
        'are acknowledged and written to the dead letter, for senders that never send again.',
    }),
    drainBytesPerSec: bytes({
      default: 16 * MIB,
      min: 0,
      max: TIB,
      zero: 'no limit',
      doc: 'Parked rows written to the database per second, so that a replay leaves room for new rows.',
    }),
  },
  deadLetter: {
    path: text({
      ...folder,
      default: 'data/dead-letter',
      doc:
        'Folder of files with rows that can never be written although they were acknowledged: their table was ' +
        'refused for good while they waited, they were over a bound (`spool.whenFull`), or their record is damaged.',
    }),
    maxBytes: bytes({
      default: GIB,
      min: MIB,
      max: TIB,
      doc: 'Bytes of all files of the dead letter. Over it, `deadLetter.whenFull` decides.',
    }),
    fileBytes: bytes({
      default: 64 * MIB,
      min: 64 * 1024,
      max: 64 * GIB,
      doc: 'A file that has reached this size is closed and the next one is begun.',
    }),
    whenFull: choice(['keep', 'drop-oldest'], {
      default: 'keep',
      doc:
        '`keep`: no row is given up; parked rows that would have to go there stay parked until there is room. ' +
        '`drop-oldest`: the oldest file is deleted.',
    }),
    rejected: flag({
      default: false,
      doc:
        'Also copies rows that were refused at once (4xx), whose senders were told, as far as there is room: for ' +
        'senders that never look at answers.',
    }),
  },
};
