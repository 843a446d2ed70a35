/** Options of what keeps table creation in check: admission, policy and the DDL queue. */
import { RE2JS } from 're2js';
import { bytes, choice, integer, list, milliseconds } from './option.ts';

const HOUR_MS = 3_600_000;
const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

const patterns = {
  default: [],
  allowed: 'a list of RE2 patterns',
  test: isPattern,
};

const budget = { min: 0, max: 100_000_000, zero: 'no limit' };

/** See docs/configuration.md. */
export const GUARD_OPTIONS = {
  guard: {
    waitMs: milliseconds({
      default: 2_000,
      min: 0,
      max: 60_000,
      zero: 'does not wait: the first write of a new table is always told to come again',
      doc: 'How long a write waits for its table to be created before it is told to come again (503).',
    }),
    maxNewTablesPerRequest: integer({
      default: 100,
      min: 1,
      max: 100_000,
      doc: 'New tables that one request may ask for; the rows of further ones are told to come again.',
    }),
    registryMaxTables: integer({
      default: 200_000,
      min: 100,
      max: 100_000_000,
      doc: 'Known tables kept in memory. Tables beyond it are looked up again when they are written to.',
    }),
    registryMaxBytes: bytes({
      default: 128 * MIB,
      min: MIB,
      max: 64 * GIB,
      doc: 'Memory of the known tables and their columns.',
    }),
    registryTtlMs: milliseconds({
      default: 60_000,
      min: 1_000,
      max: 24 * HOUR_MS,
      doc: 'Age at which the schema of a known table is read again, in the background.',
    }),
    negativeMaxEntries: integer({
      default: 100_000,
      min: 100,
      max: 10_000_000,
      doc: 'Failed creations kept in memory. The least recently asked for go first; a dropped one is tried again.',
    }),
    negativeMaxBytes: bytes({
      default: 64 * MIB,
      min: MIB,
      max: 64 * GIB,
      doc: 'Memory of the failed creations.',
    }),
    lookupsPerSec: integer({
      default: 100,
      min: 1,
      max: 100_000,
      doc: 'Queries to the database for whether unknown tables exist; one query asks for many tables.',
    }),
    createsPerSec: integer({
      default: 50,
      min: 1,
      max: 10_000,
      doc: 'Tables that may be submitted for creation or widening, over all databases. Over it: come again.',
    }),
    createsPerSecPerTenant: integer({
      default: 20,
      min: 1,
      max: 10_000,
      doc: 'The same for one tenant (a database, until there is authentication). At most `guard.createsPerSec`.',
    }),
    createBurst: integer({
      default: 200,
      min: 1,
      max: 100_000,
      doc: 'Submissions saved up while nobody asks, so that a new host with 200 metrics is served at once.',
    }),
  },
  policy: {
    autoCreate: choice(['on', 'off', 'observe'], {
      default: 'on',
      doc:
        'Whether unknown tables, columns and databases are created: `on`; `off`, points that need one are ' +
        'refused; `observe`, as `on`, and what the rules below would have refused is only counted.',
    }),
    allow: list({
      ...patterns,
      doc:
        'If not empty, only tables whose whole name matches one of these patterns are created. Tables that exist ' +
        'are written to and get new columns all the same.',
    }),
    deny: list({
      ...patterns,
      doc:
        'Points for tables whose whole name matches one of these patterns are refused, even where the table ' +
        'exists. Goes before `policy.allow`.',
    }),
    allowDatabases: list({
      ...patterns,
      doc:
        'If not empty, only databases whose whole name matches one of these patterns are created, and tables ' +
        'only in them. With OpenTSDB clients, `opentsdb.database` has to be among them.',
    }),
    denyDatabases: list({
      ...patterns,
      doc:
        'Points for databases whose whole name matches one of these patterns are refused, even where the database ' +
        'exists. Goes before `policy.allowDatabases`.',
    }),
    maxDatabases: integer({
      ...budget,
      default: 64,
      doc: 'Databases (schemas) up to which new ones are created.',
    }),
    maxTablesPerDatabase: integer({
      ...budget,
      default: 20_000,
      doc: 'Tables of one database up to which new ones are created.',
    }),
    maxColumnsPerTable: integer({
      ...budget,
      default: 500,
      doc: 'Columns of one table, the time column left out, up to which new ones are added.',
    }),
  },
  ddl: {
    store: choice(['memory', 'etcd'], {
      default: 'memory',
      doc:
        'Where the queue is kept: in this process, for a single gateway, or in etcd (group `etcd`), for any number ' +
        'of gateways on one database.',
    }),
    maxOpenTasks: integer({
      default: 256,
      min: 1,
      max: 100_000,
      doc: 'Creations that are queued or running. Over it nothing is queued: come again.',
    }),
    maxOpenTasksPerTenant: integer({
      default: 64,
      min: 1,
      max: 100_000,
      doc: 'The same for one tenant. At most `ddl.maxOpenTasks`.',
    }),
    concurrency: integer({
      default: 0,
      min: 0,
      max: 64,
      zero: 'what suits the database: 8 for GreptimeDB, which takes 128 of all clients, else 4',
      doc: 'DDL statements running at a time.',
    }),
    ratePerSec: integer({
      default: 100,
      min: 1,
      max: 100,
      doc: 'DDL statements started per second.',
    }),
    timeoutMs: milliseconds({
      default: 30_000,
      min: 100,
      max: HOUR_MS,
      doc: 'Longest time of one DDL statement; then whether it worked is read from the schema.',
    }),
    maxAttempts: integer({
      default: 3,
      min: 1,
      max: 100,
      doc: 'Attempts of one task while the failure is temporary; then it counts as a temporary negative result.',
    }),
    transientMinMs: milliseconds({
      default: 1_000,
      min: 10,
      max: HOUR_MS,
      doc: 'After a temporary failure, the shortest time to the next attempt. It doubles with every failure.',
    }),
    transientMaxMs: milliseconds({
      default: 30_000,
      min: 10,
      max: 24 * HOUR_MS,
      doc: 'After temporary failures, the longest time to the next attempt.',
    }),
    permanentMinMs: milliseconds({
      default: 30_000,
      min: 10,
      max: 24 * HOUR_MS,
      doc: 'After the database refused a table for good, the shortest time to the next attempt. Doubles likewise.',
    }),
    permanentMaxMs: milliseconds({
      default: 300_000,
      min: 10,
      max: 24 * HOUR_MS,
      doc: 'After such refusals, the longest time to the next attempt.',
    }),
    breakerMs: milliseconds({
      default: 10_000,
      min: 100,
      max: HOUR_MS,
      doc:
        "After a failure that is not one table's own (permission, storage full, database down), the time for " +
        'which no table is created.',
    }),
    leaseMs: milliseconds({
      default: 10_000,
      min: 2_000,
      max: 60_000,
      doc: 'Lease of the gateway that executes DDL; another takes over about this long after it vanished.',
    }),
  },
};

function isPattern(pattern: string): boolean {
  try {
    RE2JS.compile(pattern);
    return pattern !== '' && pattern.length <= 1_024;
  } catch {
    return false;
  }
}
