/** A task as the leader's worker keeps it, in memory, for one term. */
import type { TaskProgress } from '../model/ddl-control.ts';
import type { TaskValue } from './codec.ts';
import type { AttemptResult } from './ddl-runner.ts';
import type { Entry } from './view.ts';

/** See the module comment; the worker alone changes it. */
export interface Job {
  readonly task: Entry<TaskValue>;
  readonly addedMs: number;
  state: TaskProgress['state'];
  attempts: number;
  /** Of the last attempt, where that failed. */
  lastError: TaskProgress['lastError'];
}

/** A job that nobody has worked on. */
export function createJob(task: Entry<TaskValue>, addedMs: number): Job {
  return { task, addedMs, state: 'ready', attempts: 0, lastError: undefined };
}

/** An attempt has ended: the number of them now. */
export function countAttempt(job: Job, result: AttemptResult): number {
  job.lastError = 'code' in result ? { code: result.code, message: result.message } : undefined;
  return ++job.attempts;
}

/** The tasks in the order they were put. */
export function inOrder(tasks: Entry<TaskValue>[]): Entry<TaskValue>[] {
  return tasks.sort((a, b) => a.create - b.create);
}
