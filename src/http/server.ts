/**
 * The HTTP server: Fastify over a node server that suits senders of data. Connections stay open long, a client may
 * half-close before it has its answer, paths are matched in any case, and no body is parsed: every route reads its
 * own (body-reader.ts), whatever the content type says. Routes are registered by app.ts.
 */
import { createServer as createNodeServer, type IncomingMessage, type Server, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { type FastifyInstance, fastify } from 'fastify';
import type { ConnectionLimit } from './connection-limit.ts';
import { type ErrorReplies, plainProblem } from './error-handler.ts';
import type { HttpMetrics } from './http-metrics.ts';
import { sendReply } from './reply.ts';
import type { TlsLayer } from './tls-layer.ts';

/** Limits of connections; see docs/configuration.md, `listen`. */
export interface HttpServerOptions {
  /** How long an idle connection stays open; at least 75,000, for exporters come back every 10 to 60 s. */
  readonly keepAliveMs: number;
  readonly requestTimeoutMs: number;
  /** At most `requestTimeoutMs`. */
  readonly headersTimeoutMs: number;
  readonly maxConnections: number;
}

/** What the server needs of others. */
export interface HttpServerDeps {
  readonly errors: ErrorReplies;
  readonly limit: ConnectionLimit;
  /** Undefined: connections are plain; else all of them are not. */
  readonly tls: TlsLayer | undefined;
  readonly metrics: Pick<HttpMetrics, 'connectionRefused'>;
}

/** Makes the server; it does not listen yet. */
export function createServer(options: HttpServerOptions, deps: HttpServerDeps): FastifyInstance {
  const app = fastify({
    logger: false,
    routerOptions: { caseSensitive: false },
    frameworkErrors: (error, request, reply) => {
      void deps.errors.handler(plainProblem)(error, request, reply);
    },
    clientErrorHandler: (error, socket) => refuseConnection(error, socket),
    serverFactory: (handler) => {
      const server = createNodeServer(
        {
          keepAliveTimeout: options.keepAliveMs,
          requestTimeout: options.requestTimeoutMs,
          headersTimeout: options.headersTimeoutMs,
        },
        handler,
      );
      server.maxConnections = options.maxConnections;
      // else a client that half-closes after its request never gets the answer; not in node's types
      Object.assign(server, { httpAllowHalfOpen: true });
      guardConnections(server, deps);
      return server;
    },
  });
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
    app.addHttpMethod(method, { hasBody: false, overrideExisting: true });
  }
  app.setErrorHandler(deps.errors.handler(plainProblem));
  app.setNotFoundHandler((_request, reply) =>
    sendReply(
      reply,
      plainProblem({ status: 404, code: 'request', message: 'not found', retryAfterS: undefined }),
    ),
  );
  return app;
}

/** Puts the bound per address, and TLS, before node's own handling of connections. */
function guardConnections(server: Server, { limit, tls, metrics }: HttpServerDeps): void {
  const [serve] = server.listeners('connection') as [(socket: Socket) => void];
  server.removeAllListeners('connection');
  tls?.onSecured((socket) => serve.call(server, socket));
  server.on('drop', () => metrics.connectionRefused('total'));
  server.on('connection', (socket) => {
    if (!limit.admit(socket)) {
      metrics.connectionRefused('address');
      socket.destroy();
    } else if (tls === undefined) serve.call(server, socket);
    else tls.accept(socket);
  });
}

/**
 * Ends a connection on which no request can be read. A request that did not come in time gets no answer at all:
 * node's 408 would make Telegraf throw the points away, whereas it sends them again after a broken connection.
 */
function refuseConnection(error: NodeJS.ErrnoException, socket: IncomingMessage['socket']): void {
  if (socket.writable && error.code !== 'ERR_HTTP_REQUEST_TIMEOUT' && error.code !== 'ECONNRESET') {
    const status = error.code === 'HPE_HEADER_OVERFLOW' ? 431 : 400;
    const body = `${JSON.stringify({ error: STATUS_CODES[status] })}\n`;
    socket.write(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json; charset=utf-8\r\n` +
        `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    );
  }
  socket.destroy(error);
}
