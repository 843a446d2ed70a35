/**
 * Checks passwords without letting wrong ones burn the machine. A right one is computed once and remembered, a wrong
 * one is remembered for a while; what is new is computed one after the other, and after a wrong one the line rests, so
 * that a flood of guesses takes a part of one core and no more. The line is bounded, and for each user too: guesses
 * at one name do not keep the others out. What is remembered is a keyed digest, never a password.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { GatewayError } from '../errors.ts';
import type { Clock } from '../model/clock.ts';
import { type PasswordHash, verifyPassword } from './secrets.ts';

/** Checks passwords against hashes; outlives the users it is asked about. */
export interface PasswordCheck {
  /**
   * Whether it is that password: at once when it is remembered.
   * @throws {GatewayError} overload when too many are in line; as a rejection when the check is closed meanwhile.
   */
  matches(hash: PasswordHash, password: string): boolean | Promise<boolean>;
  stats(): { readonly waiting: number; readonly remembered: number };
  /** Ends the rest between checks; those in line fail. Idempotent. */
  close(): void;
}

/** Bounds of the check. */
export interface PasswordCheckOptions {
  /** Checks in line, the one under way included. */
  readonly maxWaiting: number;
  readonly maxWaitingPerUser: number;
  /** Right and wrong ones remembered. */
  readonly maxRemembered: number;
  readonly rememberWrongMs: number;
  /** Rest of the line after a wrong password. */
  readonly restMs: number;
}

/** What `createPasswordCheck` uses without being told. */
export const PASSWORD_CHECK_DEFAULTS: PasswordCheckOptions = {
  maxWaiting: 64,
  maxWaitingPerUser: 8,
  maxRemembered: 10_000,
  rememberWrongMs: 60_000,
  restMs: 100,
};

/** What it needs; `refused` is told of each check that found no place. */
export interface PasswordCheckDeps {
  readonly clock: Pick<Clock, 'now' | 'sleep'>;
  refused(): void;
}

/** Makes a check that remembers nothing yet. */
export function createPasswordCheck(options: PasswordCheckOptions, deps: PasswordCheckDeps): PasswordCheck {
  const { clock } = deps;
  const secret = randomBytes(32);
  const remembered = new LRUCache<string, { readonly good: boolean; readonly untilMs: number }>({
    max: options.maxRemembered,
  });
  const underWay = new Map<string, Promise<boolean>>();
  const waitingPerUser = new Map<string, number>();
  const closing = new AbortController();
  let line: Promise<unknown> = Promise.resolve();

  /** The line goes on when the rest after a wrong one is over; its answer is not kept back for that. */
  function queue(key: string, hash: PasswordHash, password: string): Promise<boolean> {
    const answer = line.then(async () => {
      closing.signal.throwIfAborted();
      const good = await verifyPassword(hash, password);
      const untilMs = good ? Infinity : clock.now() + options.rememberWrongMs;
      remembered.set(key, { good, untilMs });
      return good;
    });
    line = answer
      .then((good) => (good ? undefined : clock.sleep(options.restMs, closing.signal)))
      .catch(() => undefined);
    return answer;
  }

  function enter({ text }: PasswordHash): () => void {
    const mine = waitingPerUser.get(text) ?? 0;
    if (underWay.size >= options.maxWaiting || mine >= options.maxWaitingPerUser) {
      deps.refused();
      throw new GatewayError('overload', 'too many passwords are being checked');
    }
    waitingPerUser.set(text, mine + 1);
    return () => {
      const left = (waitingPerUser.get(text) as number) - 1;
      if (left === 0) waitingPerUser.delete(text);
      else waitingPerUser.set(text, left);
    };
  }

  return {
    matches(hash, password) {
      const key = createHmac('sha256', secret).update(`${hash.text}\n${password}`).digest('base64');
      const known = remembered.get(key);
      if (known !== undefined && clock.now() < known.untilMs) return known.good;
      const flight = underWay.get(key);
      if (flight !== undefined) return flight;
      const leave = enter(hash);
      const answer = queue(key, hash, password).finally(() => {
        underWay.delete(key);
        leave();
      });
      underWay.set(key, answer);
      return answer;
    },
    stats: () => ({ waiting: underWay.size, remembered: remembered.size }),
    close: () => closing.abort(new GatewayError('closed', 'the gateway is stopping')),
  };
}
