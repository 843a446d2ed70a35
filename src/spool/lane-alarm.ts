/** A rest that anybody can end early: one timer for all that a loop waits for. */
import type { Clock } from '../model/clock.ts';

/** See the module comment. */
export interface Alarm {
  /** Resolves after `ms`, or when it rings; at once when it rang since the last rest. */
  rest(ms: number): Promise<void>;
  ring(): void;
}

const RANG = new Error('the alarm rang');

/** Makes a silent alarm. */
export function createAlarm(clock: Pick<Clock, 'sleep'>): Alarm {
  let rang = false;
  let stop: AbortController | undefined;
  return {
    async rest(ms) {
      if (!rang) {
        stop = new AbortController();
        await clock.sleep(ms, stop.signal).catch((error: unknown) => {
          if (error !== RANG) throw error;
        });
        stop = undefined;
      }
      rang = false;
    },
    ring() {
      rang = true;
      stop?.abort(RANG);
    },
  };
}
