/** Signals that follow another one without staying attached to it (AbortSignal.any does, in Node 20). */
import { setMaxListeners } from 'node:events';
import type { Clock } from '../model/clock.ts';

/** A controller whose signal many may wait on; Node would warn of a leak at the eleventh listener. */
export function createAbortController(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}

/** Runs with a controller that aborts when `parent` does, and is detached from it afterwards. */
export async function withChildAbort<T>(
  parent: AbortSignal,
  run: (child: AbortController) => Promise<T>,
): Promise<T> {
  const child = createAbortController();
  const follow = (): void => child.abort(parent.reason);
  if (parent.aborted) follow();
  else parent.addEventListener('abort', follow);
  try {
    return await run(child);
  } finally {
    parent.removeEventListener('abort', follow);
  }
}

/** What bounds a wait, and what it ends with. */
export interface TimeLimit {
  readonly limitMs: number;
  readonly clock: Pick<Clock, 'sleep'>;
  /** The reason to abort with when the time is over. */
  readonly late: () => Error;
}

/** Runs with a signal that aborts when `parent` does, or when the time is over; `run` has to end then. */
export async function withTimeLimit<T>(
  parent: AbortSignal,
  { limitMs, clock, late }: TimeLimit,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  return withChildAbort(parent, async (child) => {
    const ended = createAbortController();
    const limit = clock.sleep(limitMs, ended.signal).then(
      () => child.abort(late()),
      () => undefined,
    );
    try {
      return await run(child.signal);
    } finally {
      ended.abort();
      await limit;
    }
  });
}

/** The promise's result, unless `signal` aborts first; the promise itself goes on. @throws the reason of `signal` */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  // Once given up, its failure is nobody's; Node would end the process for it.
  promise.catch(() => undefined);
  signal.throwIfAborted();
  let abort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', abort);
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
