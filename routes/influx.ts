/**
 * InfluxDB over HTTP: writes of v1 and v2, and the probes clients send first. Every answer carries InfluxDB's
 * identification headers. Content types are ignored; credentials are neither read nor logged.
 */
import { randomUUID } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ErrorReplies } from '../src/http/error-handler.ts';
import type { Query } from '../src/http/influx-parameters.ts';
import { databaseOf, readWriteParameters } from '../src/http/influx-parameters.ts';
import {
  type InfluxVersion,
  influxError,
  influxProblem,
  NO_CONTENT,
  writeReply,
} from '../src/http/influx-reply.ts';
import type { Intake, IntakeRoute } from '../src/http/intake.ts';
import { firstParameter, type HttpReply, sendReply } from '../src/http/reply.ts';
import type { Clock } from '../src/model/clock.ts';
import type { LineParser } from '../src/model/parse-result.ts';

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
export interface InfluxRouteDeps {
  readonly intake: Intake;
  readonly parser: LineParser;
  readonly errors: ErrorReplies;
  readonly clock: Pick<Clock, 'wallNow'>;
}

const ROUTES: Readonly<Record<InfluxVersion, IntakeRoute>> = {
  v1: intakeRoute('influx_write', 'v1'),
  v2: intakeRoute('influx_v2_write', 'v2'),
};

const WRITE_PATHS: Readonly<Record<InfluxVersion, string>> = { v1: '/write', v2: '/api/v2/write' };

const MAX_REQUEST_ID = 128;

/** A Fastify plugin. */
export function createInfluxRoutes(
  options: InfluxRouteOptions,
  deps: InfluxRouteDeps,
): (app: FastifyInstance) => Promise<void> {
  const identity = { 'X-Influxdb-Version': options.reportedVersion, 'X-Influxdb-Build': 'OSS' };

  function send(request: FastifyRequest, reply: FastifyReply, answer: HttpReply): FastifyReply {
    const id = requestId(request);
    reply.headers(identity).header('X-Request-Id', id).header('Request-Id', id);
    return sendReply(reply, answer);
  }

  function write(
    version: InfluxVersion,
    mount: InfluxMount,
    request: FastifyRequest,
  ): Promise<HttpReply> | HttpReply {
    const route = ROUTES[version];
    const database = mount.databaseOf(version, request);
    const parameters = readWriteParameters(version, request.query as Query, database);
    if ('status' in parameters) return deps.intake.refuse(route, parameters);
    const allOrNothing = version === 'v2' && options.strictBatches;
    return deps.intake.handle(route, request, parameters.database, async (exchange) => {
      const { batch } = exchange;
      const parsed = deps.parser.parse(batch, parameters.precision, deps.clock.wallNow());
      const result = await exchange.submit(parsed, { allOrNothing });
      return writeReply(version, { body: batch.body, parsed, result });
    });
  }

  function writeRoute(app: FastifyInstance, mount: InfluxMount, version: InfluxVersion): void {
    const path = mount.prefix + WRITE_PATHS[version];
    app.post(path, async (request, reply) => send(request, reply, await write(version, mount, request)));
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
      const shape = ROUTES.v1.shape;
      return send(request, reply, deps.errors.of(error, request.headers['user-agent'], shape));
    });
    for (const mount of options.mounts) {
      writeRoute(app, mount, 'v1');
      writeRoute(app, mount, 'v2');
      const ping = `${mount.prefix}/ping`;
      app.get(ping, (request, reply) => send(request, reply, pong(request.query as Query, options)));
      app.options(ping, (request, reply) => send(request, reply, NO_CONTENT));
    }
  };
}

function intakeRoute(route: IntakeRoute['route'], version: InfluxVersion): IntakeRoute {
  return { route, source: 'influx', shape: (problem) => influxProblem(version, problem), toUtf8: undefined };
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
