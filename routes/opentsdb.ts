/**
 * OpenTSDB over HTTP: `/api/put` and the other endpoints, and the envelope for every other `/api/` path. Paths are
 * taken as OpenTSDB takes them: in any case, with a version (`/api/v1/put`), with anything after the endpoint. What
 * has a user interface or stops the server (`/q`, `/s`, `/logs`, `/diediedie`) is not there.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Auth } from '../src/http/auth.ts';
import type { ErrorReplies } from '../src/http/error-handler.ts';
import { createEndpoints, type Endpoint, type EndpointDeps } from '../src/http/opentsdb-endpoints.ts';
import { createPut, type PutDeps } from '../src/http/opentsdb-put.ts';
import {
  envelope,
  methodRefused,
  openTsdbProblem,
  type Query,
  unknownSerializer,
  withCallback,
} from '../src/http/opentsdb-reply.ts';
import { type HttpReply, sendReply } from '../src/http/reply.ts';
import type { OpenTsdbParser } from '../src/model/parse-result.ts';

/** Options of the OpenTSDB routes. */
export interface OpenTsdbRouteOptions {
  /** Database of all points: the protocol knows none. */
  readonly database: string;
}

/** What the OpenTSDB routes need. */
export interface OpenTsdbRouteDeps extends PutDeps, EndpointDeps {
  /** Refuses every point of `/api/rollup`. */
  readonly rollups: OpenTsdbParser;
  readonly errors: ErrorReplies;
  readonly auth: Auth;
}

const VERSION_SEGMENT = /^v(\d+)$/;
const MAX_API_VERSION = 1;
const NEW_VERSION = 'Requested API version is greater than the max implemented';

/** A Fastify plugin. */
export function createOpenTsdbRoutes(
  options: OpenTsdbRouteOptions,
  deps: OpenTsdbRouteDeps,
): (app: FastifyInstance) => Promise<void> {
  const { database } = options;
  const { api, old } = createEndpoints(database, deps);
  const put = createPut(() => database, deps);
  const rollup = createPut(() => database, { ...deps, parser: deps.rollups });
  const endpoints = new Map<string, Endpoint>([
    ...api,
    ['put', { methods: ['POST'], handle: put }],
    ['rollup', { methods: ['POST'], handle: rollup }],
  ]);

  async function serve(
    endpoint: Endpoint,
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<FastifyReply> {
    // What may be read may be asked for without its body, too (RFC 9110, 9.1).
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    if (!endpoint.methods.includes(method)) {
      return send(request, reply, methodRefused(request.method, endpoint.methods));
    }
    if (endpoint.right !== undefined) await deps.auth.authorize(request.raw, endpoint.right, database);
    const answer = unknownSerializer(request.query as Query) ?? (await endpoint.handle(request));
    // No callbacks here: by them any page in a user's browser could read what a gateway on that machine knows.
    return endpoint.right === undefined ? send(request, reply, answer) : sendReply(reply, answer);
  }

  return async (app) => {
    app.setErrorHandler((error, request, reply) =>
      send(request, reply, deps.errors.of(error, request.headers['user-agent'], openTsdbProblem)),
    );
    app.post('/api/put', async (request, reply) => send(request, reply, await put(request)));
    app.all('/api/*', (request, reply) => {
      const endpoint = find(endpoints, (request.params as { '*': string })['*']);
      return 'status' in endpoint ? send(request, reply, endpoint) : serve(endpoint, request, reply);
    });
    for (const [path, endpoint] of old) {
      app.all(path, (request, reply) => serve(endpoint, request, reply));
    }
  };
}

/** Sends an answer as the parameter `jsonp` asks for it. */
function send(request: FastifyRequest, reply: FastifyReply, answer: HttpReply): FastifyReply {
  return sendReply(reply, withCallback(request.query as Query, answer));
}

/** The endpoint of what the router matched behind `/api/`, for the target may be a whole URL. */
function find(endpoints: ReadonlyMap<string, Endpoint>, path: string): Endpoint | HttpReply {
  const segments = path.toLowerCase().split('/');
  const version = VERSION_SEGMENT.exec(segments[0] ?? '');
  if (version !== null && Number(version[1]) > MAX_API_VERSION) return envelope(501, NEW_VERSION);
  const [name = '', under = ''] = segments.slice(version === null ? 0 : 1);
  const endpoint = endpoints.get(`${name}/${under}`) ?? endpoints.get(name);
  return endpoint ?? envelope(404, 'Endpoint not found');
}
