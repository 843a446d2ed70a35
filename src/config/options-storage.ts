/** Options of the protocols' names and of where points go: mapping to tables, series dictionary, database. */
import { bytes, choice, flag, integer, list, milliseconds, text } from './option.ts';

const HOUR_MS = 3_600_000;
const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const TIB = 1024 ** 4;

/** A name as clients can send it: 1 to 255 bytes of UTF-8 without control characters. */
const name = {
  allowed: 'a name of 1 to 255 bytes without control characters',
  test: (value: string) => /^\P{Cc}+$/u.test(value) && Buffer.byteLength(value) <= 255,
};

/** See docs/configuration.md. */
export const STORAGE_OPTIONS = {
  opentsdb: {
    database: text({
      ...name,
      default: 'public',
      doc: 'Database (schema) of points that come in by OpenTSDB, whose protocol has no databases.',
    }),
    valueColumn: text({
      ...name,
      default: 'value',
      doc:
        "Column for OpenTSDB's one value. Tables made before a change keep the old column beside the new one. Without " +
        'effect with GreptimeDB, where it follows from `greptimedb.columnPrefix`.',
    }),
    maxTags: integer({
      default: 8,
      min: 1,
      max: 1_000,
      doc: "Tags of one OpenTSDB point. 8 is OpenTSDB's own limit. A point with more is refused.",
    }),
    requireTags: flag({
      default: true,
      doc: 'Refuses OpenTSDB points without tags, as OpenTSDB does.',
    }),
    extraNameChars: text({
      default: '',
      allowed: 'up to 64 printable characters, no space and no surrogate pairs',
      test: (value) => /^[^\p{Cc}\p{Cs}\s]{0,64}$/u.test(value) && !/[\u{10000}-\u{10ffff}]/u.test(value),
      doc:
        'Characters that OpenTSDB metrics, tag keys and tag values may hold besides letters, ASCII digits and ' +
        '`-_./` (what OpenTSDB calls `tsd.core.tag.allow_specialchars`). For example `:#`.',
    }),
  },
  influx: {
    reportedVersion: text({
      default: '1.8.10',
      allowed: 'a version like 1.8.10',
      test: (value) => /^\d{1,4}(\.\d{1,4}){1,3}[A-Za-z0-9.+-]{0,32}$/.test(value),
      doc: 'Version in the `X-Influxdb-Version` header. Some clients choose their dialect by it.',
    }),
    strictBatches: flag({
      default: false,
      doc:
        'For `/api/v2/write`: one malformed line refuses the whole request, as InfluxDB 2 does. Otherwise the ' +
        'good lines are stored and the answer lists the bad ones.',
    }),
    noRetryAfterAgents: list({
      default: ['influxdb-client-js'],
      allowed: 'parts of User-Agent headers, of printable ASCII without commas',
      test: (item) => /^[!-+\--~][ -+\--~]{0,127}$/.test(item),
      doc:
        'Clients, by a part of their User-Agent in any case, whose 503 has no Retry-After, whatever the protocol. ' +
        'influxdb-client-js takes the seconds for milliseconds and gives up within one; without the header it ' +
        'tries for minutes.',
    }),
  },
  dictionary: {
    maxSeries: integer({
      default: 500_000,
      min: 1_000,
      max: 100_000_000,
      doc: 'Series kept in the dictionary that makes parsing fast. More active series still work, only slower.',
    }),
    maxBytes: bytes({
      default: 256 * MIB,
      min: MIB,
      max: 64 * GIB,
      doc: 'Memory of the series dictionary.',
    }),
  },
  sink: {
    kind: choice(['duckdb', 'postgres', 'greptimedb', 'discard'], {
      default: 'duckdb',
      doc:
        'Where points go: the embedded database, PostgreSQL or GreptimeDB (docs/databases.md), or nowhere (`discard`, ' +
        'for load tests).',
    }),
  },
  duckdb: {
    path: text({
      default: 'data/sluice.duckdb',
      allowed: 'a file path or :memory:',
      test: (value) => /^\P{Cc}{1,4096}$/u.test(value),
      doc:
        'Database file, relative to the working directory; made when missing, folders too. `:memory:` keeps ' +
        'everything in memory and loses it at the end. One process per file.',
    }),
    timeColumn: text({
      ...name,
      default: 'time',
      doc: "Name of every table's time column. Choose it before the first write; it is fixed for the file then.",
    }),
    memoryBytes: bytes({
      default: 0,
      min: 0,
      max: TIB,
      zero: "a quarter of the machine's memory",
      doc: 'Memory that DuckDB may use, besides that of the gateway itself.',
    }),
    threads: integer({
      default: 1,
      min: 1,
      max: 1_024,
      doc:
        'Threads of DuckDB. One is best for writing: each statement wakes the others, which made flushes 3 to 5 ' +
        'times as slow on two cores; more helps large queries only.',
    }),
  },
  sql: {
    enabled: flag({
      default: true,
      doc: 'Offers `/v1/sql` for reading what arrived. Without effect unless `sink.kind` is `duckdb`.',
    }),
    maxRows: integer({
      default: 10_000,
      min: 1,
      max: 1_000_000,
      doc: 'Rows of one answer; the rest is cut off.',
    }),
    timeoutMs: milliseconds({
      default: 10_000,
      min: 10,
      max: HOUR_MS,
      doc: 'Longest time of one query; then it is interrupted and answered with 408.',
    }),
    maxConcurrent: integer({
      default: 2,
      min: 1,
      max: 64,
      doc: 'Queries at a time. Over it, twice as many wait; further ones get 503 with Retry-After.',
    }),
  },
};
