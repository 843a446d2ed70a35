/**
 * The rules of who may import whom, as a table, and the check of sources against it. The table is the
 * documentation: a part that is not in it may not exist, an import that is not in it may not be written.
 * Statements are found by regular expressions, which is enough for formatted sources.
 */
import { posix } from 'node:path';

/** What one part may import besides itself. */
interface PartRule {
  /** Other parts; `'all'` for the composition root. */
  readonly parts: readonly string[] | 'all';
  readonly packages: readonly string[];
  /** Built-in modules of Node; `'all'`, or only these. */
  readonly builtins: readonly string[] | 'all';
}

const STAGE = ['src/model', 'src/util', 'src/errors.ts'];

const RULES: ReadonlyMap<string, PartRule> = new Map(
  Object.entries({
    'src/model': { parts: [], packages: [], builtins: ['node:crypto'] },
    'src/errors.ts': { parts: [], packages: [], builtins: [] },
    'src/util': { parts: ['src/model', 'src/errors.ts'], packages: [], builtins: 'all' },
    'src/protocol': { parts: STAGE, packages: [], builtins: ['node:buffer', 'node:crypto', 'node:util'] },
    'src/guard': { parts: STAGE, packages: ['bottleneck', 'lru-cache', 're2js'], builtins: ['node:crypto'] },
    'src/ddl': {
      parts: STAGE,
      packages: ['bottleneck', 'lru-cache', 'etcd3', 'cockatiel'],
      builtins: 'all',
    },
    'src/sink': { parts: STAGE, packages: [], builtins: 'all' },
    'src/sink/discard': { parts: [...STAGE, 'src/sink'], packages: [], builtins: 'all' },
    'src/sink/duckdb': {
      parts: [...STAGE, 'src/sink'],
      packages: ['@duckdb/node-api', '@duckdb/node-bindings'],
      builtins: 'all',
    },
    'src/spool': { parts: STAGE, packages: [], builtins: 'all' },
    'src/tcp': { parts: STAGE, packages: [], builtins: 'all' },
    'src/http': { parts: STAGE, packages: ['fastify'], builtins: 'all' },
    'src/ingest.ts': { parts: STAGE, packages: [], builtins: [] },
    'src/metrics.ts': { parts: 'all', packages: ['prom-client'], builtins: 'all' },
    'src/config': { parts: [], packages: ['yaml', 're2js'], builtins: ['node:fs'] },
    'src/version.ts': { parts: [], packages: [], builtins: ['node:fs'] },
    'src/cli.ts': { parts: ['src/config'], packages: [], builtins: ['node:util'] },
    'src/app-options.ts': { parts: 'all', packages: [], builtins: ['node:os'] },
    'src/open-sink.ts': { parts: 'all', packages: [], builtins: [] },
    'src/open-store.ts': { parts: 'all', packages: [], builtins: [] },
    'src/gauges.ts': { parts: 'all', packages: [], builtins: [] },
    'src/app.ts': { parts: 'all', packages: ['fastify'], builtins: 'all' },
    'src/main.ts': {
      parts: [
        'src/app.ts',
        'src/config',
        'src/cli.ts',
        'src/version.ts',
        'src/model',
        'src/util',
        'src/errors.ts',
      ],
      packages: ['pino'],
      builtins: 'all',
    },
    routes: { parts: [...STAGE, 'src/protocol', 'src/http'], packages: ['fastify'], builtins: 'all' },
  } satisfies Record<string, PartRule>),
);

/** What only certain files may mention. */
const RESERVED: readonly { readonly pattern: RegExp; readonly what: string; readonly allowed: RegExp }[] = [
  { pattern: /\bprocess\.env\b/, what: 'process.env', allowed: /^src\/config(\.ts$|\/)/ },
  { pattern: /\bprocess\.exit\b/, what: 'process.exit', allowed: /^src\/main\.ts$/ },
  {
    pattern: /\bDate\.now\b|\bperformance\.now\b|\bset(Timeout|Interval|Immediate)\b/,
    what: 'the real clock (there is model/clock.ts)',
    allowed: /^(?!src\/(model|protocol|guard|ddl)\/)/,
  },
  {
    pattern: /\bfrom ['"](etcd3|cockatiel)['"]/,
    what: 'etcd3 (only the etcd store may)',
    allowed: /^src\/ddl\/etcd-/,
  },
  { pattern: /\brequire\(|\bcreateRequire\b/, what: 'require', allowed: /^$/ },
  { pattern: /\bimport\((?!\s*['"])/, what: 'import() of a computed name', allowed: /^$/ },
];

const MAX_LINES = 300;

const IMPORTS = [
  /^\s*(?:import|export)\s[^'"`;]*?\bfrom\s*(['"])([^'"]+)\1/gm,
  /^\s*import\s*(['"])([^'"]+)\1/gm,
  /\bimport\(\s*(['"])([^'"]+)\1/g,
];

/** What is wrong with the file, one sentence each. `path` is relative to the root, with forward slashes. */
export function violationsOf(path: string, source: string): readonly string[] {
  const found: string[] = [];
  const part = partOf(path);
  const rule = RULES.get(part);
  if (rule === undefined) found.push(`${path}: ${part} is not in the table of test/helpers/architecture.ts`);
  else found.push(...importsOf(source).flatMap((name) => importViolation({ path, part, rule, name })));
  const code = source.replace(/^\s*(\/\/|\/?\*).*$/gm, '');
  for (const { pattern, what, allowed } of RESERVED) {
    if (pattern.test(code) && !allowed.test(path)) found.push(`${path}: may not use ${what}`);
  }
  const lines = source.trimEnd().split('\n').length;
  if (lines > MAX_LINES) found.push(`${path}: has ${lines} lines, more than ${MAX_LINES}`);
  return found;
}

/** `src/sink/duckdb/writer.ts` belongs to `src/sink/duckdb`, `src/config.ts` to `src/config`. */
function partOf(path: string): string {
  const folders = posix.dirname(path).split('/');
  if (folders[0] === 'routes') return 'routes';
  if (folders.length === 1) return path === 'src/config.ts' ? 'src/config' : path;
  return folders.slice(0, folders[1] === 'sink' ? 3 : 2).join('/');
}

function importsOf(source: string): readonly string[] {
  return IMPORTS.flatMap((pattern) => [...source.matchAll(pattern)].map(([, , name]) => name as string));
}

interface Import {
  readonly path: string;
  readonly part: string;
  readonly rule: PartRule;
  readonly name: string;
}

function importViolation({ path, part, rule, name }: Import): readonly string[] {
  const allowed = isRelative(name)
    ? isAllowedPart(rule, part, posix.join(posix.dirname(path), name))
    : includes(name.startsWith('node:') ? rule.builtins : rule.packages, packageOf(name));
  return allowed ? [] : [`${path}: ${part} may not import ${name}`];
}

function isRelative(name: string): boolean {
  return name.startsWith('./') || name.startsWith('../');
}

function isAllowedPart(rule: PartRule, part: string, target: string): boolean {
  if (!/^(src|routes)\/.*\.ts$/.test(target)) return false;
  return partOf(target) === part || includes(rule.parts, partOf(target));
}

function includes(allowed: readonly string[] | 'all', name: string): boolean {
  return allowed === 'all' || allowed.includes(name);
}

/** `@duckdb/node-api/lib/x` is of `@duckdb/node-api`, `node:fs/promises` of `node:fs`. */
function packageOf(name: string): string {
  return name
    .split('/')
    .slice(0, name.startsWith('@') ? 2 : 1)
    .join('/');
}
