/**
 * A run of the fuzzer against a real gateway over DuckDB. Its oracle: the gateway lives, every connection ends, nothing
 * malformed is a 5xx, what good senders wrote in between is stored exactly, and afterwards nothing is held any more.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cleanup } from '../helpers/etcd.ts';
import { type Gateway, metric, post, query, startGateway } from '../helpers/gateway.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { eventually } from '../helpers/wait.ts';
import { type FuzzCase, makeCase, SEEDS, type Seed } from './cases.ts';
import { answersIn, type Exchange, send } from './connection.ts';

/** How to run. */
export interface FuzzOptions {
  readonly folder: string;
  readonly seed: number;
  /** Asked before each case: go on? */
  readonly more: (done: number) => boolean;
  readonly progress?: (line: string) => void;
  /** Options of the gateway beside those of the fuzzer. */
  readonly env?: Readonly<Record<string, string>>;
}

/** What came of it. */
export interface FuzzReport {
  readonly cases: number;
  readonly statuses: ReadonlyMap<string, number>;
  /** Distinct answers met. */
  readonly answers: number;
  readonly failures: readonly string[];
}

/** A connection that is open for longer hangs: the gateway gives a request 5 s to come in. */
const LIMIT_MS = 20_000;
const AT_ONCE = 8;
const GOOD_EVERY = 50;
const PROGRESS_EVERY = 5_000;
const MAX_CORPUS = 2_000;
const MAX_FAILURES = 20;
/** With a dictionary of 64 MiB; what DuckDB may use is in it. */
const MAX_RSS_BYTES = 1_500 * 1024 ** 2;

const ENV = {
  SLUICE_LISTEN_REQUEST_TIMEOUT_MS: '5000',
  SLUICE_LISTEN_HEADERS_TIMEOUT_MS: '5000',
  SLUICE_DICTIONARY_MAX_BYTES: '64MiB',
  SLUICE_DUCKDB_MEMORY_BYTES: '256MiB',
  SLUICE_POLICY_MAX_TABLES_PER_DATABASE: '300',
  SLUICE_POLICY_MAX_DATABASES: '8',
  SLUICE_LOG_LEVEL: 'info',
  SLUICE_SQL_MAX_ROWS: '1000000',
  // As many as are sent at once, or some would be told to come again.
  SLUICE_SQL_MAX_CONCURRENT: '8',
};

/** Runs cases until `more` says no or too many failed. */
export async function fuzz(cleanup: Cleanup, options: FuzzOptions): Promise<FuzzReport> {
  const gateway = await startGateway(cleanup, options.folder, { ...ENV, ...options.env });
  return await new FuzzRun(gateway, options).run();
}

/** Sends a case that a run has written to a file; answers what failed. */
export async function replay(cleanup: Cleanup, folder: string, file: string): Promise<readonly string[]> {
  const { bytes, cuts } = JSON.parse(readFileSync(file, 'utf8')) as { bytes: string; cuts: number[] };
  const gateway = await startGateway(cleanup, folder, ENV);
  const made = { bytes: Buffer.from(bytes, 'base64'), cuts };
  const exchange = await send(gateway.port, made, LIMIT_MS);
  return faultsOf(exchange, gateway);
}

class FuzzRun {
  readonly #gateway: Gateway;
  readonly #options: FuzzOptions;
  readonly #corpus: Seed[] = [...SEEDS];
  readonly #seen = new Set<string>();
  readonly #statuses = new Map<string, number>();
  readonly #failures: string[] = [];
  #cases = 0;
  #good = 0;

  constructor(gateway: Gateway, options: FuzzOptions) {
    this.#gateway = gateway;
    this.#options = options;
  }

  async run(): Promise<FuzzReport> {
    await this.#writeGood();
    const descriptors = openDescriptors(this.#gateway);
    await Promise.all(Array.from({ length: AT_ONCE }, (_, worker) => this.#work(worker)));
    if (this.#gateway.child.exitCode === null) await this.#afterwards(descriptors);
    return {
      cases: this.#cases,
      statuses: this.#statuses,
      answers: this.#seen.size,
      failures: this.#failures,
    };
  }

  async #work(worker: number): Promise<void> {
    const random = seededRandom(this.#options.seed * AT_ONCE + worker);
    while (this.#failures.length < MAX_FAILURES && this.#options.more(this.#cases)) {
      const done = ++this.#cases;
      if (done % GOOD_EVERY === 0) await this.#writeGood();
      if (done % PROGRESS_EVERY === 0) this.#options.progress?.(this.#line());
      const { seed, made } = makeCase(random, this.#corpus);
      const exchange = await send(this.#gateway.port, made, LIMIT_MS);
      this.#learn(seed, exchange);
      for (const fault of faultsOf(exchange, this.#gateway)) this.#fail(fault, made);
    }
  }

  /** What brings an answer that was not seen before is worth damaging further. */
  #learn(seed: Seed, { received }: Exchange): void {
    const answers = answersIn(received);
    for (const { status } of answers) {
      this.#statuses.set(String(status), (this.#statuses.get(String(status)) ?? 0) + 1);
    }
    const signature = shapeOf(
      answers.length > 0
        ? answers.map(({ status, body }) => `${status} ${body}`)
        : [received.toString('latin1')],
    );
    if (this.#seen.has(signature) || this.#seen.size > 100_000) return;
    this.#seen.add(signature);
    if (this.#corpus.length < MAX_CORPUS) this.#corpus.push(seed);
  }

  /** A good sender between the others: its points are numbered. */
  async #writeGood(): Promise<void> {
    const n = this.#good++;
    const { url } = this.#gateway;
    const [put, line] = await Promise.all([
      post(
        `${url}/api/put`,
        JSON.stringify({ metric: 'good', timestamp: n + 1, value: n, tags: { host: 'a' } }),
      ),
      post(`${url}/write?db=good&precision=s`, `good,host=a v=${n}i ${n + 1}`),
    ]).catch(
      (error: unknown) =>
        [
          { status: 0, text: String(error) },
          { status: 204, text: '' },
        ] as const,
    );
    for (const { status, text } of [put, line]) {
      if (status !== 204) this.#fail(`a good point got ${status} ${text}`);
    }
  }

  async #afterwards(descriptors: number): Promise<void> {
    const { url } = this.#gateway;
    await this.#expectRows(url, 'SELECT count(DISTINCT value), sum(value) FROM good', 'public');
    await this.#expectRows(url, 'SELECT count(DISTINCT v), sum(v) FROM good', 'good');
    const bodies = await metric(url, 'sluice_inflight_body_bytes');
    if (bodies !== 0) this.#fail(`${bodies} bytes of bodies are still held`);
    const rss = await metric(url, 'process_resident_memory_bytes');
    if (rss > MAX_RSS_BYTES) this.#fail(`${Math.round(rss / 1024 ** 2)} MiB of memory are in use`);
    const back = (): boolean => openDescriptors(this.#gateway) <= descriptors + 2;
    await eventually('descriptors are back', back, 30_000).catch(() =>
      this.#fail(`${openDescriptors(this.#gateway)} descriptors are open, ${descriptors} were before`),
    );
  }

  async #expectRows(url: string, sql: string, database: string): Promise<void> {
    const expected = [this.#good, (this.#good * (this.#good - 1)) / 2];
    const found = (JSON.parse(await query(url, sql, database)) as unknown[][])[0]?.map(Number);
    if (found?.join() !== expected.join())
      this.#fail(`${database}: ${found?.join()} of good points, not ${expected.join()}`);
  }

  #fail(what: string, made?: FuzzCase): void {
    const number = this.#failures.length + 1;
    let where = '';
    if (made !== undefined) {
      const file = join(this.#options.folder, `failure-${number}.json`);
      writeFileSync(file, JSON.stringify({ what, bytes: made.bytes.toString('base64'), cuts: made.cuts }));
      where = ` (npm run fuzz -- --replay ${file})`;
    }
    this.#failures.push(`${what}${where}`);
  }

  #line(): string {
    const counts = [...this.#statuses]
      .sort(([a], [b]) => a.localeCompare(b))
      .map(([status, count]) => `${status}: ${count}`);
    return `${this.#cases} cases, ${this.#seen.size} distinct answers, ${this.#failures.length} failures; ${counts.join(', ')}`;
  }
}

/** What is wrong with an exchange, whatever was sent. */
export function faultsOf(
  { received, hung }: Exchange,
  { child }: { readonly child: Pick<Gateway['child'], 'exitCode' | 'signalCode'> },
): readonly string[] {
  const faults = answersIn(received)
    .filter(({ status, body }) => status >= 500 && !(status === 501 && body.includes('API version')))
    .map(({ status, body }) => `answered ${status}: ${body.slice(0, 120)}`);
  if (hung) faults.push(`the connection was not ended within ${LIMIT_MS} ms`);
  if (child.exitCode !== null || child.signalCode !== null)
    faults.push(`the gateway ended: ${child.exitCode ?? child.signalCode}`);
  return faults;
}

/** Answers alike but for names and numbers count as one. */
function shapeOf(answers: readonly string[]): string {
  return answers
    .map((answer) =>
      answer
        .slice(0, 120)
        .replace(/\d+/g, '0')
        .replace(/'[^']*'|\\?"[^"]*"/g, 'x'),
    )
    .join('|');
}

function openDescriptors({ child }: Gateway): number {
  return readdirSync(`/proc/${child.pid}/fd`).length;
}
