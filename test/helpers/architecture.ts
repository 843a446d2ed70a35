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
  /** Built-in modules of Node; `node:fs` stands for `node:fs/promises` too. */
  readonly builtins: readonly string[];
}

/** What every stage may import. Whatever else is granted is used: a test asks for its removal when it is not. */
const STAGE = ['src/model', 'src/util', 'src/errors.ts'];

const RULES: ReadonlyMap<string, PartRule> = new Map(
  Object.entries({
    'src/model': { parts: [], packages: [], builtins: ['node:buffer', 'node:crypto'] },
    'src/errors.ts': { parts: [], packages: [], builtins: [] },
    'src/util': {
      parts: ['src/model', 'src/errors.ts'],
      packages: [],
      builtins: ['node:crypto', 'node:events', 'node:fs', 'node:timers'],
    },
    'src/protocol': { parts: STAGE, packages: [], builtins: ['node:buffer'] },
    'src/guard': { parts: STAGE, packages: ['bottleneck', 'lru-cache', 're2js'], builtins: ['node:crypto'] },
    'src/ddl': {
      parts: STAGE,
      packages: ['bottleneck', 'lru-cache', 'etcd3', 'cockatiel'],
      builtins: ['node:crypto', 'node:http', 'node:https', 'node:stream', 'node:tls'],
    },
    'src/sink': { parts: STAGE, packages: [], builtins: [] },
    'src/sink/discard': { parts: STAGE, packages: [], builtins: ['node:crypto'] },
    'src/sink/duckdb': {
      parts: STAGE,
      packages: ['@duckdb/node-api', '@duckdb/node-bindings'],
      builtins: ['node:buffer', 'node:crypto', 'node:fs', 'node:path'],
    },
    'src/sink/greptimedb': {
      parts: STAGE,
      packages: ['lru-cache'],
      builtins: ['node:fs', 'node:http', 'node:https', 'node:util', 'node:zlib'],
    },
    'src/sink/postgres': {
      parts: STAGE,
      packages: ['pg'],
      builtins: ['node:buffer', 'node:crypto', 'node:fs'],
    },
    'src/protect': { parts: STAGE, packages: [], builtins: ['node:perf_hooks', 'node:v8'] },
    'src/spool': {
      parts: STAGE,
      packages: ['classic-level'],
      builtins: ['node:buffer', 'node:fs', 'node:path', 'node:zlib'],
    },
    'src/http': {
      parts: STAGE,
      packages: ['fastify'],
      builtins: ['node:buffer', 'node:http', 'node:net', 'node:tls', 'node:zlib'],
    },
    'src/access': { parts: STAGE, packages: ['lru-cache', 'yaml'], builtins: ['node:crypto'] },
    'src/tcp': { parts: STAGE, packages: [], builtins: ['node:net', 'node:timers'] },
    'src/ingest': { parts: STAGE, packages: [], builtins: [] },
    'src/metrics': {
      parts: [
        'src/ddl',
        'src/guard',
        'src/http',
        'src/ingest',
        'src/protect',
        'src/sink',
        'src/spool',
        'src/util',
        'src/tcp',
      ],
      packages: ['prom-client'],
      builtins: [],
    },
    'src/config': { parts: [], packages: ['yaml', 're2js'], builtins: ['node:fs'] },
    'src/version.ts': { parts: [], packages: [], builtins: ['node:fs'] },
    'src/commands': {
      parts: [...STAGE, 'src/access', 'src/spool'],
      packages: [],
      builtins: ['node:fs', 'node:path', 'node:util'],
    },
    'src/cli.ts': { parts: ['src/commands', 'src/config'], packages: [], builtins: ['node:util'] },
    'src/app-options.ts': {
      parts: [
        'src/config',
        'src/ddl',
        'src/guard',
        'src/protocol',
        'src/sink/duckdb',
        'src/sink/greptimedb',
        'src/sink/postgres',
        'src/spool',
      ],
      packages: [],
      builtins: ['node:os'],
    },
    'src/open-sink.ts': {
      parts: [
        'src/app-options.ts',
        'src/config',
        'src/metrics',
        'src/model',
        'src/sink/discard',
        'src/sink/duckdb',
        'src/sink/greptimedb',
        'src/sink/postgres',
        'src/util',
      ],
      packages: [],
      builtins: [],
    },
    'src/open-store.ts': {
      parts: ['src/app-options.ts', 'src/config', 'src/ddl', 'src/metrics', 'src/model', 'src/util'],
      packages: [],
      builtins: [],
    },
    'src/open-spool.ts': {
      parts: ['src/app-options.ts', 'src/config', 'src/metrics', 'src/model', 'src/spool'],
      packages: [],
      builtins: [],
    },
    'src/gauges.ts': {
      parts: ['src/guard', 'src/metrics', 'src/model', 'src/sink'],
      packages: [],
      builtins: [],
    },
    'src/app': {
      parts: 'all',
      packages: ['fastify', '@fastify/swagger'],
      builtins: ['node:crypto', 'node:fs', 'node:http', 'node:os'],
    },
    'src/stop-signal.ts': { parts: ['src/model'], packages: [], builtins: [] },
    'src/main.ts': {
      parts: [
        'src/app',
        'src/config',
        'src/cli.ts',
        'src/commands',
        'src/errors.ts',
        'src/stop-signal.ts',
        'src/util',
        'src/version.ts',
      ],
      packages: ['pino'],
      builtins: ['node:events'],
    },
    'src/admin': { parts: STAGE, packages: ['typebox'], builtins: ['node:crypto'] },
    routes: {
      parts: [...STAGE, 'src/http', 'src/admin'],
      packages: ['fastify', '@fastify/type-provider-typebox', 'typebox'],
      builtins: ['node:crypto', 'node:http'],
    },
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

/** What the table grants and no source uses, and its parts that are not there. `sources`: texts by path. */
export function unusedGrants(sources: ReadonlyMap<string, string>): readonly string[] {
  const used = new Map<string, Set<string>>();
  for (const [path, source] of sources) {
    const part = partOf(path);
    if (!used.has(part)) used.set(part, new Set());
    for (const name of importsOf(source)) used.get(part)?.add(targetOf(path, name));
  }
  return [...RULES].flatMap(([part, { parts, packages, builtins }]) => {
    const names = used.get(part);
    if (names === undefined) return [`${part} is not there`];
    return [...(parts === 'all' ? [] : parts), ...packages, ...builtins]
      .filter((name) => !names.has(name) && !STAGE.includes(name))
      .map((name) => `${part} does not import ${name}`);
  });
}

/** What an import is granted as: a part, a package, or a built-in module. */
function targetOf(path: string, name: string): string {
  return isRelative(name) ? partOf(posix.join(posix.dirname(path), name)) : packageOf(name);
}

/** Files that make one part with a folder of the same name, or with others whose names begin with it. */
const SPREAD = /^(src\/(?:config|ingest|metrics|app))(?:-(?!options)\w+)?\.ts$/;

/** `src/sink/duckdb/writer.ts` belongs to `src/sink/duckdb`, `src/config.ts` to `src/config`. */
function partOf(path: string): string {
  const folders = posix.dirname(path).split('/');
  if (folders[0] === 'routes') return 'routes';
  if (folders.length === 1) return SPREAD.exec(path)?.[1] ?? path;
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
