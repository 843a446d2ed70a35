/** Options of PostgreSQL as the database. */
import { choice, integer, milliseconds, text } from './option.ts';

const HOUR_MS = 3_600_000;

const word = {
  allowed: 'text of 1 to 255 characters without control characters',
  test: (value: string) => /^\P{Cc}{1,255}$/u.test(value),
};

/** See docs/configuration.md. */
export const POSTGRES_OPTIONS = {
  postgres: {
    host: text({
      ...word,
      default: '127.0.0.1',
      doc: 'Name or address of the server, or the folder of its Unix socket.',
    }),
    port: integer({ default: 5_432, min: 1, max: 65_535, doc: 'Port of the server.' }),
    user: text({
      ...word,
      default: 'sluice',
      doc: 'Role that writes and creates. It needs CREATE on the database, for schemas, and on schemas made by others.',
    }),
    password: text({
      default: '',
      secret: true,
      allowed: 'a password without control characters',
      test: (value) => /^\P{Cc}{0,1024}$/u.test(value),
      doc: 'Password of `postgres.user`.',
    }),
    database: text({
      ...word,
      default: 'sluice',
      doc: "PostgreSQL's database, which must be there, in UTF-8. The databases of clients are schemas in it.",
    }),
    tls: choice(['off', 'require', 'verify'], {
      default: 'off',
      doc:
        '`require` encrypts but takes any certificate; `verify` wants one that is valid for `postgres.host`, by ' +
        '`postgres.caFile`.',
    }),
    caFile: text({
      default: '',
      allowed: 'a file path',
      test: (value) => /^\P{Cc}{0,4096}$/u.test(value),
      doc: 'PEM file with the authority of the certificate. Empty: the authorities that Node.js knows.',
    }),
    poolSize: integer({
      default: 6,
      min: 2,
      max: 100,
      doc: 'Connections of this gateway: one writes, the others create and look up. `ddl.concurrency` uses up to as many.',
    }),
    connectTimeoutMs: milliseconds({
      default: 5_000,
      min: 100,
      max: 60_000,
      doc: 'Longest wait for a connection.',
    }),
    statementTimeoutMs: milliseconds({
      default: 20_000,
      min: 100,
      max: HOUR_MS,
      doc: 'After it the server ends a statement. Below `flush.timeoutMs`, so that the server tells what became of it.',
    }),
    lockTimeoutMs: milliseconds({
      default: 500,
      min: 10,
      max: 60_000,
      doc:
        'How long an ALTER TABLE waits for its lock, for instance behind a long query; until then it holds up writes ' +
        'to this table. It is tried again later. Writes themselves wait twice as long for the lock of a table.',
    }),
    chunkMs: milliseconds({
      default: 168 * HOUR_MS,
      min: 60_000,
      max: 10_000 * HOUR_MS,
      doc: 'With TimescaleDB in the database: the time that one chunk of a new table covers.',
    }),
    retentionMs: milliseconds({
      default: 0,
      min: 0,
      max: 100_000 * HOUR_MS,
      zero: 'never',
      doc: 'With TimescaleDB: chunks of new tables are dropped when they are older.',
    }),
  },
};
