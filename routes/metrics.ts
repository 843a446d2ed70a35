/** `/metrics` for Prometheus. What is in it, and in which format, is the registry's affair. */
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';

/** A rendered exposition. */
export interface Exposition {
  readonly contentType: string;
  readonly body: string;
}

/** A Fastify plugin; `render` is called for every scrape that `check` lets pass; it throws for others. */
export function createMetricsRoutes(
  render: () => Promise<Exposition>,
  check: (request: IncomingMessage) => Promise<void>,
): (app: FastifyInstance) => Promise<void> {
  return async (app) => {
    app.get('/metrics', async (request, reply) => {
      await check(request.raw);
      const { contentType, body } = await render();
      return reply.type(contentType).send(body);
    });
  };
}
