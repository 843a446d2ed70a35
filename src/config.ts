/**
 * Entry to the configuration, and the only place that touches the environment and the configuration file. Reads
 * them once, at start; nothing is read again while the gateway runs. Called by cli.ts.
 */
import { readFileSync } from 'node:fs';
import { CONFIG_VARIABLE, TOKEN_VARIABLE } from './config/environment.ts';
import { buildConfig, type ConfigFile, type LoadedConfig } from './config/load.ts';
import { ALL_OPTIONS } from './config/options.ts';

export type { ConfigSources, LoadedConfig } from './config/load.ts';
export type { Config } from './config/options.ts';
export { printConfig } from './config/print.ts';

/** Where to look; what is left out is the process's own. */
export interface ConfigOrigin {
  /** The YAML file; undefined: the one `SLUICE_CONFIG` names; when that is empty or not set, none. */
  readonly file?: string | undefined;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly readFile?: (path: string) => string;
}

/** Reads and checks the whole configuration. Never throws for what a user can get wrong. */
export function loadConfig(origin: ConfigOrigin = {}): LoadedConfig {
  // oxlint-disable-next-line node/no-process-env -- the one place that reads it
  const env = origin.env ?? process.env;
  const name = origin.file ?? (env[CONFIG_VARIABLE] || undefined);
  if (name === undefined) return buildConfig(ALL_OPTIONS, undefined, env);
  const file = open(name, origin.readFile ?? ((path) => readFileSync(path, 'utf8')));
  return typeof file === 'string'
    ? { kind: 'invalid', problems: [file] }
    : buildConfig(ALL_OPTIONS, file, env);
}

/** The token that commands show to a gateway's admin API; undefined: none. */
export function adminToken({ env }: Pick<ConfigOrigin, 'env'> = {}): string | undefined {
  // oxlint-disable-next-line node/no-process-env -- the one place that reads it
  return (env ?? process.env)[TOKEN_VARIABLE] || undefined;
}

function open(name: string, readFile: (path: string) => string): ConfigFile | string {
  try {
    return { name, text: readFile(name) };
  } catch (error) {
    return `configuration file ${JSON.stringify(name)} cannot be read: ${error instanceof Error ? error.message : String(error)}`;
  }
}
