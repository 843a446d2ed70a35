/**
 * Posts line protocol to a gateway for `sluice dead-letter replay`, and tries again while the answer is not final: for
 * as long as is allowed since something was taken last. Every wait ends with the signal.
 */
import type { Clock } from '../model/clock.ts';
import { unlessAborted, withChildAbort } from '../util/abort.ts';
import { exponentialMs, jitterMs, systemRandom } from '../util/backoff.ts';
import { harmlessLine } from './terminal.ts';

/**
 * What became of a body. `refused`: for good, the rest of a batch may have been stored. `failed`: not for good, but the
 * time is over; `stop`: there is no point in trying others.
 */
export type PostOutcome =
  | { readonly kind: 'taken' }
  | { readonly kind: 'refused'; readonly message: string }
  | { readonly kind: 'failed'; readonly message: string; readonly stop: boolean };

/** Where, and for how long. */
export interface PosterOptions {
  /** The gateway's address; a path is kept, `/write` is appended. */
  readonly url: URL;
  /** Time to try without anything being taken. */
  readonly waitMs: number;
}

/** What a poster needs; `waiting` is told why it waits. */
export interface PosterDeps {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  waiting(message: string): Promise<void>;
}

/** One answer, or that there was none. */
type Answer =
  | { readonly kind: 'taken' }
  | { readonly kind: 'refused'; readonly message: string }
  | { readonly kind: 'wrong'; readonly message: string }
  | { readonly kind: 'later'; readonly message: string; readonly afterMs: number | undefined }
  | { readonly kind: 'unreachable'; readonly message: string };

const REQUEST_MS = 60_000;
const FIRST_WAIT_MS = 200;
const MAX_WAIT_MS = 5_000;
const MAX_RETRY_AFTER_MS = 60_000;
const SCATTER = 0.2;
const MAX_ANSWER = 2_000;
const REFUSED = [400, 413, 422];
const LATER = [408, 425, 429, 500, 502, 503, 504];

/** Makes a function that posts a body for a database. Never rejects but for what nobody foresees. */
export function createPoster(
  { url, waitMs }: PosterOptions,
  deps: PosterDeps,
): (database: string, body: Buffer) => Promise<PostOutcome> {
  const { clock, signal } = deps;
  let takenAtMs = clock.now();

  return async (database, body) => {
    const target = new URL(`${url.pathname.replace(/\/$/, '')}/write`, url);
    target.search = new URLSearchParams({ db: database, precision: 'ns' }).toString();
    for (let attempt = 1; ; attempt++) {
      if (signal.aborted) return { kind: 'failed', message: 'interrupted', stop: true };
      const answer = await post(target, body, deps);
      if (answer.kind === 'taken') takenAtMs = clock.now();
      if (answer.kind === 'taken' || answer.kind === 'refused') return answer;
      if (answer.kind === 'wrong') return { kind: 'failed', message: answer.message, stop: true };
      const pause = jitterMs(pauseMs(answer, attempt), SCATTER, systemRandom);
      if (clock.now() + pause > takenAtMs + waitMs)
        return { kind: 'failed', message: answer.message, stop: answer.kind === 'unreachable' };
      await deps.waiting(`${answer.message}; next try in ${(pause / 1_000).toFixed(1)} s`);
      await clock.sleep(pause, signal).catch(() => undefined);
    }
  };
}

function pauseMs(answer: Answer, attempt: number): number {
  const asked = answer.kind === 'later' ? answer.afterMs : undefined;
  return asked ?? exponentialMs(FIRST_WAIT_MS, MAX_WAIT_MS, attempt);
}

/** One request; whatever happens is an answer. */
async function post(target: URL, body: Buffer, { clock, signal }: PosterDeps): Promise<Answer> {
  try {
    return await withChildAbort(signal, async (child) => {
      const late = clock.sleep(REQUEST_MS, child.signal).then(
        () => child.abort(new Error(`no answer within ${REQUEST_MS / 1_000} s`)),
        () => undefined,
      );
      try {
        return await exchange(target, body, child.signal);
      } finally {
        child.abort();
        await late;
      }
    });
  } catch (error) {
    return { kind: 'unreachable', message: `${target.origin}: ${harmlessLine(reasonOf(error))}` };
  }
}

async function exchange(target: URL, body: Buffer, signal: AbortSignal): Promise<Answer> {
  const headers = { 'Content-Type': 'text/plain; charset=utf-8' };
  const response = await fetch(target, { method: 'POST', body, headers, signal, redirect: 'error' });
  const text = await unlessAborted(response.text(), signal);
  const { status } = response;
  if (response.ok) return { kind: 'taken' };
  const message = `${status}: ${messageIn(text)}`;
  if (REFUSED.includes(status)) return { kind: 'refused', message };
  if (!LATER.includes(status)) return { kind: 'wrong', message: `${target.origin} answered ${message}` };
  const told = response.headers.get('x-influxdb-error');
  const why = told === null ? message : `${status}: ${harmlessLine(told)}`;
  return { kind: 'later', message: why, afterMs: retryAfterMs(response.headers.get('retry-after')) };
}

/** Seconds; dates are not read, for clocks differ. */
function retryAfterMs(header: string | null): number | undefined {
  if (header === null || !/^\d{1,9}$/.test(header)) return undefined;
  return Math.min(Math.max(Number(header) * 1_000, FIRST_WAIT_MS), MAX_RETRY_AFTER_MS);
}

/** The gateway's own words, for InfluxDB's error bodies, or the beginning of the text. */
function messageIn(text: string): string {
  const told = /^\{"error":(".*")\}\s*$/s.exec(text)?.[1];
  let message = text;
  try {
    if (told !== undefined) message = String(JSON.parse(told));
  } catch {
    // Then the text as it is.
  }
  return harmlessLine(message.slice(0, MAX_ANSWER).trim());
}

/** fetch hides what happened in causes. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.cause instanceof AggregateError) return reasonOf(error.cause.errors[0]);
  return error.cause instanceof Error ? reasonOf(error.cause) : error.message;
}
