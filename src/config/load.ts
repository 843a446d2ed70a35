/**
 * Puts the configuration together: defaults, then the file, then the environment; the later wins. All mistakes of
 * both sources are collected, so that one start shows them all. Pure; src/config.ts supplies the real sources.
 */
import { checkRules } from './checks.ts';
import { readEnvironment } from './environment.ts';
import { readFileText } from './file.ts';
import { type Given, type GivenValue, showValue } from './given.ts';
import type { Config, OptionEntry } from './options.ts';

/** Where each value that is no default comes from, by option path. */
export type ConfigSources = ReadonlyMap<string, string>;

/** A usable configuration, or everything that is wrong with the one given. */
export type LoadedConfig =
  | { readonly kind: 'ok'; readonly config: Config; readonly sources: ConfigSources }
  | { readonly kind: 'invalid'; readonly problems: readonly string[] };

/** The configuration file, read. */
export interface ConfigFile {
  readonly name: string;
  readonly text: string;
}

const NOTHING_GIVEN: Given = { values: new Map(), problems: [] };

/** Builds the configuration of the options in `entries`; `file` undefined: there is none. */
export function buildConfig(
  entries: readonly OptionEntry[],
  file: ConfigFile | undefined,
  env: Readonly<Record<string, string | undefined>>,
): LoadedConfig {
  const fromFile = file === undefined ? NOTHING_GIVEN : readFileText(file.text, file.name, entries);
  const fromEnv = readEnvironment(env, entries);
  const problems = [...fromFile.problems, ...fromEnv.problems];
  const values = new Map(entries.map(({ path, option }) => [path, option.default]));
  const given = new Map<string, GivenValue>();
  for (const entry of entries) {
    for (const value of [fromFile.values.get(entry.path), fromEnv.values.get(entry.path)]) {
      if (value === undefined) continue;
      const typed = entry.option.read(value.raw);
      if (typed === undefined) problems.push(complaint(entry, value, `be ${entry.option.allowed}`));
      values.set(entry.path, typed);
      given.set(entry.path, value);
    }
  }
  for (const { path, must } of checkRules((path) => values.get(path))) {
    const entry = entries.find((candidate) => candidate.path === path) as OptionEntry;
    problems.push(complaint(entry, given.get(path), must));
  }
  if (problems.length > 0) return { kind: 'invalid', problems };
  const sources = new Map([...given].map(([path, { source }]) => [path, source]));
  return { kind: 'ok', config: nest(entries, values), sources };
}

/** `listen.port "x" (SLUICE_LISTEN_PORT) must be …`. */
function complaint(entry: OptionEntry, given: GivenValue | undefined, must: string): string {
  const shown = showValue(entry, given === undefined ? entry.option.default : given.raw);
  return `${entry.path} ${shown} (${given?.source ?? 'default'}) must ${must}`;
}

/** Frozen at every level. The shape follows from `entries`, as the type Config does from the same table. */
function nest(entries: readonly OptionEntry[], values: ReadonlyMap<string, unknown>): Config {
  const groups: Record<string, Record<string, unknown>> = {};
  for (const { group, name, path } of entries) {
    const value = values.get(path);
    (groups[group] ??= {})[name] = Array.isArray(value) ? Object.freeze([...value]) : value;
  }
  for (const group of Object.values(groups)) Object.freeze(group);
  return Object.freeze(groups) as unknown as Config;
}
