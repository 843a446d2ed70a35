/** Writes the configuration as YAML that can be loaded again, for `--print-config`. */
import { Document, isScalar, isSeq } from 'yaml';
import type { ConfigSources } from './load.ts';
import { ALL_OPTIONS, type Config, type OptionEntry } from './options.ts';

/** Every option with its value; those that are no default say where they come from, secrets are masked. */
export function printConfig(
  config: Config,
  sources: ConfigSources,
  entries: readonly OptionEntry[] = ALL_OPTIONS,
): string {
  const document = new Document({});
  for (const entry of entries) {
    const at = [entry.group, entry.name];
    document.setIn(at, document.createNode(shown(entry, config)));
    const node: unknown = document.getIn(at, true);
    const source = sources.get(entry.path);
    if (source === undefined) continue;
    if (isScalar(node)) node.comment = ` ${source}`;
    if (isSeq(node)) node.commentBefore = ` ${source}`;
  }
  return document.toString({ lineWidth: 0 });
}

function shown({ group, name, option }: OptionEntry, config: Config): unknown {
  const values = (config as Readonly<Record<string, Readonly<Record<string, unknown>>>>)[group];
  const value = values?.[name];
  return option.secret === true && value !== option.default ? '********' : value;
}
