/** Trouble of the store and of the database: compactions, no space, outages, and what people do to tables by hand. */
import { NEVER } from '../helpers/ddl-harness.ts';
import { pickOne } from '../helpers/seeded-random.ts';
import type { TroubleDeps } from './link-troubles.ts';

/** Fills the store beyond its quota, and to between the quota and the mark of shedding. */
const TOO_MUCH = 'x'.repeat(1_500_000);
const MUCH = 'x'.repeat(1_100_000);
const OTHER_KEY = '/other';

/** See the module comment. */
export class ServerTroubles {
  readonly #deps: TroubleDeps;

  constructor(deps: TroubleDeps) {
    this.#deps = deps;
  }

  /** The history goes, up to now or nearly. */
  async compact(): Promise<void> {
    const { cluster, random } = this.#deps;
    const { rev } = await cluster.store.status(NEVER);
    const at = Math.max(1, rev - Math.floor(random() ** 3 * 50));
    this.#trace(`compacted at ${at}`);
    await cluster.store.compact(at, NEVER).catch(() => undefined);
  }

  /** A put beyond the quota raises the alarm, for a while. */
  runFull(): void {
    const { cluster, random, spans } = this.#deps;
    this.#trace('no space');
    this.#putOther(TOO_MUCH);
    spans.during(random() * 20_000, () => {
      this.#trace('space again');
      cluster.store.disarm();
    });
  }

  /** Somebody else takes most of the quota, for a while. */
  fill(): void {
    const { cluster, random, spans } = this.#deps;
    const { store } = cluster;
    this.#trace('nearly full');
    this.#putOther(MUCH);
    spans.during(random() * 15_000, () => {
      this.#trace('room again');
      void store
        .txn({ compare: [], success: [{ op: 'delete', key: OTHER_KEY }] }, NEVER)
        .then(({ rev }) => store.compact(rev, NEVER))
        .catch(() => undefined);
      store.disarm();
    });
  }

  /** The database fails, or denies, everything for a while. */
  spoilMood(): void {
    const { cluster, random, spans } = this.#deps;
    const { database } = cluster;
    if (database.mood !== 'up') return;
    database.mood = random() < 0.6 ? 'down' : 'denying';
    this.#trace(`the database is ${database.mood}`);
    spans.during(random() * 15_000, () => {
      this.#trace('the database is up');
      database.mood = 'up';
    });
  }

  /** From now on tables of some name can be made. */
  heal(): void {
    const { cluster, clients, random } = this.#deps;
    const name = clients.tableName(random);
    this.#trace(`healed ${name}`);
    cluster.database.heal(name);
  }

  /** Somebody drops a table. */
  drop(): void {
    const { database } = this.#deps.cluster;
    const target = pickOne(this.#deps.random, [...database.tables.keys()]);
    if (target === undefined) return;
    this.#trace(`dropped ${JSON.stringify(target)}`);
    database.drop(target);
  }

  #putOther(value: string): void {
    const { store } = this.#deps.cluster;
    void store
      .txn({ compare: [], success: [{ op: 'put', key: OTHER_KEY, value }] }, NEVER)
      .catch(() => undefined);
  }

  #trace(what: string): void {
    this.#deps.cluster.trace.add('sim', what);
  }
}
