/**
 * Every metric of the gateway, in a registry of its own; the only importer of prom-client. Counters are handed to the
 * parts as the small interfaces they define; gauges are read from the parts' `stats()` at each scrape. What is counted
 * for each table of a request is tallied here and handed over at a scrape, since prom-client takes half a microsecond
 * to find a label. No label takes a value that a client chooses. Seconds and bytes are the units, as Prometheus'
 * conventions ask.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { DdlMetrics } from './ddl/metrics.ts';
import type { GuardMetrics } from './guard/options.ts';
import type { HttpMetrics, MetricSample } from './http/http-metrics.ts';
import type { IngestMetrics } from './ingest.ts';
import { watermarkMetrics } from './metrics-protect.ts';
import { type SpoolMetrics, spoolMetrics } from './metrics-spool.ts';
import { telnetMetrics } from './metrics-telnet.ts';
import type { WatermarkMetrics } from './protect/watermarks.ts';
import type { FlushMetrics } from './sink/flush-queue.ts';
import type { ReloadKind } from './util/reload.ts';

const REQUEST_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const DDL_SECONDS = [0.001, 0.005, 0.02, 0.1, 0.5, 1, 5, 10, 30, 60];

/** A scrape's answer. */
export interface Exposition {
  readonly contentType: string;
  readonly body: string;
}

/** The metrics of one gateway. */
export interface Metrics {
  readonly http: HttpMetrics;
  readonly telnet: { replyDropped(lines: number): void };
  readonly ingest: IngestMetrics;
  readonly guard: GuardMetrics;
  readonly ddl: DdlMetrics;
  readonly flush: FlushMetrics;
  readonly spool: SpoolMetrics;
  readonly watermarks: WatermarkMetrics;
  /** Counts what was read again while running. */
  readonly reloaded: (what: ReloadKind, ok: boolean) => void;
  /** Reads a gauge at each scrape; `read` must be quick and must not throw. */
  gauge(name: string, help: string, read: () => number): void;
  /** The same for a number that only grows; its name ends in `_total`. */
  counter(name: string, help: string, read: () => number): void;
  /** The present values of the metrics named; those that are not there are left out. */
  samples(names: readonly string[]): Promise<readonly MetricSample[]>;
  render(): Promise<Exposition>;
}

/** Makes the registry with all counters at 0. */
export function createMetrics(version: string): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const make = factory(registry);
  make.gauge('sluice_build_info', 'Always 1; the version is the label.', ['version']).set({ version }, 1);
  return {
    http: httpMetrics(make),
    telnet: telnetMetrics(make),
    ingest: ingestMetrics(make),
    guard: guardMetrics(make),
    ddl: ddlMetrics(make),
    flush: flushMetrics(make),
    spool: spoolMetrics(make),
    watermarks: watermarkMetrics(make),
    reloaded: reloads(make),
    gauge(name, help, read) {
      const gauge: Gauge = new Gauge({ name, help, registers: [registry], collect: () => gauge.set(read()) });
    },
    counter(name, help, read) {
      const collect = (): void => {
        counter.reset();
        counter.inc(read());
      };
      const counter: Counter = new Counter({ name, help, registers: [registry], collect });
    },
    samples: async (names) => (await Promise.all(names.map((name) => readMetric(registry, name)))).flat(),
    render: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
  };
}

async function readMetric(registry: Registry, name: string): Promise<readonly MetricSample[]> {
  const metric = await registry.getSingleMetric(name)?.get();
  return (metric?.values ?? []).map(({ labels, value }) => ({
    name,
    value,
    labels: Object.fromEntries(Object.entries(labels).map(([label, text]) => [label, String(text)])),
  }));
}

type Factory = ReturnType<typeof factory>;

function factory(registry: Registry) {
  const registers = [registry];
  return {
    counter: <L extends string>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> =>
      new Counter({ name, help, labelNames, registers }),
    /** A counter with one label, cheap to increase. */
    tally(name: string, help: string, label: string): (value: string, count?: number) => void {
      const pending = new Map<string, number>();
      const counter: Counter = new Counter({
        name,
        help,
        labelNames: [label],
        registers,
        collect() {
          for (const [value, count] of pending) counter.inc({ [label]: value }, count);
          pending.clear();
        },
      });
      return (value, count = 1) => void pending.set(value, (pending.get(value) ?? 0) + count);
    },
    gauge: <L extends string>(name: string, help: string, labelNames: readonly L[] = []): Gauge<L> =>
      new Gauge({ name, help, labelNames, registers }),
    histogram: <L extends string>(name: string, help: string, labelNames: readonly L[], buckets: number[]) =>
      new Histogram({ name, help, labelNames, buckets, registers }),
  };
}

function httpMetrics(make: Factory): HttpMetrics {
  const requests = make.counter('sluice_http_requests_total', 'Write requests answered.', [
    'route',
    'status',
  ]);
  const seconds = make.histogram(
    'sluice_http_request_duration_seconds',
    'From the headers of a write request to its answer.',
    ['route'],
    REQUEST_SECONDS,
  );
  const points = make.counter(
    'sluice_points_total',
    'Points received: stored, parked (kept on disk), malformed (not understood), rejected (4xx) or deferred (503).',
    ['route', 'outcome'],
  );
  const bodies = make.counter('sluice_http_bodies_refused_total', 'Request bodies that were not taken.', [
    'reason',
  ]);
  const refused = make.tally(
    'sluice_access_refused_total',
    'Requests without known credentials or without the right.',
    'reason',
  );
  const connections = make.tally('sluice_connections_refused_total', 'Connections closed at once.', 'reason');
  return {
    answered(route, status, durationMs) {
      requests.inc({ route, status });
      seconds.observe({ route }, durationMs / 1_000);
    },
    points: (route, outcome, count) => points.inc({ route, outcome }, count),
    bodyRefused: (reason) => bodies.inc({ reason }),
    accessRefused: (reason) => refused(reason),
    connectionRefused: (reason) => connections(reason),
  };
}

function reloads(make: Factory): Metrics['reloaded'] {
  const counter = make.counter('sluice_reloads_total', 'Times files were read again.', ['what', 'result']);
  return (what, ok) => counter.inc({ what, result: ok ? 'ok' : 'failed' });
}

function ingestMetrics(make: Factory): IngestMetrics {
  return {
    rowsRejected: make.tally('sluice_rows_rejected_total', 'Rows refused for good.', 'reason'),
    rowsDeferred: make.tally(
      'sluice_rows_deferred_total',
      'Rows the sender was told to send again.',
      'reason',
    ),
  };
}

function guardMetrics(make: Factory): GuardMetrics {
  const rejected = make.tally(
    'sluice_guard_rejected_total',
    'Tables, or parts of them, refused for good.',
    'reason',
  );
  const deferred = make.tally(
    'sluice_guard_deferred_total',
    'Tables, or parts of them, held back.',
    'reason',
  );
  const observed = make.tally(
    'sluice_guard_would_refuse_total',
    'What `policy.autoCreate: observe` let through that `on` would have refused.',
    'reason',
  );
  const submissions = make.counter('sluice_guard_submissions_total', 'Answers of the DDL queue to a want.', [
    'kind',
  ]);
  const looks = 'Looks into this cache, off the fast path.';
  const lookups = {
    registry: make.tally('sluice_guard_registry_lookups_total', looks, 'result'),
    negative: make.tally('sluice_guard_negative_lookups_total', looks, 'result'),
  };
  const described = make.counter('sluice_guard_described_names_total', 'Names looked up in the database.', [
    'result',
  ]);
  const queries = make.counter('sluice_guard_describe_queries_total', 'Queries for what exists.', ['result']);
  return {
    rejected: (reason) => rejected(reason),
    deferred: (reason) => deferred(reason),
    wouldRefuse: (reason) => observed(reason),
    submission: (kind) => submissions.inc({ kind }),
    lookup: (cache, hit) => lookups[cache](hit ? 'hit' : 'miss'),
    described(names, ok) {
      const result = ok ? 'ok' : 'failed';
      described.inc({ result }, names);
      queries.inc({ result });
    },
  };
}

function ddlMetrics(make: Factory): DdlMetrics {
  const submitted = make.counter(
    'sluice_ddl_tasks_submitted_total',
    'Tasks this gateway put into the queue.',
  );
  const joined = make.counter('sluice_ddl_tasks_joined_total', 'Wants that found their task in the queue.');
  const known = make.counter(
    'sluice_ddl_tasks_known_total',
    'Wants answered by a negative result that still holds.',
  );
  const refused = make.counter('sluice_ddl_tasks_refused_total', 'Wants the queue did not take.', ['reason']);
  const attempts = make.counter('sluice_ddl_attempts_total', 'Attempts at the database, as leader.', [
    'class',
  ]);
  const sent = make.counter('sluice_ddl_statements_total', 'Statements sent, as leader.', ['kind']);
  const seconds = make.histogram(
    'sluice_ddl_attempt_duration_seconds',
    'One attempt at the database, reading the schema included.',
    ['class'],
    DDL_SECONDS,
  );
  const completed = make.counter('sluice_ddl_tasks_completed_total', 'Tasks ended, as leader.', ['status']);
  const ambiguous = make.counter('sluice_ddl_ambiguous_total', 'Statements without a clear answer.');
  const fenced = make.counter(
    'sluice_ddl_fenced_total',
    'Completions refused because another gateway leads.',
  );
  const breakers = make.counter('sluice_ddl_breakers_opened_total', 'Times creating was stopped.', ['scope']);
  const changes = make.counter(
    'sluice_ddl_leader_changes_total',
    'Times this gateway began or ceased to lead.',
    ['to'],
  );
  const watches = make.counter('sluice_ddl_watch_ended_total', 'Times the watch of the store broke off.', [
    'reason',
  ]);
  const retried = make.counter('sluice_ddl_transactions_retried_total', 'Transactions tried again.', [
    'transaction',
  ]);
  const swept = make.counter('sluice_ddl_swept_total', 'Left-overs removed by the janitor.', ['what']);
  return {
    submitted: () => submitted.inc(),
    joined: () => joined.inc(),
    known: () => known.inc(),
    refused: (reason) => refused.inc({ reason }),
    attempted(result, durationMs) {
      attempts.inc({ class: result });
      seconds.observe({ class: result }, durationMs / 1_000);
    },
    sent: (kind) => sent.inc({ kind }),
    completed: (status) => completed.inc({ status }),
    ambiguous: () => ambiguous.inc(),
    fenced: () => fenced.inc(),
    breakerOpened: (scope) => breakers.inc({ scope }),
    leaderChanged: (leader) => changes.inc({ to: leader ? 'leader' : 'follower' }),
    watchEnded: (reason) => watches.inc({ reason }),
    retried: (transaction) => retried.inc({ transaction }),
    swept: (what) => swept.inc({ what }),
  };
}

function flushMetrics(make: Factory): FlushMetrics {
  const flushes = make.counter('sluice_flushes_total', 'Flushes to the database.', ['result']);
  const rows = make.counter('sluice_flush_rows_total', 'Rows in flushes that succeeded.');
  const batches = make.counter('sluice_flush_batches_total', 'Requests in flushes that succeeded.');
  const refused = make.counter(
    'sluice_flush_refused_total',
    'Requests refused because too much waits to be written.',
  );
  const seconds = make.histogram('sluice_flush_duration_seconds', 'One flush.', [], REQUEST_SECONDS);
  return {
    flushed(batchCount, rowCount, milliseconds) {
      flushes.inc({ result: 'ok' });
      batches.inc(batchCount);
      rows.inc(rowCount);
      seconds.observe(milliseconds / 1_000);
    },
    flushFailed: (result) => flushes.inc({ result }),
    flushRefused: () => refused.inc(),
  };
}
