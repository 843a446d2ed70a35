/**
 * OpenTSDB's endpoints that take no points: what clients probe before they write, and what people look at. They tell
 * only what the gateway itself knows; it can't be queried by OpenTSDB's protocol. Used by routes/opentsdb.ts.
 */
import type { FastifyRequest } from 'fastify';
import type { Right } from '../model/access.ts';
import { type BuildInfo, versionText } from '../model/build-info.ts';
import type { Clock } from '../model/clock.ts';
import type { NameIndex } from '../model/names.ts';
import type { BodyReader } from './body-reader.ts';
import type { MetricSample } from './http-metrics.ts';
import { envelope, jsonReply } from './opentsdb-reply.ts';
import { createSuggest } from './opentsdb-suggest.ts';
import type { HttpReply } from './reply.ts';

/** What answers below `/api/`. */
export interface Endpoint {
  readonly methods: readonly string[];
  /** The right it takes once there are users; undefined: anybody may, or the endpoint asks by itself. */
  readonly right?: Right;
  handle(request: FastifyRequest): HttpReply | Promise<HttpReply>;
}

/** What the endpoints tell of. */
export interface EndpointDeps {
  readonly build: BuildInfo;
  /** OpenTSDB's options by name; never a secret. */
  readonly settings: Readonly<Record<string, string>>;
  readonly names: NameIndex;
  readonly bodies: BodyReader;
  readonly clock: Pick<Clock, 'wallNow'>;
  /** Tag `host` of the statistics. */
  readonly host: string;
  /** The present values of some metrics. */
  samples(names: readonly string[]): Promise<readonly MetricSample[]>;
  /** OpenTSDB's word for how the gateway is. */
  status(): 'ok' | 'error';
}

/** Aggregating functions of OpenTSDB 2; the list is fixed. */
const AGGREGATORS =
  'avg count dev first last max mimmax mimmin min mult none p50 p75 p90 p95 p99 p999 sum zimsum'.split(' ');

const NO_HISTOGRAMS =
  "Histogram storage has not been enabled. Check the 'tsd.core.histograms.config' configuration.";
const NOTHING_DROPPED = 'No caches to drop: the gateway follows the database by itself';

/** Names of the gateway's metrics as OpenTSDB's. */
const STATS: ReadonlyMap<string, string> = new Map([
  ['sluice_http_requests_total', 'tsd.http.requests'],
  ['sluice_http_bodies_refused_total', 'tsd.http.bodies_refused'],
  ['sluice_points_total', 'tsd.points'],
  ['sluice_flush_rows_total', 'tsd.storage.rows'],
  ['sluice_flush_pending_bytes', 'tsd.storage.pending_bytes'],
  ['sluice_dictionary_series', 'tsd.series'],
  ['sluice_ddl_open_tasks', 'tsd.ddl.open_tasks'],
  ['process_resident_memory_bytes', 'tsd.process.resident_bytes'],
]);

const READS: readonly string[] = ['GET', 'POST'];

/** All endpoints that take no points. */
export interface Endpoints {
  /** Those below `/api/`, by name; `config/filters` stands for that path. */
  readonly api: ReadonlyMap<string, Endpoint>;
  /** Those of OpenTSDB 1, by path; some answer text unless JSON is asked for. */
  readonly old: ReadonlyMap<string, Endpoint>;
}

/** Makes them; names are looked up in `database`. */
export function createEndpoints(database: string, deps: EndpointDeps): Endpoints {
  const version = jsonReply(versionObject(deps.build));
  const versionOf = ({ url }: FastifyRequest): HttpReply =>
    url.endsWith('json') ? version : textReply(versionText(deps.build));
  const aggregators: Endpoint = { methods: READS, handle: () => jsonReply(AGGREGATORS) };
  const suggest: Endpoint = { methods: READS, right: 'read', handle: createSuggest(database, deps) };
  const stats = (handle: Endpoint['handle']): Endpoint => ({ methods: READS, right: 'read', handle });
  const drop = (reply: HttpReply): Endpoint => ({
    methods: ['GET', 'DELETE'],
    right: 'read',
    handle: () => reply,
  });
  const api = new Map<string, Endpoint>([
    ['version', { methods: READS, handle: () => version }],
    ['aggregators', aggregators],
    ['config', { methods: READS, right: 'read', handle: () => jsonReply(deps.settings) }],
    ['config/filters', { methods: READS, right: 'read', handle: () => jsonReply({}) }],
    ['suggest', suggest],
    ['stats', stats(async () => jsonReply(await readStats(deps)))],
    ['dropcaches', drop(jsonReply({ status: '200', message: NOTHING_DROPPED }))],
    ['status', { methods: READS, handle: () => jsonReply({ status: deps.status() }) }],
    ['histogram', { methods: ['POST'], handle: () => envelope(503, NO_HISTOGRAMS) }],
  ]);
  const old = new Map<string, Endpoint>([
    ['/version', { methods: READS, handle: versionOf }],
    ['/aggregators', aggregators],
    ['/suggest', suggest],
    ['/stats', stats((request) => oldStats(request, deps))],
    ['/dropcaches', drop(textReply(`${NOTHING_DROPPED}.\n`))],
  ]);
  return { api, old };
}

async function oldStats({ query }: FastifyRequest, deps: EndpointDeps): Promise<HttpReply> {
  return hasJson(query) ? jsonReply((await readStats(deps)).map(statLine)) : textReply(await statsText(deps));
}

/** The lines of OpenTSDB 1's `stats`, over HTTP and telnet alike. */
export async function statsText(deps: Pick<EndpointDeps, 'clock' | 'host' | 'samples'>): Promise<string> {
  return (await readStats(deps)).map((stat) => `${statLine(stat)}\n`).join('');
}

interface Stat {
  readonly metric: string;
  readonly timestamp: number;
  readonly value: string;
  readonly tags: Readonly<Record<string, string>>;
}

async function readStats(deps: Pick<EndpointDeps, 'clock' | 'host' | 'samples'>): Promise<readonly Stat[]> {
  const timestamp = Math.floor(deps.clock.wallNow() / 1_000);
  const samples = await deps.samples([...STATS.keys()]);
  return samples.map(({ name, labels, value }) => ({
    metric: STATS.get(name) ?? name,
    timestamp,
    value: String(value),
    tags: { host: deps.host, ...labels },
  }));
}

function statLine({ metric, timestamp, value, tags }: Stat): string {
  const words = Object.entries(tags).map(([key, tag]) => `${key}=${tag}`);
  return [metric, timestamp, value, ...words].join(' ');
}

function hasJson(query: unknown): boolean {
  return (query as Readonly<Record<string, unknown>>)['json'] !== undefined;
}

function textReply(body: string): HttpReply {
  return { status: 200, headers: { 'Content-Type': 'text/plain; charset=UTF-8' }, body };
}

function versionObject(build: BuildInfo): Readonly<Record<string, string>> {
  return {
    version: build.version,
    short_revision: build.shortRevision,
    full_revision: build.fullRevision,
    timestamp: String(build.builtAtS),
    repo_status: 'MINT',
    user: build.user,
    host: build.host,
    repo: build.repository,
    branch: build.branch,
  };
}
