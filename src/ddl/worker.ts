/**
 * The leader's work: takes open tasks, the tenants in turn and each tenant's in the order they came, within the
 * limiter; lets the runner attempt them and the completer end them. A task is `ready`, `running`, or `waiting`
 * for its next attempt; the store knows none of this, so a new leader begins afresh.
 */
import type { Clock } from '../model/clock.ts';
import type { TaskProgress } from '../model/ddl-control.ts';
import type { Logger } from '../model/logger.ts';
import { createAbortController } from '../util/abort.ts';
import { exponentialMs, jitterMs, type Random } from '../util/backoff.ts';
import { createDeferred } from '../util/deferred.ts';
import type { TaskValue } from './codec.ts';
import type { Completer, Completion, Ending, TermScope } from './completer.ts';
import type { DdlRunner } from './ddl-runner.ts';
import type { Endings } from './endings.ts';
import { FairQueue } from './fair-queue.ts';
import { countAttempt, createJob, inOrder, type Job } from './job.ts';
import type { TurnLimiter } from './limiter.ts';
import type { DdlMetrics } from './metrics.ts';
import type { Probation } from './probation.ts';
import type { DdlView, Entry, ViewChange } from './view.ts';

/** What the worker works with. */
export interface WorkerDeps {
  readonly view: DdlView;
  readonly runner: DdlRunner;
  readonly completer: Completer;
  readonly endings: Endings;
  readonly probation: Probation;
  readonly limiter: TurnLimiter;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: DdlMetrics;
  /** True while this gateway leads, is sure of it, its view is current, and creates are not paused. */
  readonly mayAct: () => boolean;
  readonly concurrency: number;
  readonly retryBaseMs: number;
  readonly retryMaxMs: number;
  readonly taskMaxAgeMs: number;
}

interface Term extends TermScope {
  readonly controller: AbortController;
  /** By nonce. */
  readonly jobs: Map<string, Job>;
  readonly ready: FairQueue<Job>;
}

/** See the module comment. */
export class Worker {
  readonly #deps: WorkerDeps;
  readonly #stopping = createAbortController();
  readonly #killing = createAbortController();
  readonly #turns = new Set<Promise<boolean>>();
  #waitingTurns = 0;
  /** Turns that wait to learn what became of a statement. */
  #unclearTurns = 0;
  #term: Term | undefined;

  constructor(deps: WorkerDeps) {
    this.#deps = deps;
  }

  /** This gateway leads, and the view has the revision of the fence. */
  begin(fence: number): void {
    const controller = createAbortController();
    this.#term = { fence, controller, signal: controller.signal, jobs: new Map(), ready: new FairQueue() };
    for (const task of inOrder([...this.#deps.view.tasks.values()])) this.#add(this.#term, task);
    this.pump();
  }

  /** The term is over: what runs may end, but what it found is no longer this gateway's to say. */
  end(): void {
    this.#term?.controller.abort(new Error('the term is over'));
    this.#term = undefined;
  }

  viewChanged(changes: readonly ViewChange[]): void {
    const term = this.#term;
    if (term === undefined) return;
    for (const change of changes) {
      if (change.kind === 'task_gone') this.#remove(term, change.task);
    }
    for (const task of inOrder(changes.flatMap((c) => (c.kind === 'task' ? [c.task] : []))))
      this.#add(term, task);
    this.pump();
  }

  /** Starts as many turns as there is work and room for. */
  pump(): void {
    const term = this.#term;
    if (term === undefined || !this.#mayStart(term)) return;
    while (this.#isRoom() && this.#waitingTurns < term.ready.size) {
      void this.#follow(this.#limitedTurn(term));
    }
  }

  /** A statement without a clear answer counts as running; but one place is left, or all would wait for minutes. */
  #isRoom(): boolean {
    const { concurrency } = this.#deps;
    const unclear = this.#unclearTurns;
    return this.#turns.size - unclear + Math.min(unclear, concurrency - 1) < concurrency;
  }

  /** Ends the tasks that have waited for too long. */
  async expireOld(): Promise<void> {
    const term = this.#term;
    if (term === undefined) return;
    const { clock, taskMaxAgeMs } = this.#deps;
    for (const job of term.jobs.values()) {
      const old = clock.now() - job.addedMs > taskMaxAgeMs;
      if (!old || job.state === 'running' || !this.#mayStart(term)) continue;
      const seconds = Math.round(taskMaxAgeMs / 1_000);
      this.#deps.metrics.swept('task');
      await this.#giveUp(job, { code: 'TASK_EXPIRED', message: `not done within ${seconds} s` }, term);
    }
  }

  /** What this gateway, as leader, knows of a task; undefined: it does not lead, or has not seen it yet. */
  progress(nonce: string): TaskProgress | undefined {
    const job = this.#term?.jobs.get(nonce);
    return job && { state: job.state, attempts: job.attempts, lastError: job.lastError };
  }

  /**
   * Ends a task that does not run, as failed for now; also while creates are paused. A statement that was sent can't be
   * taken back. Undefined: this gateway does not lead, or has not seen the task yet.
   */
  async cancel(nonce: string, message: string): Promise<'cancelled' | 'running' | undefined> {
    const term = this.#term;
    const job = term?.jobs.get(nonce);
    if (term === undefined || job === undefined) return undefined;
    if (job.state === 'running') return 'running';
    const completion = await this.#giveUp(job, { code: 'CANCELLED', message }, term);
    return completion === 'completed' ? 'cancelled' : undefined;
  }

  /** Starts nothing more and waits for what runs; after `signal` statements are cut off. Idempotent. */
  async close(signal: AbortSignal): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort(new Error('the DDL worker is closing'));
    const kill = (): void => {
      this.#killing.abort(signal.reason);
      this.end();
    };
    if (signal.aborted) kill();
    else signal.addEventListener('abort', kill);
    await this.#deps.limiter.stop();
    await Promise.all(this.#turns);
    signal.removeEventListener('abort', kill);
    this.end();
  }

  #mayStart(term: Term): boolean {
    return term === this.#term && !this.#stopping.signal.aborted && this.#deps.mayAct();
  }

  #add(term: Term, task: Entry<TaskValue>): void {
    const job = createJob(task, this.#deps.clock.now());
    term.jobs.set(task.value.nonce, job);
    term.ready.push(task.value.tenant, job);
  }

  #remove(term: Term, task: Entry<TaskValue>): void {
    const job = term.jobs.get(task.value.nonce);
    if (job === undefined || job.state === 'running') return;
    term.jobs.delete(task.value.nonce);
    term.ready.remove(task.value.tenant, job);
  }

  async #follow(turn: Promise<boolean>): Promise<void> {
    this.#turns.add(turn);
    const worked = await turn;
    this.#turns.delete(turn);
    // An idle turn is not followed by another, else a tenant on probation would keep the worker spinning.
    if (worked) this.pump();
  }

  /** A turn when the limiter lets it; false when there was nothing to do. Never rejects. */
  async #limitedTurn(term: Term): Promise<boolean> {
    let begun = false;
    let turn: Promise<boolean> | undefined;
    this.#waitingTurns++;
    try {
      await this.#deps.limiter.run(async () => {
        begun = true;
        this.#waitingTurns--;
        const unclear = createDeferred<void>();
        turn = this.#turn(term, unclear.resolve);
        await Promise.race([turn, unclear.promise]);
      });
      return (await turn) ?? false;
    } catch (error) {
      if (!begun) this.#waitingTurns--;
      if (!this.#stopping.signal.aborted) this.#deps.logger.error({ err: error }, 'a DDL turn failed');
      return false;
    }
  }

  /** `onUnclear`: it has a statement without a clear answer, and leaves its place. */
  async #turn(term: Term, onUnclear: () => void): Promise<boolean> {
    const { probation } = this.#deps;
    const job = this.#mayStart(term) ? term.ready.take((tenant) => probation.mayStart(tenant)) : undefined;
    if (job === undefined) return false;
    const { tenant } = job.task.value;
    let unclear = false;
    job.state = 'running';
    probation.started(tenant);
    try {
      await this.#work(job, term, () => {
        if (unclear) return;
        unclear = true;
        this.#unclearTurns++;
        // It no longer keeps its tenant from another probe.
        probation.finished(tenant);
        onUnclear();
        this.pump();
      });
    } finally {
      if (unclear) this.#unclearTurns--;
      else probation.finished(tenant);
    }
    return true;
  }

  async #work(job: Job, term: Term, onUnclear: () => void): Promise<void> {
    const { view, endings, runner, metrics, clock } = this.#deps;
    const breaker = view.breakerOf(job.task.value.tenant);
    if (breaker !== undefined) return void (await this.#finish(job, { kind: 'drain', breaker }, term));
    const known = endings.known(job.task);
    if (known !== undefined) return void (await this.#finish(job, known, term));
    const beganMs = clock.now();
    const result = await runner.attempt(job.task.value, {
      mayAct: () => this.#mayStart(term),
      stop: this.#stopping.signal,
      kill: this.#killing.signal,
      onAmbiguous: () => {
        metrics.ambiguous();
        onUnclear();
      },
    });
    metrics.attempted(result.kind, clock.now() - beganMs);
    if (result.kind === 'abandoned') return this.#ready(job, term);
    const ending = endings.after(job.task, result, countAttempt(job, result));
    if (ending === 'later') void this.#retryLater(job, term);
    else await this.#finish(job, ending, term);
  }

  #ready(job: Job, term: Term): void {
    if (term.jobs.get(job.task.value.nonce) !== job) return;
    job.state = 'ready';
    term.ready.push(job.task.value.tenant, job);
  }

  async #retryLater(job: Job, term: Term): Promise<void> {
    const { clock, random, retryBaseMs, retryMaxMs } = this.#deps;
    job.state = 'waiting';
    const waitMs = jitterMs(exponentialMs(retryBaseMs, retryMaxMs, job.attempts), 0.2, random);
    try {
      await clock.sleep(waitMs, term.signal);
    } catch {
      return; // The term is over.
    }
    if (job.state !== 'waiting') return;
    this.#ready(job, term);
    this.pump();
  }

  /** Ends a task that does not run, without another attempt. */
  #giveUp(
    job: Job,
    words: { readonly code: string; readonly message: string },
    term: Term,
  ): Promise<Completion> {
    term.ready.remove(job.task.value.tenant, job);
    job.state = 'running';
    return this.#finish(job, this.#deps.endings.failed(job.task, { ...words, attempts: job.attempts }), term);
  }

  async #finish(job: Job, ending: Ending, term: Term): Promise<Completion> {
    const completion = await this.#deps.completer.complete(job.task, ending, term);
    if (completion === 'unsure') this.#ready(job, term);
    else term.jobs.delete(job.task.value.nonce);
    return completion;
  }
}
