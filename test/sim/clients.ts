/** Those who ask the gateways of a simulation for tables: of several tenants, with hopeful and with hopeless wishes. */
import type { ColumnSpec } from '../../src/model/column.ts';
import type { DdlOutcome, DdlRequest, DdlSubmission, ForgetScope } from '../../src/model/ddl-queue.ts';
import type { Random } from '../../src/util/backoff.ts';
import { column, NEVER, wanted } from '../helpers/ddl-harness.ts';
import { pickOne } from '../helpers/seeded-random.ts';
import { TABLE_KINDS } from './database.ts';
import type { GatewayProcess } from './process.ts';
import { targetOf } from './statement-rules.ts';

/** What the clients need of the cluster. */
export interface ClientsDeps {
  readonly random: Random;
  readonly trace: (who: string, what: string) => void;
  readonly complain: (what: string) => void;
  readonly exists: (target: string) => boolean;
  readonly serving: () => readonly GatewayProcess[];
  readonly schedule: (ms: number, then: () => void) => void;
}

interface Waiting {
  readonly process: GatewayProcess;
  readonly what: string;
}

const TENANTS = ['t1', 't2', 't3', 't4', 't5'];
const WANTS: readonly (readonly ColumnSpec[])[] = [
  [column('value')],
  [column('value'), column('more')],
  [column('value'), column('yet-more')],
  [column('value', 'string')],
];

/** See the module comment. */
export class Clients {
  /** How many submits had which answer. */
  readonly answers = new Map<string, number>();
  readonly #deps: ClientsDeps;
  readonly #waiting = new Set<Waiting>();
  #latest: DdlRequest | undefined;

  constructor(deps: ClientsDeps) {
    this.#deps = deps;
  }

  /** Names of the processes, still alive, that have not answered somebody. */
  get unanswered(): readonly string[] {
    return [...this.#waiting].filter(({ process }) => !process.life.dead).map(({ what }) => what);
  }

  /** Somebody asks for something; now and then many at once, or again and again for some seconds. */
  request(): void {
    const { random } = this.#deps;
    // Many ask again for what they have asked for, all the more when it failed.
    if (random() > 0.3) this.#latest = this.#wish(this.tableName(random));
    const request = this.#latest ?? this.#wish(this.tableName(random));
    const dice = random();
    if (dice < 0.1) this.#ask(request, 8, 0);
    else if (dice < 0.2) this.#ask(request, 8, random() * 8_000);
    else this.#ask(request, 1, 0);
  }

  /** For a while one tenant asks all gateways for what is not to be had. */
  insist(withinMs: number): void {
    const { random } = this.#deps;
    const kind = random() < 0.5 ? 'bad' : 'never';
    const wish = this.#wish(`${kind}-0`);
    for (let index = 0; index < 3; index++) this.#ask({ ...wish, table: `${kind}-${index}` }, 6, withinMs);
  }

  /** Asks one gateway, and answers how it ended. */
  async submit(process: GatewayProcess, request: DdlRequest): Promise<DdlOutcome | 'refused' | undefined> {
    const what = `${process.id} submit ${request.database}.${request.table}`;
    const waiting = { process, what };
    this.#waiting.add(waiting);
    const submission = await process.queue.submit(request, NEVER);
    this.#note(process, request, submission);
    const outcome = submission.kind === 'refused' ? ('refused' as const) : await submission.outcome;
    this.#waiting.delete(waiting);
    if (submission.kind !== 'refused')
      this.#judge(request, submission, outcome as DdlOutcome | undefined, what);
    return outcome;
  }

  /** Somebody drops negative results. */
  forget(process: GatewayProcess): void {
    const { random, trace } = this.#deps;
    const dice = random();
    const table = this.tableName(random);
    const database = this.#tenant();
    const scope: ForgetScope =
      dice < 0.4 ? { kind: 'all' } : { kind: dice < 0.7 ? 'table' : 'prefix', database, table };
    trace(process.id, `forget ${scope.kind}`);
    const waiting = { process, what: `${process.id} forget` };
    this.#waiting.add(waiting);
    const forgotten = process.queue.forget(scope, NEVER).catch(() => undefined);
    void forgotten.then(() => this.#waiting.delete(waiting));
  }

  /** The name of some table. */
  tableName(random: Random): string {
    const kind = pickOne(random, TABLE_KINDS);
    return `${kind}-${Math.floor(random() * (kind === 'good' ? 20 : 3))}`;
  }

  /** Asks any gateways, the first at once. */
  #ask(request: DdlRequest, times: number, withinMs: number): void {
    const { random, serving, schedule } = this.#deps;
    const ask = (): void => {
      const process = pickOne(random, serving());
      if (process !== undefined) void this.submit(process, request);
    };
    ask();
    for (let count = 1; count < times; count++) schedule(random() * withinMs, ask);
  }

  #wish(table: string): DdlRequest {
    const { random } = this.#deps;
    const database = this.#tenant();
    const tenant = random() < 0.9 ? database : this.#tenant();
    const columns = WANTS[Math.floor(random() ** 2 * WANTS.length)] ?? [column('value')];
    return wanted(random() < 0.97 ? table : undefined, { database, tenant, columns });
  }

  #tenant(): string {
    return pickOne(this.#deps.random, TENANTS) ?? 't1';
  }

  #note(process: GatewayProcess, { database, table }: DdlRequest, submission: DdlSubmission): void {
    const answer = submission.kind === 'refused' ? `refused: ${submission.reason}` : submission.kind;
    this.answers.set(answer, (this.answers.get(answer) ?? 0) + 1);
    this.#deps.trace(process.id, `submit ${database}.${table}: ${answer}`);
  }

  /** What was told to be there is there. */
  #judge(request: DdlRequest, { kind }: DdlSubmission, outcome: DdlOutcome | undefined, what: string): void {
    this.#deps.trace('sim', `${what}: ${kind} and then ${outcome?.kind}`);
    if (outcome?.kind === 'ok' && !this.#deps.exists(targetOf(request))) {
      this.#deps.complain(`${what} ended ok, but there is no such table`);
    }
  }
}
