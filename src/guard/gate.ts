/**
 * What stops all creates, or all of one tenant, whatever the table: an operator's pause, the breakers that the DDL
 * queue publishes, and the control plane's watermark. Bounded: a breaker per tenant with the oldest forgotten first.
 */
import { LRUCache } from 'lru-cache';
import type { Verdict } from '../model/admission.ts';
import type { DdlEvent } from '../model/ddl-queue.ts';
import { shortKey } from './keys.ts';
import type { GuardDeps } from './options.ts';
import type { Defer } from './verdict.ts';

const MAX_TENANTS = 10_000;
const CONTROL_PLANE_RETRY_MS = 5_000;
const PAUSED_RETRY_MS = 5_000;

type BreakerEvent = Extract<DdlEvent, { kind: 'breaker' }>;

/** See the module comment. */
export interface Gate {
  /** Why nothing may be asked for just now, or undefined. */
  check(tenant: string): Verdict | undefined;
  /** Takes a breaker in; one whose time has passed is removed. */
  onBreaker(event: BreakerEvent): void;
}

/** Makes an open gate. */
export function createGate(
  { controlPlaneOk, paused, clock }: Pick<GuardDeps, 'controlPlaneOk' | 'paused' | 'clock'>,
  defer: Defer,
): Gate {
  const tenants = new LRUCache<string, BreakerEvent>({ max: MAX_TENANTS });
  let all: BreakerEvent | undefined;

  function verdict(breaker: BreakerEvent | undefined): Verdict | undefined {
    const leftMs = (breaker?.untilMs ?? 0) - clock.now();
    if (breaker === undefined || leftMs <= 0) return undefined;
    return defer('breaker', `nothing is created just now: ${breaker.message} (${breaker.code})`, leftMs);
  }

  return {
    check(tenant) {
      if (paused()) return defer('paused', 'creating is paused by an operator', PAUSED_RETRY_MS);
      if (!controlPlaneOk()) {
        return defer(
          'control_plane',
          'nothing is created while the control plane is full',
          CONTROL_PLANE_RETRY_MS,
        );
      }
      return verdict(all) ?? verdict(tenants.get(shortKey(tenant)));
    },
    onBreaker(event) {
      const key = event.tenant === undefined ? undefined : shortKey(event.tenant);
      const over = event.untilMs <= clock.now();
      if (key === undefined) all = over ? undefined : event;
      else if (over) tenants.delete(key);
      else tenants.set(key, event);
    },
  };
}
