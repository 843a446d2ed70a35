/**
 * The one table of all options: `OPTIONS[group][name]`. The type of the configuration, the environment variables,
 * docs/configuration.md and `--print-config` all follow from it, so an option is added by adding an entry to one
 * of the options-*.ts files, and nowhere else.
 */

import type { Option } from './option.ts';
import { CLUSTER_OPTIONS } from './options-cluster.ts';
import { GREPTIMEDB_OPTIONS } from './options-greptimedb.ts';
import { GUARD_OPTIONS } from './options-guard.ts';
import { POSTGRES_OPTIONS } from './options-postgres.ts';
import { PROTECT_OPTIONS } from './options-protect.ts';
import { SERVER_OPTIONS } from './options-server.ts';
import { SPOOL_OPTIONS } from './options-spool.ts';
import { STORAGE_OPTIONS } from './options-storage.ts';
import { TELNET_OPTIONS } from './options-telnet.ts';
import { TLS_OPTIONS } from './options-tls.ts';

/** Every option by group and name, in the order of the documentation. */
export const OPTIONS = {
  ...SERVER_OPTIONS,
  ...TELNET_OPTIONS,
  ...TLS_OPTIONS,
  ...STORAGE_OPTIONS,
  ...POSTGRES_OPTIONS,
  ...GREPTIMEDB_OPTIONS,
  ...SPOOL_OPTIONS,
  ...GUARD_OPTIONS,
  ...CLUSTER_OPTIONS,
  ...PROTECT_OPTIONS,
};

type Groups = typeof OPTIONS;
type ValueOf<O> = O extends Option<infer T> ? T : never;

/** The whole configuration: a frozen value for every option. */
export type Config = {
  readonly [G in keyof Groups]: { readonly [K in keyof Groups[G]]: ValueOf<Groups[G][K]> };
};

/** `group.name` of an option. */
export type OptionPath = { [G in keyof Groups]: `${G}.${keyof Groups[G] & string}` }[keyof Groups];

/** One option with its names. */
export interface OptionEntry {
  readonly group: string;
  readonly name: string;
  /** `listen.port`. */
  readonly path: string;
  /** `SLUICE_LISTEN_PORT`. */
  readonly variable: string;
  readonly option: Option<unknown>;
}

/** The options of a table one by one. */
export function listOptions(
  table: Readonly<Record<string, Readonly<Record<string, Option<unknown>>>>>,
): readonly OptionEntry[] {
  return Object.entries(table).flatMap(([group, options]) =>
    Object.entries(options).map(([name, option]) => ({
      group,
      name,
      path: `${group}.${name}`,
      variable: `SLUICE_${shouted(group)}_${shouted(name)}`,
      option,
    })),
  );
}

/** `maxTables` as `MAX_TABLES`. */
function shouted(name: string): string {
  return name.replace(/[A-Z]/g, '_$&').toUpperCase();
}

/** All options of the gateway. */
export const ALL_OPTIONS: readonly OptionEntry[] = listOptions(OPTIONS);
