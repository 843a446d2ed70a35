import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { describe, it } from 'node:test';
import { stopSignal } from '../../src/stop-signal.ts';

const SILENT = { debug: ignore, info: ignore, warn: ignore, error: ignore };

function ignore(): void {
  // Tests look at what is stopped and ended.
}

/** A signal, and how many milliseconds after the one before it comes. */
type Sent = readonly [number, string];

/** Sends the signals; answers which of them ended the process, 0 for none. */
function send(signals: readonly Sent[]): { stopped: boolean; endedBy: number } {
  const source = new EventEmitter();
  let nowMs = 0;
  let sent = 0;
  let endedBy = 0;
  const end = (): void => {
    if (endedBy === 0) endedBy = sent;
  };
  const stop = stopSignal(source, { clock: { now: () => nowMs }, logger: SILENT, end });
  assert.equal(stop.aborted, false);
  for (const [afterMs, signal] of signals) {
    nowMs += afterMs;
    sent++;
    source.emit(signal);
  }
  return { stopped: stop.aborted, endedBy };
}

describe('stopSignal', () => {
  const cases: readonly [string, readonly Sent[], number][] = [
    ['the first SIGTERM stops', [[0, 'SIGTERM']], 0],
    ['the first SIGINT stops', [[0, 'SIGINT']], 0],
    [
      'a second one ends',
      [
        [0, 'SIGTERM'],
        [501, 'SIGTERM'],
      ],
      2,
    ],
    [
      'an echo of the first does not end',
      [
        [0, 'SIGINT'],
        [0, 'SIGINT'],
        [500, 'SIGINT'],
      ],
      0,
    ],
    [
      'one after the echo ends',
      [
        [0, 'SIGINT'],
        [1, 'SIGINT'],
        [500, 'SIGINT'],
      ],
      3,
    ],
    [
      'another one is no echo',
      [
        [0, 'SIGTERM'],
        [0, 'SIGINT'],
      ],
      2,
    ],
  ];
  for (const [title, signals, endedBy] of cases) {
    it(title, () => assert.deepEqual(send(signals), { stopped: true, endedBy }));
  }
});
