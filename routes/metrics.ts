/** `/metrics` for Prometheus. What is in it, and in which format, is the registry's affair. */
import type { FastifyInstance } from 'fastify';

/** A rendered exposition. */
export interface Exposition {
  readonly contentType: string;
  readonly body: string;
}

/** A Fastify plugin; `render` is called for every scrape. */
export function createMetricsRoutes(
  render: () => Promise<Exposition>,
): (app: FastifyInstance) => Promise<void> {
  return async (app) => {
    app.get('/metrics', async (_request, reply) => {
      const { contentType, body } = await render();
      return reply.type(contentType).send(body);
    });
  };
}
