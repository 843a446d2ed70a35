/** Puts the admin API and its description together, where somebody's right to it can be told. */
import swagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import { type AdminRouteDeps, createAdminRoutes } from '../routes/admin.ts';
import { createAdmin } from './admin/admin.ts';
import type { Base, Core } from './app-base.ts';
import { isLoopback } from './config/checks.ts';
import { type Access, OPEN_ACCESS } from './model/access.ts';
import { packageVersion } from './version.ts';

/** Before all routes: what is registered after it is in /openapi.json. */
export function registerOpenApi(server: FastifyInstance): void {
  const info = { title: 'Sluice', version: packageVersion() };
  void server.register(swagger, { openapi: { openapi: '3.1.0', info } });
  void server.register(async (app) => {
    app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger());
  });
}

/** Not where strangers could reach it: on other than loopback addresses only with access control. */
export function registerAdmin(
  server: FastifyInstance,
  { config, clock, logger }: Base,
  parts: Omit<AdminRouteDeps, 'admin' | 'clock' | 'dataPlaneOk'> & {
    readonly core: Core;
    readonly access: Access;
  },
): void {
  const { core, access, ...deps } = parts;
  if (access === OPEN_ACCESS && !isLoopback(config.listen.host)) return;
  const { disk, log } = core.keeping ?? {};
  const { policy } = config;
  const admin = createAdmin({ ...core, disk, log, policy, clock, logger, version: packageVersion() });
  void server.register(
    createAdminRoutes({ ...deps, admin, clock, dataPlaneOk: () => core.watermarks.dataPlaneOk }),
  );
}
