/**
 * What the result of an attempt means for its task, for its target's back-off and for its tenant: the end of the task
 * and how it is published, or another attempt.
 */
import type { Clock } from '../model/clock.ts';
import { fingerprint } from '../model/ddl-queue.ts';
import type { Logger } from '../model/logger.ts';
import type { TaskValue } from './codec.ts';
import type { Ending } from './completer.ts';
import type { AttemptResult } from './ddl-runner.ts';
import type { FailureMemory, HeldFailure } from './failure-memory.ts';
import { MAX_VARIANTS } from './failure-rules.ts';
import type { DdlKeys } from './keys.ts';
import type { DdlMetrics } from './metrics.ts';
import type { Probation } from './probation.ts';
import type { DdlView, Entry } from './view.ts';

/** What endings are decided by. */
export interface EndingsDeps {
  readonly keys: DdlKeys;
  readonly view: DdlView;
  readonly memory: FailureMemory;
  readonly probation: Probation;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: DdlMetrics;
  /** Attempts per task while the failure is transient. */
  readonly maxAttempts: number;
}

/** A failure in the words of whoever met it. */
interface Words {
  readonly code: string;
  readonly message: string;
  readonly everywhere?: true;
}

/** See the module comment. */
export class Endings {
  readonly #deps: EndingsDeps;

  constructor(deps: EndingsDeps) {
    this.#deps = deps;
  }

  /** The end of a task that must not be attempted, because a failure of its target still holds. */
  known({ value }: Entry<TaskValue>): Ending | undefined {
    const target = this.#target(value);
    const failure = this.#deps.memory.blocking(target, fingerprint(value.columns));
    return failure === undefined ? undefined : this.#publish(target, failure);
  }

  /** `later`: the task is to be attempted again. `attempts` counts this one. */
  after(
    task: Entry<TaskValue>,
    result: Exclude<AttemptResult, { kind: 'abandoned' }>,
    attempts: number,
  ): Ending | 'later' {
    const { probation, memory, maxAttempts } = this.#deps;
    const { tenant } = task.value;
    if (result.kind === 'denied') return this.#breaker(tenant, result);
    if (result.kind === 'transient') {
      if (attempts < maxAttempts) return 'later';
      if (probation.failed(tenant, task.key, result.code)) return this.#breaker(tenant, result);
      return this.failed(task, { ...result, attempts });
    }
    probation.wentThrough(tenant);
    if (result.kind === 'invalid') return this.failed(task, { ...result, attempts }, 'permanent');
    memory.forget(this.#target(task.value));
    return { kind: 'ok' };
  }

  /** The end of a task by a new failure; how long it holds is decided here. */
  failed(
    { value }: Entry<TaskValue>,
    { code, message, attempts }: Words & { readonly attempts: number },
    failureClass: 'permanent' | 'transient' = 'transient',
  ): Ending {
    const target = this.#target(value);
    const wants = fingerprint(value.columns);
    return this.#publish(
      target,
      this.#deps.memory.fail(target, { class: failureClass, code, message, attempts, wants }),
    );
  }

  /** Ends the task with this failure; the others of the target hold on. */
  #publish(target: string, failure: HeldFailure): Ending {
    const others = this.#deps.memory.holding(target).filter(({ wants }) => wants !== failure.wants);
    return { kind: 'failure', failures: [failure, ...others.slice(0, MAX_VARIANTS - 1)] };
  }

  #breaker(tenant: string, { code, message, everywhere }: Words): Ending {
    const { probation, view, metrics, logger, clock } = this.#deps;
    const nowMs = clock.now();
    const others = [...view.breakers.values()].filter(
      (breaker) => breaker.untilMs > nowMs && breaker.value.tenant !== tenant,
    );
    const scope = probation.scope(tenant, everywhere ? Number.MAX_SAFE_INTEGER : others.length);
    metrics.breakerOpened(scope);
    logger.warn({ scope, code }, 'creates are stopped by a breaker');
    return { kind: 'breaker', scope, code, message };
  }

  #target({ database, table }: TaskValue): string {
    return this.#deps.keys.out(database, table);
  }
}
