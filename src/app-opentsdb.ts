/** Puts OpenTSDB's routes together, and the paths of other databases where both protocols are taken. See app.ts. */
import { statSync } from 'node:fs';
import type { FastifyInstance } from 'fastify';
import { createAliasRoutes } from '../routes/aliases.ts';
import type { Health } from '../routes/health.ts';
import type { InfluxMount } from '../routes/influx.ts';
import { createOpenTsdbRoutes } from '../routes/opentsdb.ts';
import type { Base } from './app-base.ts';
import { aliasOptions, gatewayId, openTsdbOptions, openTsdbSettings } from './app-options.ts';
import type { Auth } from './http/auth.ts';
import type { BodyReader } from './http/body-reader.ts';
import type { ErrorReplies } from './http/error-handler.ts';
import type { Intake } from './http/intake.ts';
import type { BuildInfo } from './model/build-info.ts';
import { createNameIndex } from './protocol/name-index.ts';
import { createOpenTsdbParser } from './protocol/opentsdb-json.ts';
import { createRollupParser } from './protocol/opentsdb-rollup.ts';
import { packageVersion } from './version.ts';

/** What the routes share with others. */
export interface OpenTsdbParts {
  readonly intake: Intake;
  readonly bodies: BodyReader;
  readonly errors: ErrorReplies;
  readonly auth: Auth;
  health(): Health;
  /** InfluxDB's routes at other places. */
  influx(mounts: readonly InfluxMount[]): (app: FastifyInstance) => Promise<void>;
}

/** Registers the routes. */
export function registerOpenTsdb(server: FastifyInstance, base: Base, parts: OpenTsdbParts): void {
  const { config, clock, metrics, dictionary } = base;
  const options = openTsdbOptions(config);
  void server.register(
    createOpenTsdbRoutes(config.opentsdb, {
      ...parts,
      clock,
      parser: createOpenTsdbParser(dictionary, options),
      rollups: createRollupParser(options),
      build: buildInfo(),
      settings: openTsdbSettings(config),
      names: createNameIndex(dictionary),
      host: gatewayId(config),
      samples: (names) => metrics.samples(names),
      status: () => (parts.health().ok ? 'ok' : 'error'),
    }),
  );
  const parser = createOpenTsdbParser(dictionary, aliasOptions(config));
  void server.register(createAliasRoutes(config.aliases, { ...parts, parser, version: packageVersion() }));
}

/** The build is as old as its files; a commit is not known here. */
export function buildInfo(): BuildInfo {
  const builtAtS = Math.floor(statSync(new URL(import.meta.url)).mtimeMs / 1_000);
  const unknown = { shortRevision: '', fullRevision: '', user: '', host: '', repository: '', branch: '' };
  return { ...unknown, version: packageVersion(), builtAtS };
}
