/**
 * InfluxDB over HTTP: writes of v1, v2 and v3, `/query`, and the probes clients send first. Every answer carries InfluxDB's
 * identification headers. Content types are ignored, and credentials never logged.
 */
import { randomUUID } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ErrorReplies } from '../src/http/error-handler.ts';
import { databaseOf, type Query } from '../src/http/influx-parameters.ts';
import { createInfluxQuery, type InfluxQueryDeps } from '../src/http/influx-query.ts';
import { type InfluxVersion, influxError } from '../src/http/influx-reply.ts';
import { createInfluxWrite, INFLUX_ROUTES, type InfluxWriteDeps } from '../src/http/influx-write.ts';
import { firstParameter, type HttpReply, NO_CONTENT, sendReply } from '../src/http/reply.ts';

/** A place where the endpoints are found, and how a write there names its database. */
export interface InfluxMount {
  /** Before every path: empty, or for instance `/influx`. */
  readonly prefix: string;
  /** The database of a write; empty: the request names none, which is answered in the version's own words. */
  readonly databaseOf: (version: InfluxVersion, request: FastifyRequest) => string;
}

/** InfluxDB's own paths and parameters. */
export const ROOT_MOUNT: InfluxMount = {
  prefix: '',
  databaseOf: (version, request) => databaseOf(version, request.query as Query),
};

/** Options of the InfluxDB routes. */
export interface InfluxRouteOptions {
  /** Told in X-Influxdb-Version; some clients choose their dialect by it. */
  readonly reportedVersion: string;
  /** On v2, one malformed line refuses the whole request, as InfluxDB 2 does. */
  readonly strictBatches: boolean;
  /** Where the endpoints are found. */
  readonly mounts: readonly InfluxMount[];
}

/** What the InfluxDB routes need. */
export interface InfluxRouteDeps extends InfluxWriteDeps, InfluxQueryDeps {
  readonly errors: ErrorReplies;
}

const WRITE_PATHS: readonly (readonly [InfluxVersion, string])[] = [
  ['v1', '/write'],
  ['v2', '/api/v2/write'],
  ['v3', '/api/v3/write_lp'],
];

const MAX_REQUEST_ID = 128;

/** A Fastify plugin. */
export function createInfluxRoutes(
  options: InfluxRouteOptions,
  deps: InfluxRouteDeps,
): (app: FastifyInstance) => Promise<void> {
  const identity = { 'X-Influxdb-Version': options.reportedVersion, 'X-Influxdb-Build': 'OSS' };

  const write = createInfluxWrite(options, deps);
  const query = createInfluxQuery(deps);

  function send(request: FastifyRequest, reply: FastifyReply, answer: HttpReply): FastifyReply {
    const id = requestId(request);
    reply.headers(identity).header('X-Request-Id', id).header('Request-Id', id);
    return sendReply(reply, answer);
  }

  function writeRoute(app: FastifyInstance, path: string, version: InfluxVersion, mount: InfluxMount): void {
    app.post(path, async (request, reply) =>
      send(request, reply, await write(version, request, mount.databaseOf(version, request))),
    );
    app.options(path, (request, reply) => send(request, reply, NO_CONTENT));
    app.route({
      method: ['GET', 'PUT', 'PATCH', 'DELETE'],
      url: path,
      handler: (request, reply) =>
        send(
          request,
          reply.header('Allow', 'POST, OPTIONS'),
          influxError(version, 405, 'Method not allowed'),
        ),
    });
  }

  return async (app) => {
    app.setErrorHandler((error, request, reply) => {
      const { shape } = INFLUX_ROUTES.v1;
      return send(request, reply, deps.errors.of(error, request.headers['user-agent'], shape));
    });
    for (const mount of options.mounts) {
      for (const [version, path] of WRITE_PATHS) writeRoute(app, mount.prefix + path, version, mount);
      const ping = `${mount.prefix}/ping`;
      app.get(ping, (request, reply) => send(request, reply, pong(request.query as Query, options)));
      const queries = `${mount.prefix}/query`;
      app.get(queries, async (request, reply) => send(request, reply, await query(request)));
      app.post(queries, async (request, reply) => send(request, reply, await query(request)));
      app.options(queries, (request, reply) => send(request, reply, NO_CONTENT));
      app.options(ping, (request, reply) => send(request, reply, NO_CONTENT));
    }
  };
}

function pong(query: Query, options: InfluxRouteOptions): HttpReply {
  const verbose = firstParameter(query['verbose']) ?? '';
  if (verbose === '' || verbose === '0' || verbose === 'false') return NO_CONTENT;
  return {
    status: 200,
    headers: { 'Content-Type': 'application/json; charset=utf-8' },
    body: `${JSON.stringify({ version: options.reportedVersion })}\n`,
  };
}

function requestId(request: FastifyRequest): string {
  const given = request.headers['x-request-id'] ?? request.headers['request-id'];
  return typeof given === 'string' && given !== '' ? given.slice(0, MAX_REQUEST_ID) : randomUUID();
}
