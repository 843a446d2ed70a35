/** What subscribers are told of the view's changes. */
import type { DdlEvent } from '../model/ddl-queue.ts';
import { type BreakerValue, type OutValue, targetOf } from './codec.ts';
import type { Lasting, ViewChange } from './view.ts';
import { failureOutcome, outcomeOf } from './waiters.ts';

/** The events of one revision, in order. After a list, older failures that still hold are told, too. */
export function eventsOf(changes: readonly ViewChange[], listed: boolean, nowMs: number): DdlEvent[] {
  return changes.flatMap((change) => {
    if (change.kind === 'out') return outcomes(change.out, listed);
    if (change.kind === 'out_gone') return cleared(change.out);
    if (change.kind === 'breaker') return breaker(change.breaker, change.breaker.untilMs);
    if (change.kind === 'breaker_gone') return breaker(change.breaker, nowMs);
    return [];
  });
}

function outcomes({ value }: Lasting<OutValue>, listed: boolean): DdlEvent[] {
  const target = targetOf(value);
  const newest: DdlEvent = { kind: 'outcome', target, outcome: outcomeOf(value) };
  if (!listed) return [newest];
  const older = value.failures.slice(1).map((failure): DdlEvent => {
    return { kind: 'outcome', target, outcome: failureOutcome(failure, failure.ttlMs) };
  });
  return [...older.toReversed(), newest];
}

function cleared({ value }: Lasting<OutValue>): DdlEvent[] {
  return value.failures.length === 0 ? [] : [{ kind: 'cleared', target: targetOf(value) }];
}

function breaker({ value }: Lasting<BreakerValue>, untilMs: number): DdlEvent[] {
  const { tenant, code, message } = value;
  return [{ kind: 'breaker', tenant, code, message, untilMs }];
}
