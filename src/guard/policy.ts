/**
 * What configuration and the database's own rules say about names. Patterns are RE2 syntax, compiled once, matched
 * against the whole name in time linear in its length, whatever the name (`.` matches line breaks too: a name must
 * not get past a rule by holding one). What was decided about a table is kept in a bounded cache, so refusing the
 * same name again costs a lookup.
 */
import { LRUCache } from 'lru-cache';
import { RE2JS } from 're2js';
import { GatewayError } from '../errors.ts';
import type { RejectReason, Verdict } from '../model/admission.ts';
import type { ColumnSpec } from '../model/column.ts';
import type { NameRules } from '../model/sink.ts';
import { type TableId, tableKey } from '../model/table.ts';
import { shortKey } from './keys.ts';
import type { CacheBounds, PolicyOptions } from './options.ts';
import { quote, rejected } from './verdict.ts';

/** See the module comment; every method answers why not, or undefined. */
export interface Policy {
  /** Is the name refused, whether there is such a table or not? */
  refusesName(id: TableId): Verdict | undefined;
  /** May a table (or its database) that does not exist not be made? */
  refusesCreate(id: TableId): Verdict | undefined;
  /** May a table that exists not be given columns? */
  refusesAlter(): Verdict | undefined;
  /** May a new column not be called that? */
  refusesColumn(column: ColumnSpec): Verdict | undefined;
  /** True when a refusal for this reason is only to be counted. */
  onlyObserves(reason: RejectReason): boolean;
  /** Decisions in the cache. */
  readonly decisions: number;
}

interface Decision {
  readonly name: Verdict | undefined;
  readonly create: Verdict | undefined;
}

type Matcher = (name: string) => boolean;

/** Rules of configuration; what the database can't hold is not among them. */
const OBSERVABLE: ReadonlySet<RejectReason> = new Set([
  'denied_name',
  'not_allowed',
  'table_budget',
  'column_budget',
  'database_budget',
]);

const ALTER_OFF = rejected('auto_create_off', 'columns are not created automatically');

/**
 * One test for a list of patterns; each must match the whole name.
 * @throws {GatewayError} config_invalid naming the pattern that is not RE2 syntax.
 */
export function compilePatterns(patterns: readonly string[]): Matcher {
  const compiled = patterns.map((pattern) => {
    try {
      return RE2JS.compile(pattern, RE2JS.DOTALL);
    } catch (cause) {
      throw new GatewayError('config_invalid', `not a pattern in RE2 syntax: ${quote(pattern)}`, { cause });
    }
  });
  return (name) => compiled.some((pattern) => pattern.testExact(name));
}

/**
 * Compiles the patterns.
 * @throws {GatewayError} config_invalid naming the pattern that is not RE2 syntax.
 */
export function createPolicy(options: PolicyOptions, bounds: CacheBounds, names: NameRules): Policy {
  const judge = createJudge(options, names);
  const reserved = new Set(options.reservedColumns);
  const decisions = new LRUCache<string, Decision>({
    max: bounds.maxEntries,
    maxSize: bounds.maxBytes,
    sizeCalculation: bytesOf,
  });

  function decide(id: TableId): Decision {
    const key = shortKey(tableKey(id));
    const known = decisions.get(key);
    if (known !== undefined) return known;
    const decision = judge(id);
    decisions.set(key, decision);
    return decision;
  }

  return {
    refusesName: (id) => decide(id).name,
    refusesCreate: (id) => decide(id).create,
    refusesAlter: () => (options.autoCreate === 'off' ? ALTER_OFF : undefined),
    refusesColumn(column) {
      if (reserved.has(column.name)) {
        return rejected('reserved_column', `column name ${quote(column.name)} is reserved`);
      }
      const impossible = names.checkColumn(column);
      return impossible === undefined ? undefined : rejected('impossible_name', impossible);
    },
    onlyObserves: (reason) => options.autoCreate === 'observe' && OBSERVABLE.has(reason),
    get decisions() {
      return decisions.size;
    },
  };
}

/** What the rules say about a table, asked once per name as long as the cache keeps it. */
function createJudge(options: PolicyOptions, names: NameRules): (id: TableId) => Decision {
  const deniedDatabase = compilePatterns(options.denyDatabases);
  const deniedTable = compilePatterns(options.denyTables);
  const allowedDatabase = allowList(options.allowDatabases);
  const allowedTable = allowList(options.allowTables);

  function judgeName({ database, table }: TableId): Verdict | undefined {
    const impossible = names.checkDatabase(database) ?? names.checkTable({ database, table });
    if (impossible !== undefined) return rejected('impossible_name', impossible);
    if (deniedDatabase(database)) return rejected('denied_name', `database ${quote(database)} is denied`);
    if (deniedTable(table)) return rejected('denied_name', `measurement ${quote(table)} is denied`);
    return undefined;
  }

  function judgeCreate({ database, table }: TableId): Verdict | undefined {
    const what = `measurement ${quote(table)} in database ${quote(database)}`;
    if (options.autoCreate === 'off') {
      return rejected('auto_create_off', `${what} does not exist and is not created automatically`);
    }
    if (!allowedDatabase(database) || !allowedTable(table)) {
      return rejected('not_allowed', `${what} does not exist and is not on the list of what may be created`);
    }
    return undefined;
  }

  return (id) => ({ name: judgeName(id), create: judgeCreate(id) });
}

function allowList(patterns: readonly string[]): Matcher {
  return patterns.length === 0 ? () => true : compilePatterns(patterns);
}

/** Rough heap size: two bytes a character and the objects around it. */
function bytesOf(decision: Decision, key: string): number {
  const text = (decision.name?.message.length ?? 0) + (decision.create?.message.length ?? 0);
  return 300 + (key.length + text) * 2;
}
