/**
 * How many databases and tables there are, against how many there may be. The truth is a count in the database,
 * taken at the first need and then on a slow timer; in between, what this gateway makes is added, and creates
 * that are under way hold their place, so that many at once can't overshoot. What other gateways make or somebody
 * drops shows at the next count.
 */

import type { Clock } from '../model/clock.ts';
import type { DdlTarget } from '../model/ddl-queue.ts';
import type { Logger } from '../model/logger.ts';
import type { DatabaseInventory, DdlExecutor } from '../model/sink.ts';
import { createAbortController } from '../util/abort.ts';
import { exponentialMs, jitterMs, type Random } from '../util/backoff.ts';
import type { BudgetOptions } from './options.ts';
import { createSingleFlight } from './single-flight.ts';
import { within } from './within.ts';

const COUNT_TIMEOUT_MS = 30_000;
const MIN_RETRY_MS = 500;

/** `held`: what is left is held by creates under way, some of which may fail. */
export type Room = 'free' | 'held' | 'none';

/** What the budget works with. */
export interface BudgetDeps {
  readonly ddl: Pick<DdlExecutor, 'inventory'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: Random;
}

/** See the module comment. The first count is made when `count` is called or the timer fires. */
export class Budget {
  readonly #options: BudgetOptions;
  readonly #deps: BudgetDeps;
  readonly #closing = createAbortController();
  readonly #counts = createSingleFlight<undefined, void>();
  readonly #databasesUnderWay = new Map<string, number>();
  readonly #tablesUnderWay = new Map<string, number>();
  readonly #keeper: Promise<void>;
  #tables: Map<string, number> | undefined;
  #failures = 0;
  #retryAtMs = 0;

  constructor(options: BudgetOptions, deps: BudgetDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#keeper = this.#keepCounting();
  }

  /** False until the first count has succeeded; nothing else may be asked before. */
  get counted(): boolean {
    return this.#tables !== undefined;
  }

  /** Counts now, unless a count failed just now; answers when to try again, or undefined when it is counted. */
  async count(): Promise<{ readonly retryAfterMs: number } | undefined> {
    if (this.#deps.clock.now() >= this.#retryAtMs) {
      await (this.#counts.find('')?.result ?? this.#counts.start('', undefined, () => this.#recount()));
    }
    if (this.counted) return undefined;
    return { retryAfterMs: Math.max(0, this.#retryAtMs - this.#deps.clock.now()) };
  }

  /** What the budgets are compared with: databases, and tables of the one that has most. */
  stats(): { readonly databases: number; readonly mostTables: number } {
    return { databases: this.#tables?.size ?? 0, mostTables: Math.max(0, ...(this.#tables?.values() ?? [])) };
  }

  /** Names of the databases there are, as of the last count and what was seen since; undefined: not counted yet. */
  async databases(): Promise<readonly string[] | undefined> {
    if (!this.counted) await this.count();
    return this.#tables && [...this.#tables.keys()];
  }

  hasDatabase(database: string): boolean {
    return this.#tables?.has(database) === true;
  }

  /** Is there room for another database? */
  databaseRoom(): Room {
    return roomOf(this.#tables?.size ?? 0, this.#databasesUnderWay.size, this.#options.maxDatabases);
  }

  /** Is there room for another table? `planned`: so many are to be counted as under way besides. */
  tableRoom(database: string, planned = 0): Room {
    const underWay = (this.#tablesUnderWay.get(database) ?? 0) + planned;
    return roomOf(this.#tables?.get(database) ?? 0, underWay, this.#options.maxTablesPerDatabase);
  }

  /** Holds a place for something that is being made (columns take none); call the answer once when that ended. */
  reserve({ database, table }: DdlTarget, exists: boolean): () => void {
    if (exists) return () => undefined;
    const family = table === undefined ? this.#databasesUnderWay : this.#tablesUnderWay;
    family.set(database, (family.get(database) ?? 0) + 1);
    return () => {
      const left = (family.get(database) ?? 1) - 1;
      if (left === 0) family.delete(database);
      else family.set(database, left);
    };
  }

  /** The database is there: counted in until the next count. */
  sawDatabase(database: string): void {
    if (this.#tables?.has(database) === false) this.#tables.set(database, 0);
  }

  /** A table was made: counted in until the next count. */
  sawTable(database: string): void {
    this.#tables?.set(database, (this.#tables.get(database) ?? 0) + 1);
  }

  /** Stops the timer and gives up a count under way. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort(new Error('the guard was closed'));
    await Promise.all([this.#keeper, this.#counts.idle()]);
  }

  async #keepCounting(): Promise<void> {
    const { clock, random } = this.#deps;
    const { signal } = this.#closing;
    try {
      while (!signal.aborted) {
        await clock.sleep(jitterMs(this.#options.recountMs, 0.2, random), signal);
        await this.count();
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  async #recount(): Promise<void> {
    const { ddl, clock, logger, random } = this.#deps;
    const { signal } = this.#closing;
    const stop = new AbortController();
    try {
      const inventory = await within(ddl.inventory(stop.signal), COUNT_TIMEOUT_MS, clock, signal);
      if (inventory === undefined) throw new Error(`no answer within ${COUNT_TIMEOUT_MS} ms`);
      this.#tables = byDatabase(inventory);
      this.#failures = 0;
    } catch (error) {
      const backoffMs = exponentialMs(MIN_RETRY_MS, this.#options.recountMs, ++this.#failures);
      this.#retryAtMs = clock.now() + jitterMs(backoffMs, 0.2, random);
      if (!signal.aborted) logger.warn({ err: error }, 'the tables could not be counted');
    } finally {
      stop.abort();
    }
  }
}

function roomOf(made: number, underWay: number, max: number): Room {
  if (made >= max) return 'none';
  return made + underWay >= max ? 'held' : 'free';
}

function byDatabase(inventory: readonly DatabaseInventory[]): Map<string, number> {
  return new Map(inventory.map(({ database, tables }) => [database, tables]));
}
