/**
 * Reads the users file: a YAML list of who may do what. A file with a mistake is refused as a whole, and every mistake
 * is told with its line; never with its text, for that may be half a secret. Pure: reading the file, and compiling
 * patterns, is done by others.
 */
import { isMap, isNode, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument } from 'yaml';
import type { Right } from '../model/access.ts';
import { type PasswordHash, readPasswordHash, readTokenHash } from './secrets.ts';

/** One entry of the file. */
export interface User {
  readonly name: string;
  readonly tenant: string | undefined;
  readonly tokenHash: string | undefined;
  readonly passwordHash: PasswordHash | undefined;
  /** The name in the client's certificate. */
  readonly certificate: string | undefined;
  readonly rights: ReadonlySet<Right>;
  /** Undefined: every database. */
  readonly databases: ((name: string) => boolean) | undefined;
}

/** The entry of those who show nothing has this name and no secret. */
export const ANONYMOUS = 'anonymous';

/** One test for patterns that match whole names. @throws with the reason when one is none. */
export type CompilePatterns = (patterns: readonly string[]) => (name: string) => boolean;

/** All users, or all mistakes. */
export type UsersFile =
  | { readonly kind: 'ok'; readonly users: readonly User[] }
  | { readonly kind: 'invalid'; readonly problems: readonly string[] };

const MAX_USERS = 10_000;
const MAX_PATTERNS = 100;
const RIGHTS: readonly string[] = ['write', 'create', 'read', 'admin'] satisfies Right[];
const NAME = /^\P{Cc}{1,255}$/u;
const KEYS = ['name', 'tokenHash', 'passwordHash', 'certificate', 'tenant', 'databases', 'rights'];

/** Reads the text of a file; `file` is its name, for messages. */
export function readUsersFile(text: string, file: string, compile: CompilePatterns): UsersFile {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    stringKeys: true,
    resolveKnownTags: false,
    logLevel: 'error',
  });
  const at = (node: unknown): string =>
    `${file}:${lines.linePos((isNode(node) ? node.range?.[0] : undefined) ?? 0).line}`;
  const faults = [...document.errors, ...document.warnings];
  if (faults.length > 0) {
    return invalid(
      faults.map(({ pos, code }) => `${file}:${lines.linePos(pos[0]).line}: not YAML (${code})`),
    );
  }
  const root = document.contents;
  if (!isSeq(root)) return invalid([`${at(root)}: must be a list of users (- name: …)`]);
  if (root.items.length > MAX_USERS) return invalid([`${at(root)}: more than ${MAX_USERS} users`]);
  const problems: string[] = [];
  const users = root.items.flatMap((item) => {
    const entry: Entry = { node: item, at, problems, values: new Map() };
    return readEntry(entry, compile) ?? [];
  });
  problems.push(...repeated(users, file));
  return problems.length > 0 ? invalid(problems) : { kind: 'ok', users };
}

/** One entry being read, with where its mistakes go. */
interface Entry {
  readonly node: unknown;
  readonly at: (node: unknown) => string;
  readonly problems: string[];
  readonly values: Map<string, Node | null>;
}

/** Undefined when it has a mistake. */
function readEntry(entry: Entry, compile: CompilePatterns): User | undefined {
  const { node, at, problems, values } = entry;
  const before = problems.length;
  if (!isMap(node)) {
    problems.push(`${at(node)}: must be a user, such as \`- name: …\``);
    return undefined;
  }
  for (const { key, value } of node.items as Pair<Node, Node | null>[]) {
    const name = isScalar(key) ? String(key.value) : '';
    if (KEYS.includes(name)) values.set(name, value);
    else problems.push(`${at(key)}: no such key; there are ${KEYS.join(', ')}`);
  }
  const name = one(entry, 'name', 'a name of 1 to 255 characters', (text) =>
    NAME.test(text) ? text : undefined,
  );
  if (!values.has('name')) problems.push(`${at(node)}: has no name`);
  const user = { ...secretsOf(entry), ...rightsOf(entry, compile), name: name ?? '' };
  const secrets = [user.tokenHash, user.passwordHash, user.certificate].filter(
    (secret) => secret !== undefined,
  );
  if (name === ANONYMOUS && secrets.length > 0) problems.push(`${at(node)}: ${ANONYMOUS} can have no secret`);
  if (name !== ANONYMOUS && secrets.length === 0 && problems.length === before)
    problems.push(`${at(node)}: has no tokenHash, passwordHash or certificate`);
  return problems.length === before ? user : undefined;
}

function secretsOf(entry: Entry): Pick<User, 'tokenHash' | 'passwordHash' | 'certificate' | 'tenant'> {
  const name = (text: string): string | undefined => (NAME.test(text) ? text : undefined);
  return {
    tokenHash: one(entry, 'tokenHash', 'a hash as `sluice access token` prints it', readTokenHash),
    passwordHash: one(
      entry,
      'passwordHash',
      'a hash as `sluice access password` prints it',
      readPasswordHash,
    ),
    certificate: one(entry, 'certificate', 'a name of 1 to 255 characters', name),
    tenant: one(entry, 'tenant', 'a name of 1 to 255 characters', name),
  };
}

function rightsOf(entry: Entry, compile: CompilePatterns): Pick<User, 'rights' | 'databases'> {
  const { at, problems, values, node } = entry;
  const rights = many(entry, 'rights');
  if (rights === undefined || rights.length === 0)
    problems.push(`${at(values.get('rights') ?? node)}: rights must be a list of ${RIGHTS.join(', ')}`);
  for (const { text, at: place } of rights ?? [])
    if (!RIGHTS.includes(text)) problems.push(`${place}: no such right; there are ${RIGHTS.join(', ')}`);
  const patterns = values.has('databases') ? many(entry, 'databases') : [];
  if (
    patterns === undefined ||
    (values.has('databases') && patterns.length === 0) ||
    patterns.length > MAX_PATTERNS
  )
    problems.push(
      `${at(values.get('databases') ?? node)}: databases must be a list of 1 to ${MAX_PATTERNS} patterns`,
    );
  for (const { text, at: place } of patterns ?? []) {
    try {
      compile([text]);
    } catch {
      problems.push(`${place}: not a pattern in RE2 syntax`);
      return { rights: new Set(), databases: undefined };
    }
  }
  const texts = (patterns ?? []).map(({ text }) => text);
  const all = texts.length === 0 || texts.includes('.*');
  return {
    rights: new Set((rights ?? []).map(({ text }) => text as Right)),
    databases: all ? undefined : compile(texts),
  };
}

/** The value of a key that may be missing; a bad one is a problem and undefined. */
function one<T>(
  entry: Entry,
  key: string,
  what: string,
  read: (text: string) => T | undefined,
): T | undefined {
  if (!entry.values.has(key)) return undefined;
  const node = entry.values.get(key);
  const text = scalarText(node);
  const value = text === undefined ? undefined : read(text);
  if (value === undefined) entry.problems.push(`${entry.at(node)}: ${key} must be ${what}`);
  return value;
}

/** Undefined when there is no list of plain values. */
function many(
  entry: Entry,
  key: string,
): readonly { readonly text: string; readonly at: string }[] | undefined {
  const list = entry.values.get(key);
  if (!isSeq(list)) return undefined;
  const items = list.items.map((item) => ({ text: scalarText(item as Node), at: entry.at(item as Node) }));
  return items.every((item): item is { text: string; at: string } => item.text !== undefined)
    ? items
    : undefined;
}

function scalarText(node: Node | null | undefined): string | undefined {
  return isScalar(node) && node.value !== null ? node.source : undefined;
}

/** What tells users apart must not be shared. */
function repeated(users: readonly User[], file: string): readonly string[] {
  return (['name', 'tokenHash', 'certificate'] as const).flatMap((key) => {
    const values = users.flatMap((user) => user[key] ?? []);
    const twice = new Set(values.filter((value, i) => values.indexOf(value) !== i));
    if (twice.size === 0) return [];
    const names = users.filter((user) => twice.has(user[key] ?? '')).map(({ name }) => JSON.stringify(name));
    return [`${file}: several users have one ${key}: ${names.join(', ')}`];
  });
}

function invalid(problems: readonly string[]): UsersFile {
  return { kind: 'invalid', problems };
}
