/**
 * The paths at which GreptimeDB and VictoriaMetrics take OpenTSDB's and InfluxDB's protocols, so that their senders need
 * another address only. A write names its database by GreptimeDB's header, else by `db`, else (v2, v3) by `bucket`.
 * OpenTSDB points need no tags here, and may have more than eight.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { aliasDatabase } from '../src/http/alias-database.ts';
import type { ErrorReplies } from '../src/http/error-handler.ts';
import { createPut, type PutDeps } from '../src/http/opentsdb-put.ts';
import { methodRefused, openTsdbProblem, type Query, withCallback } from '../src/http/opentsdb-reply.ts';
import { sendReply } from '../src/http/reply.ts';
import { type Health, healthReply } from './health.ts';
import type { InfluxMount } from './influx.ts';

/** Options of the aliases. */
export interface AliasRouteOptions {
  /** Database of writes that name none. */
  readonly database: string;
}

/** What the aliases need. */
export interface AliasRouteDeps extends PutDeps {
  readonly errors: ErrorReplies;
  /** InfluxDB's routes at other places. */
  influx(mounts: readonly InfluxMount[]): (app: FastifyInstance) => Promise<void>;
  health(): Health;
  readonly version: string;
}

const INFLUX_PREFIXES = ['/v1/influxdb', '/influx'];
const PUT_PATHS = ['/v1/opentsdb/api/put', '/opentsdb/api/put'];

/** A Fastify plugin. */
export function createAliasRoutes(
  { database }: AliasRouteOptions,
  deps: AliasRouteDeps,
): (app: FastifyInstance) => Promise<void> {
  const put = createPut((request) => aliasDatabase(request, [], database), deps);
  const mounts = INFLUX_PREFIXES.map((prefix) => ({
    prefix,
    databaseOf: (version: string, request: FastifyRequest) =>
      aliasDatabase(request, version === 'v1' ? [] : ['bucket'], database),
  }));

  async function puts(app: FastifyInstance): Promise<void> {
    app.setErrorHandler(deps.errors.handler(openTsdbProblem));
    for (const path of PUT_PATHS) {
      app.post(path, async (request, reply) =>
        sendReply(reply, withCallback(request.query as Query, await put(request))),
      );
      app.route({
        method: ['GET', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
        url: path,
        handler: ({ method }, reply) => sendReply(reply, methodRefused(method, ['POST'])),
      });
    }
  }

  return async (app) => {
    await app.register(puts);
    await app.register(deps.influx(mounts));
    app.get('/influx/health', (_request, reply) => healthReply(reply, deps.health(), deps.version));
    app.get('/v1/influxdb/health', (_request, reply) => reply.code(deps.health().ok ? 200 : 503).send());
    app.get('/v1/health', (_request, reply) => reply.code(deps.health().ok ? 200 : 503).send({}));
  };
}
