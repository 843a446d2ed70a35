/**
 * OpenTSDB over HTTP: `/api/put`, `/api/version`, `/version`, and the envelope for every other `/api/` path. Paths
 * are taken as OpenTSDB takes them: in any case, with a version (`/api/v1/put`), with anything after the endpoint.
 * A further endpoint is one more entry in the table of `createOpenTsdbRoutes`.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { toUtf8 } from '../src/http/charset.ts';
import type { ErrorReplies } from '../src/http/error-handler.ts';
import type { Intake, IntakeRoute } from '../src/http/intake.ts';
import { createPut } from '../src/http/opentsdb-put.ts';
import { envelope, openTsdbProblem } from '../src/http/opentsdb-reply.ts';
import { sendReply } from '../src/http/reply.ts';
import { type BuildInfo, versionText } from '../src/model/build-info.ts';
import type { OpenTsdbParser } from '../src/model/parse-result.ts';

/** Options of the OpenTSDB routes. */
export interface OpenTsdbRouteOptions {
  /** Database of all points: the protocol knows none. */
  readonly database: string;
}

/** What the OpenTSDB routes need. */
export interface OpenTsdbRouteDeps {
  readonly intake: Intake;
  readonly parser: OpenTsdbParser;
  readonly errors: ErrorReplies;
  readonly build: BuildInfo;
}

interface Endpoint {
  readonly methods: readonly string[];
  readonly handle: Handler;
}

type Handler = (request: FastifyRequest, reply: FastifyReply) => FastifyReply | Promise<FastifyReply>;

const ROUTE: IntakeRoute = { route: 'opentsdb_put', source: 'opentsdb', shape: openTsdbProblem, toUtf8 };
const VERSION_SEGMENT = /^v(\d+)$/;
const MAX_API_VERSION = 1;

/** A Fastify plugin. */
export function createOpenTsdbRoutes(
  options: OpenTsdbRouteOptions,
  deps: OpenTsdbRouteDeps,
): (app: FastifyInstance) => Promise<void> {
  const put = createPut(ROUTE, options, deps);
  const version = versionJson(deps.build);
  const endpoints = new Map<string, Endpoint>([
    ['put', { methods: ['POST'], handle: put }],
    ['version', { methods: ['GET', 'POST'], handle: (_request, reply) => sendReply(reply, version) }],
  ]);

  return async (app) => {
    app.setErrorHandler(deps.errors.handler(openTsdbProblem));
    app.post('/api/put', put);
    app.all('/api/*', (request, reply) => dispatch(endpoints, request, reply));
    app.get('/version', (request, reply) =>
      request.url.endsWith('json')
        ? sendReply(reply, version)
        : reply.type('text/plain; charset=UTF-8').send(versionText(deps.build)),
    );
  };
}

function dispatch(
  endpoints: ReadonlyMap<string, Endpoint>,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply | Promise<FastifyReply> {
  // What the router matched, for the target may be a whole URL (`POST http://host/api/v1/put`).
  const segments = (request.params as { '*': string })['*'].toLowerCase().split('/');
  const version = VERSION_SEGMENT.exec(segments[0] ?? '');
  if (version !== null && Number(version[1]) > MAX_API_VERSION) {
    return sendReply(reply, envelope(501, 'Requested API version is greater than the max implemented'));
  }
  const endpoint = endpoints.get(segments[version === null ? 0 : 1] ?? '');
  if (endpoint === undefined) return sendReply(reply, envelope(404, 'Endpoint not found'));
  if (endpoint.methods.includes(request.method)) return endpoint.handle(request, reply);
  const details = `The HTTP method [${request.method}] is not permitted for this endpoint`;
  return sendReply(
    reply.header('Allow', endpoint.methods.join(', ')),
    envelope(405, 'Method not allowed', details),
  );
}

function versionJson(build: BuildInfo): ReturnType<typeof envelope> {
  return {
    status: 200,
    headers: { 'Content-Type': 'application/json; charset=UTF-8' },
    body: JSON.stringify({
      version: build.version,
      short_revision: build.shortRevision,
      full_revision: build.fullRevision,
      timestamp: String(build.builtAtS),
      repo_status: 'MINT',
      user: build.user,
      host: build.host,
      repo: build.repository,
      branch: build.branch,
    }),
  };
}
