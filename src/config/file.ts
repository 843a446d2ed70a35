/**
 * Reads options from the text of the YAML file. Values are taken as they are written (`1.10` stays `1.10`), so the
 * text means the same as in an environment variable. Everything that is not a plain two-level mapping of known
 * names is a mistake, with its line: unknown or repeated keys, aliases, tags, several documents.
 */
import { isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument } from 'yaml';
import { type Given, type GivenValue, unknownName } from './given.ts';
import type { RawValue } from './option.ts';
import type { OptionEntry } from './options.ts';

/** The options that the file sets. `file` is its name, for messages. */
export function readFileText(text: string, file: string, entries: readonly OptionEntry[]): Given {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    stringKeys: true,
    resolveKnownTags: false,
    logLevel: 'error',
  });
  const at = (offset: number | undefined) => `${file}:${lines.linePos(offset ?? 0).line}`;
  const faults = [...document.errors, ...document.warnings];
  if (faults.length > 0) {
    return { values: new Map(), problems: faults.map((fault) => `${at(fault.pos[0])}: ${fault.message}`) };
  }
  const walk: Walk = { entries, at, values: new Map(), problems: [] };
  readRoot(walk, document.contents);
  return walk;
}

/** One walk through the document, which collects values and problems. */
interface Walk {
  readonly entries: readonly OptionEntry[];
  /** The place of an offset: `sluice.yaml:3`. */
  at(offset: number | undefined): string;
  readonly values: Map<string, GivenValue>;
  readonly problems: string[];
}

type Entry = Pair<Node, Node | null>;

function readRoot(walk: Walk, root: Node | null): void {
  if (isEmpty(root)) return;
  if (isMap(root)) for (const pair of root.items) readGroup(walk, pair as Entry);
  else walk.problems.push(`${walk.at(root?.range?.[0])}: must be a mapping of groups, such as \`listen:\``);
}

function readGroup(walk: Walk, { key, value }: Entry): void {
  const group = keyText(key);
  const source = walk.at(key.range?.[0]);
  const first = walk.entries.find((entry) => entry.group === group);
  if (first === undefined) walk.problems.push(unknownGroup(walk, group, source));
  else if (isMap(value)) for (const pair of value.items) readOption(walk, group, pair as Entry);
  else if (!isEmpty(value)) {
    walk.problems.push(`${source}: ${group} must be a mapping, such as \`${first.name}: …\` below it`);
  }
}

function readOption(walk: Walk, group: string, { key, value }: Entry): void {
  const path = `${group}.${keyText(key)}`;
  const source = walk.at(key.range?.[0]);
  const entry = walk.entries.find((candidate) => candidate.path === path);
  const raw = rawValue(value);
  if (entry === undefined) {
    const known = walk.entries.map((candidate) => candidate.path);
    walk.problems.push(unknownName('option', path, known, source));
  } else if (raw === undefined) {
    walk.problems.push(`${path} (${source}) must be ${entry.option.allowed}; it has no such value here`);
  } else walk.values.set(path, { raw, source });
}

function unknownGroup({ entries }: Walk, group: string, source: string): string {
  const flat = entries.find((entry) => entry.path === group);
  if (flat === undefined) {
    return unknownName('group', group, [...new Set(entries.map((entry) => entry.group))], source);
  }
  return `${source}: options are nested: write \`${flat.group}:\` and below it \`${flat.name}:\``;
}

/** The text of a scalar or of a sequence of scalars; undefined for null, mappings, aliases and deeper nesting. */
function rawValue(node: Node | null): RawValue | undefined {
  if (!isSeq(node)) return scalarText(node);
  const items = node.items.map((item) => scalarText(item as Node | null));
  return items.every((item) => item !== undefined) ? items : undefined;
}

function scalarText(node: Node | null): string | undefined {
  return isScalar(node) && node.value !== null ? node.source : undefined;
}

function isEmpty(node: Node | null): boolean {
  return node === null || (isScalar(node) && node.value === null);
}

/** With `stringKeys` every key is a scalar string. */
function keyText(key: Node): string {
  return isScalar(key) ? String(key.value) : '';
}
